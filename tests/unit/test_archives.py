"""Archives: read like the folder that was packed, and refused where they are not safe."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import stat
import struct
import tarfile
import zipfile

import pyarrow as pa
import pytest

from regraft.data.parallel import ordered
from regraft.data.sources import archives, readers, streams
from regraft.errors import InvalidArchive, InvalidError, InvalidPicture, NotFoundError
from regraft.records import Refused

PACKED = {
    "tar": lambda data: data,
    "tar.gz": gzip.compress,
    "tar.bz2": bz2.compress,
    "tar.xz": lzma.compress,
    "tar.zst": lambda data: pa.Codec("zstd").compress(data, asbytes=True),
}
PLAIN = {"cat/0.png": b"a", "cat/1.png": b"b", "dog/0.png": b"c"}


@pytest.fixture(params=["zip", *PACKED])
def pack(request, tmp_path):
    """Write an archive of any kind: `pack({"cat/0.png": b"..."})`."""

    def write(files):
        path = tmp_path / "packed" / "no.suffix"
        path.parent.mkdir(exist_ok=True)
        data = zipped(files) if request.param == "zip" else PACKED[request.param](tarred(files))
        path.write_bytes(data)
        return path

    return write


@pytest.mark.parametrize(
    "counts",
    [
        {"cat": 2, "dog": 11},
        {"train/cat": 2, "Valid/dog": 1, "testing/cat/deep": 1},
        {"train/cat": 1, "train/dog": 2},
        {"cat": 1, "dog": 1, ".": 1, "cat/.thumbs": 3, "__MACOSX/cat": 2, "cat/@eaDir": 1},
    ],
)
def test_an_archive_is_read_like_the_folder_that_was_packed(make_folder, pack, counts):
    root = make_folder(counts)
    files = {path.relative_to(root).as_posix(): path.read_bytes() for path in sorted(root.rglob("*.png"))}

    listing, folder = readers.read(pack(files)), readers.read(root)

    assert listed(listing) == listed(folder)
    assert [entry.read() for entry in listing.entries] == [entry.read() for entry in folder.entries]
    assert (listing.refused, listing.ignored) == (folder.refused, folder.ignored)


@pytest.mark.parametrize("top", ["hotdog/", "./", "./hotdog/", "Äpfel/"])
def test_one_folder_around_everything_is_the_name_of_the_archive(pack, top):
    files = {f"{top}{name}": data for name, data in PLAIN.items()}

    listing = readers.read(pack(files))

    assert [(entry.key, entry.label, entry.read()) for entry in listing.entries] == [
        ("cat/0.png", "cat", b"a"),
        ("cat/1.png", "cat", b"b"),
        ("dog/0.png", "dog", b"c"),
    ]


@pytest.mark.parametrize("loose", ["README.txt", "LICENSE", "labels.csv", "photos/README.txt"])
def test_a_loose_file_that_is_no_picture_does_not_make_one_class_of_all(pack, loose):
    files = {f"photos/{name}": data for name, data in PLAIN.items()}

    listing = readers.read(pack({loose: b"words", **files}))

    assert listed(listing) == [("cat/0.png", "cat", ""), ("cat/1.png", "cat", ""), ("dog/0.png", "dog", "")]
    name = loose.rpartition("/")[2]
    assert listing.refused == [Refused(key=name, reason="not inside a class folder")]


def test_a_loose_picture_keeps_the_top(pack):
    files = {f"photos/{name}": data for name, data in PLAIN.items()}

    listing = readers.read(pack({"0.JPG": b"x", **files}))

    assert {entry.label for entry in listing.entries} == {"photos"}
    assert listing.refused == [Refused(key="0.JPG", reason="not inside a class folder")]


def test_a_bundle_is_called_one(tmp_path):
    path = written(tmp_path, zipped({"bundle.json": b"{}", "datasets/photos/v1.json": b"{}"}))

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert str(caught.value) == f"{str(path)!r} is a bundle."
    assert caught.value.hint == f"Take it in: regraft dataset import {path}"


@pytest.mark.parametrize(
    ("name", "head"), [("a.7z", b""), ("a.rar", b"x"), ("a", b"7z\xbc\xaf'\x1c\0"), ("a", b"Rar!\x1a\x07")]
)
def test_an_archive_of_another_kind_is_called_one(tmp_path, name, head):
    path = tmp_path / name
    path.write_bytes(head)

    with pytest.raises(InvalidArchive) as caught:
        readers.read(path)

    assert str(caught.value) == f"{str(path)!r} is an archive that Regraft does not read."
    assert caught.value.hint == "Use zip or tar."


def test_threads_read_an_archive_in_order(pack):
    chance = random.Random(0)
    files = {f"cat/{number:03}.png": chance.randbytes(chance.randrange(20_000)) for number in range(200)}

    listing = readers.read(pack(files))

    assert list(ordered(lambda entry: entry.read(), listing.entries)) == list(files.values())


def test_pictures_may_be_read_in_any_order_and_again(pack):
    listing = readers.read(pack(PLAIN))

    found = [listing.entries[position].read() for position in (2, 0, 1, 1, 2)]

    assert found == [b"c", b"a", b"b", b"b", b"c"]


def test_the_memory_of_a_compressed_tar_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("regraft.data.sources.tars._WAITING", 1000)
    files = {f"cat/{number}.png": bytes([number]) * 600 for number in range(8)}
    path = written(tmp_path, gzip.compress(tarred(files)))
    entries = readers.read(path).entries

    found = [entries[position].read() for position in (5, 4, 3, 0, 7)]

    assert found == [bytes([position]) * 600 for position in (5, 4, 3, 0, 7)]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/cat/0.png", "an absolute path"),
        ("cat/../../0.png", "'..' in place of a name"),
        ("cat/./0.png", "'.' in place of a name"),
        ("cat//0.png", "'' in place of a name"),
        ("cat\\0.png", "a backslash"),
        ("C:/cat/0.png", "a drive letter"),
        ("cat/a\nb.png", "a control character"),
        ("cat/a\x9bb.png", "a control character"),
        (f"cat/{'a' * 256}.png", "longer than 255 bytes"),
        (f"cat/{'ä' * 128}.png", "longer than 255 bytes"),
    ],
)
def test_a_name_that_is_not_safe_refuses_the_archive(pack, name, why):
    path = pack({**PLAIN, name: b"x"})

    with pytest.raises(InvalidArchive) as caught:
        readers.read(path)

    assert str(caught.value) == (
        f"{str(path)!r} is refused for its member {name!r}: a name that is not safe: {why}."
    )
    assert caught.value.hint == (
        "Unpack it with a tool that you trust, look at what is inside, and give the folder."
    )
    assert caught.value.where == name


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("cat/a.png", "cat/A.png", "some disks take it for 'cat/a.png'"),
        ("cat/ä.png", "cat/a\u0308.png", "some disks take it for 'cat/ä.png'"),
        ("Straße/a.png", "STRASSE/a.png", "some disks take it for 'Straße/a.png'"),
    ],
)
def test_names_that_are_one_on_some_disks_refuse_the_archive(pack, first, second, words):
    path = pack({first: b"x", second: b"y"})

    with pytest.raises(InvalidArchive, match="is refused for its member") as caught:
        readers.read(path)

    assert str(caught.value).endswith(f": {words}.")


def test_a_name_that_stands_twice_refuses_the_archive(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for _ in range(2):
            add(archive, "cat/0.png", b"a")
    path = written(tmp_path, buffer.getvalue())

    with pytest.raises(InvalidArchive) as caught:
        readers.read(path)

    assert str(caught.value).endswith("is refused for its member 'cat/0.png': it stands there twice.")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (tarfile.SYMTYPE, "not a regular file but a link"),
        (tarfile.LNKTYPE, "not a regular file but a link"),
        (tarfile.CHRTYPE, "not a regular file but a device, a sparse file or something else"),
        (tarfile.FIFOTYPE, "not a regular file but a device, a sparse file or something else"),
        (b"V", "not a regular file but a device, a sparse file or something else"),
    ],
)
def test_what_is_no_regular_file_refuses_the_tar(tmp_path, kind, words):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        add(archive, "cat/0.png", b"a")
        info = tarfile.TarInfo("cat/odd.png")
        info.type, info.linkname = kind, "../../secret"
        archive.addfile(info)
    path = written(tmp_path, buffer.getvalue())

    with pytest.raises(InvalidArchive) as caught:
        readers.read(path)

    assert str(caught.value) == f"{str(path)!r} is refused for its member 'cat/odd.png': {words}."


def test_a_link_refuses_the_zip(tmp_path):
    info = zipfile.ZipInfo("cat/link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = written(tmp_path, zipped({"cat/0.png": b"a", info: b"../../secret"}))

    with pytest.raises(InvalidArchive) as caught:
        readers.read(path)

    assert str(caught.value).endswith("neither a file nor a folder, but perhaps a link.")
    assert caught.value.where == "cat/link.png"


def test_members_that_share_bytes_refuse_the_zip(tmp_path):
    data = zipped({"cat/a.png": b"x" * 100, "cat/b.png": b"x" * 100}, zipfile.ZIP_STORED)
    directory = data.rindex(b"PK\x01\x02")
    bent = data[: directory + 42] + struct.pack("<I", 0) + data[directory + 46 :]

    with pytest.raises(InvalidArchive) as caught:
        readers.read(written(tmp_path, bent))

    assert str(caught.value).endswith(": its bytes are those of another member too.")


def test_a_bomb_is_refused(pack):
    path = pack({**PLAIN, "cat/zeros.png": bytes(20 * 10**6)})
    packed = path.stat().st_size

    if packed > 20 * 10**6:  # a tar that is not compressed is as long as it is
        assert len(readers.read(path).entries) == 4
        return
    with pytest.raises(InvalidArchive) as caught:
        readers.read(path)

    assert str(caught.value) == (
        f"{str(path)!r} unpacks to more than 200 times its size: it is made to fill memories."
    )


def test_limits_on_count_and_bytes_refuse_the_archive(pack, monkeypatch):
    path = pack(PLAIN)

    monkeypatch.setattr(archives, "MAX_MEMBERS", 2)
    with pytest.raises(InvalidArchive) as many:
        readers.read(path)

    assert str(many.value) == f"{str(path)!r} has more than 2 members."


def test_a_limit_on_unpacked_bytes_refuses_the_archive(tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "MAX_TOTAL", 2**30)

    with pytest.raises(InvalidArchive) as caught:
        streams.check_growth(tmp_path, 2**30 + 1, 2**30)

    assert str(caught.value) == f"{str(tmp_path)!r} unpacks to more than 1 GiB."


def test_a_member_that_is_too_large_for_a_picture_is_refused_alone(pack, monkeypatch):
    monkeypatch.setattr(archives, "MAX_BYTES", 2**20)
    noise = random.Random(0).randbytes(2**20 + 1)

    listing = readers.read(pack({**PLAIN, "cat/large.png": noise}))

    assert outcomes(listing) == {
        "cat/0.png": b"a",
        "cat/1.png": b"b",
        "cat/large.png": "larger than 1 MiB (1 MiB).",
        "dog/0.png": b"c",
    }


def test_damaged_members_of_a_zip_are_refused_alone(tmp_path):
    data = bytearray(zipped({f"cat/{name}.png": name.encode() * 50 for name in "abcdef"}, zipfile.ZIP_STORED))
    entries = [at for at in range(len(data)) if data[at : at + 4] == b"PK\x01\x02"]
    heads = [at for at in range(len(data)) if data[at : at + 4] == b"PK\x03\x04"]
    data[data.index(b"aaaa")] = 0
    data[entries[1] + 8] |= 1  # encrypted
    data[entries[2] + 10] = 99  # method
    data[entries[3] + 24] += 1  # unpacked size
    data[heads[4]] = 0

    listing = readers.read(written(tmp_path, bytes(data)))

    assert outcomes(listing) == {
        "cat/a.png": "damaged (the archive has another checksum).",
        "cat/b.png": "encrypted: unpack the archive with its password.",
        "cat/c.png": "packed by a method that is not supported (99).",
        "cat/d.png": "damaged (it is not as long as the archive says).",
        "cat/e.png": "damaged (its header is not what the directory says).",
        "cat/f.png": b"f" * 50,
    }


def test_a_lying_size_does_not_unpack_to_more(tmp_path):
    data = bytearray(zipped({"cat/a.png": bytes(5 * 10**6), "cat/b.png": b"b"}))
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", 100_000)

    listing = readers.read(written(tmp_path, bytes(data)))

    assert outcomes(listing) == {
        "cat/a.png": "damaged (it is not as long as the archive says).",
        "cat/b.png": b"b",
    }


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9, 0.999])
def test_a_truncated_archive_is_refused(pack, part):
    chance = random.Random(0)
    path = pack({f"cat/{number}.png": chance.randbytes(3000) for number in range(20)})
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data.rstrip(b"\0")) * part)])

    with pytest.raises(InvalidArchive, match="is truncated or damaged") as caught:
        readers.read(path)

    assert caught.value.hint == "Download it or pack it again."


def test_an_archive_that_changes_after_the_listing_is_noticed(pack):
    path = pack(PLAIN)
    listing = readers.read(path)
    path.write_bytes(path.read_bytes() + bytes(512))

    with pytest.raises(InvalidPicture) as caught:
        listing.entries[0].read()

    assert str(caught.value) == "the archive was changed while it was read."


def test_an_archive_without_class_folders_is_refused(pack):
    path = pack({"0.png": b"a", "1.png": b"b", ".DS_Store": b""})

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert str(caught.value) == (
        f"The archive {str(path)!r} has no pictures in class folders (passed over: 1 hidden files)."
    )


def test_what_is_only_called_an_archive_is_refused(tmp_path):
    path = tmp_path / "photos.zip"
    path.write_text("<html>Not found</html>")

    with pytest.raises(InvalidArchive) as caught:
        readers.read(path)

    assert str(caught.value) == f"{str(path)!r} is called '.zip', but is nothing of the kind."


def test_a_missing_archive_names_its_neighbour(tmp_path):
    (tmp_path / "photos.zip").write_bytes(zipped(PLAIN))

    with pytest.raises(NotFoundError) as caught:
        readers.read(tmp_path / "photo.zip")

    assert str(caught.value) == f"There is no file {str(tmp_path / 'photo.zip')!r}."
    assert caught.value.hint == "Did you mean 'photos.zip'?"


def test_a_forced_reader_says_what_is_wrong(tmp_path):
    path = written(tmp_path, zipped(PLAIN))

    with pytest.raises(InvalidArchive):
        readers.read(path, readers.Source(reader="tar"))
    with pytest.raises(InvalidError) as caught:
        readers.read(path, readers.Source(reader="zap"))

    assert str(caught.value) == "There is no reader 'zap'."
    assert caught.value.hint == "Did you mean 'zip'?"


def test_names_in_utf8_are_known_where_nothing_says_so(tmp_path):
    data = zipped({"Äpfel/ü.png": b"a", "cat/0.png": b"b"})
    silent = data.replace(b"\x14\x00\x00\x08", b"\x14\x00\x00\x00")

    listing = readers.read(written(tmp_path, silent))

    assert silent != data
    assert [entry.key for entry in listing.entries] == ["cat/0.png", "Äpfel/ü.png"]
    assert [entry.read() for entry in listing.entries] == [b"b", b"a"]


def listed(listing):
    return [(entry.key, entry.label, entry.split) for entry in listing.entries]


def outcomes(listing):
    """Return the bytes of each picture, or why it cannot be read."""
    found = {}
    for entry in listing.entries:
        try:
            found[entry.key] = entry.read()
        except InvalidPicture as error:
            found[entry.key] = str(error)
    return found


def written(folder, data):
    path = folder / "archive"
    path.write_bytes(data)
    return path


def zipped(files, method=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            add(archive, name, data)
    return buffer.getvalue()


def add(archive, name, data):
    info = tarfile.TarInfo(name)
    info.size = len(data)
    archive.addfile(info, io.BytesIO(data))
