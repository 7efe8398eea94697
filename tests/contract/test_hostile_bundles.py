"""Bundles that somebody made to do harm, and bundles that broke on their way: nothing of them is kept."""

import json
import zipfile
from dataclasses import replace
from io import BytesIO

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import regraft
from regraft.errors import InvalidArchive
from regraft.records import DatasetVersion, canonical, digest
from regraft.store import bundle
from regraft.store.bundle import read_bundle, write_bundle
from regraft.store.opening import open_store
from regraft.store.tables import read_rows, write_rows
from regraft.store.verify import verify
from regraft.store.zips import stored

MANIFEST = "datasets/photos/v1.json"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with one version of a dataset, which has a list of refused files; it is only read."""
    root = tmp_path_factory.mktemp("store")
    for number, label in enumerate(("cat", "cat", "cat", "dog", "dog")):
        path = root / "photos" / label / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (24, 16), (50 * number, 0, 0)).save(path)
    (root / "photos" / "cat" / "note.txt").write_text("Buy more film.")
    workspace = regraft.open(root / "workspace")
    workspace.datasets.add("photos", root / "photos")
    return open_store(root / "workspace")


@pytest.fixture(scope="module")
def good(tmp_path_factory, store):
    """The bytes of a good bundle."""
    path = tmp_path_factory.mktemp("bundle") / "good.regraft"
    write_bundle(store, store.catalog.history("datasets", "photos"), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def members(good):
    """The members of the good bundle."""
    with zipfile.ZipFile(BytesIO(good)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def other(tmp_path):
    return open_store(tmp_path / "other")


@pytest.fixture
def refused(tmp_path, other):
    """Read a bundle, as bytes or as members, and return the error; nothing of it may be visible."""

    def read(data):
        path = tmp_path / "bad.regraft"
        path.write_bytes(data if isinstance(data, bytes) else b"".join(stored(data)))
        with pytest.raises(InvalidArchive) as caught:
            read_bundle(other, path)
        assert [other.catalog.names(kind) for kind in ("datasets", "models", "reports")] == [[], [], []]
        assert verify(other, deep=True).faults == ()
        assert list(other.storage.list("leases")) == []
        assert not list(tmp_path.glob("outside*"))
        return caught.value

    return read


def sealed(members, **changes):
    """Return the members with another manifest, whose digest is right."""
    document = {**json.loads(members[MANIFEST]), **changes}
    document.pop("digest")
    name = digest(canonical(document))
    index = json.loads(members["bundle.json"])
    index["versions"][0]["digest"] = name
    changed = {MANIFEST: canonical({**document, "digest": name}), "bundle.json": canonical(index)}
    return {**members, **changed}


def with_table(members, data, count=5, **changes):
    """Return the members with another row table."""
    (old,) = json.loads(members[MANIFEST])["segments"]
    kept = {name: body for name, body in members.items() if name != object_name(old["digest"])}
    segment = {"digest": digest(data), "count": count}
    return sealed({**kept, object_name(digest(data)): data}, segments=[segment], **changes)


def object_name(name, folder="blobs"):
    return f"{folder}/{name[:2]}/{name[2:]}"


def test_the_bundle_that_the_others_are_made_from_is_good(tmp_path, store, other, members):
    path = tmp_path / "again.regraft"
    path.write_bytes(b"".join(stored(sealed(members).items())))

    read = read_bundle(other, path)

    assert read == store.catalog.history("datasets", "photos")
    assert len(members) == 5


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/outside",
        "blobs/../../outside",
        "blobs/ab/../../outside",
        f"blobs/ab/{'AB' * 31}",
        f"blobs/ab/{'ab' * 31}\n",
        f"blobs/a\u0661/{'ab' * 31}",
        f"packs/ab/{'ab' * 32}",
        f"other/ab/{'ab' * 31}",
        f"blobs\\ab\\{'ab' * 31}",
        "datasets/photos/v0.json",
        "datasets/photos/v01.json",
        "datasets/photos/v1.removed",
        "datasets/../v1.json",
        "datasets/.hidden/v1.json",
        "datasets/photos/v9999999999.json",
        "tags/datasets/photos/best.json",
        "runs/1/run.json",
        "store.json",
        "leases/1.json",
        "blobs/",
        "",
        "BUNDLE.json",
        "note.txt",
    ],
)
def test_a_name_that_no_store_makes_is_refused(members, refused, name):
    error = refused([*members.items(), (name, b"harm")])

    assert (str(error), error.where) == (f"{name!r} does not belong into a bundle.", name)
    assert error.hint == "Have the bundle made again: regraft dataset export."


def test_a_file_that_nobody_needs_is_refused(members, refused):
    name = object_name(digest(b"harm"))

    error = refused([*members.items(), (name, b"harm")])

    assert (str(error), error.where) == (f"No version in the bundle needs {name!r}.", name)


def test_a_name_that_is_there_twice_is_refused(members, refused):
    error = refused([*members.items(), (MANIFEST, members[MANIFEST])])

    assert (str(error), error.where) == (f"{MANIFEST!r} is in the bundle twice.", MANIFEST)


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_compressed_member_is_refused_before_it_is_unpacked(members, refused, method):
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression=method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)

    error = refused(buffer.getvalue())

    assert str(error).endswith("is compressed, which nothing in a bundle is.")


@pytest.mark.parametrize("folder", ["blobs", "packs"])
def test_a_file_that_is_not_what_its_name_says_is_refused(members, refused, folder):
    name = next(name for name in sorted(members) if name.startswith(folder))
    data = bytearray(members[name])
    data[7] ^= 1

    error = refused([*{**members, name: bytes(data)}.items()])

    assert (str(error), error.where) == (f"The file {name!r} in the bundle is damaged.", name)


@pytest.mark.parametrize("name", ["bundle.json", MANIFEST])
@pytest.mark.parametrize(
    "data",
    [b"", b"{", b"[]", b"null", b'{"digest": "ab"}', b"\xff\xfe", b"[" * 200_000, b'{"a": "\\ud800"}'],
    ids=["empty", "half", "list", "null", "no version", "no text", "deep", "surrogate"],
)
def test_a_document_that_cannot_be_read_is_refused(members, refused, name, data):
    error = refused([*{**members, name: data}.items()])

    assert error.where == name


@pytest.mark.parametrize(
    "change",
    [
        {"count": 6},
        {"digest": "ab" * 32},
        {"unknown": 1},
    ],
    ids=str,
)
def test_a_manifest_that_was_changed_is_refused(members, refused, change):
    data = canonical({**json.loads(members[MANIFEST]), **change})

    error = refused([*{**members, MANIFEST: data}.items()])

    assert str(error) == f"The version file {MANIFEST!r} in the bundle is damaged."


@pytest.mark.parametrize(
    "changes",
    [
        {"unknown": 1},
        {"count": "many"},
        {"segments": None},
        {"packs": ["../../outside"]},
        {"packs": ["AB" * 32]},
        {"refused": "../../../etc/passwd"},
        {"segments": [{"digest": "", "count": 5}]},
    ],
    ids=str,
)
def test_a_manifest_of_another_shape_is_refused_though_its_digest_is_right(members, refused, changes):
    error = refused(sealed(members, **changes).items())

    assert error.where == MANIFEST


@pytest.mark.parametrize("folder", ["blobs", "packs"])
def test_a_version_whose_files_are_not_all_there_is_refused(members, refused, folder):
    name = next(name for name in sorted(members) if name.startswith(folder))

    error = refused((other, data) for other, data in members.items() if other != name)

    message = f"The version 'photos:v1' needs {name!r}, which the bundle does not have."
    assert (str(error), error.where) == (message, MANIFEST)


@pytest.mark.parametrize("name", ["bundle.json", MANIFEST])
def test_a_bundle_without_its_documents_is_refused(members, refused, name):
    error = refused((other, data) for other, data in members.items() if other != name)

    assert error.where in (name, "bundle.json")


@pytest.mark.parametrize(
    "versions",
    [
        [],
        [{"kind": "datasets", "name": "photos", "number": 2}],
        [{"kind": "models", "name": "photos", "number": 1}],
        [{"kind": "datasets", "name": "../photos", "number": 1}],
        [{"kind": "runs", "name": "photos", "number": 1}],
        [{"kind": "datasets", "name": "photos", "number": -1}],
        [{"kind": "datasets", "name": "photos", "number": 1}] * 2,
    ],
    ids=str,
)
def test_an_index_that_names_other_versions_than_there_are_is_refused(members, refused, versions):
    index = json.loads(members["bundle.json"])
    said = [{**version, "digest": index["versions"][0]["digest"]} for version in versions]

    error = refused({**members, "bundle.json": canonical({**index, "versions": said})}.items())

    assert error.where


def test_a_bundle_of_a_later_format_is_refused(members, refused):
    index = {**json.loads(members["bundle.json"]), "format": 2}

    error = refused({**members, "bundle.json": canonical(index)}.items())

    assert str(error) == "bundle.json cannot be read: Input should be 1 at 'format'."


@pytest.fixture
def rows(store):
    """The bytes of a table whose rows were changed by a function."""

    def table(change):
        record = store.catalog.latest("datasets", "photos").read(DatasetVersion)
        changed = [change(row) for row in read_rows(store.blobs, record.segments)]
        return store.blobs.get(write_rows(store.blobs, changed)[0].digest)

    return table


@pytest.mark.parametrize(
    "change",
    [
        {"offset": 10**9},
        {"offset": -1},
        {"length": -1},
        {"length": 10**12},
        {"pack": "../../../etc/passwd"},
        {"pack": "cd" * 32},
        {"label": "bird"},
        {"split": "all"},
    ],
    ids=str,
)
def test_rows_that_do_not_fit_their_version_are_refused(members, refused, rows, change):
    data = rows(lambda row: replace(row, **change))

    error = refused(with_table(members, data).items())

    assert error.where == MANIFEST


def parquet(table):
    buffer = BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.drop_columns(["pack"]),
        lambda table: table.append_column("more", table.column("key")),
        lambda table: table.set_column(3, "offset", pa.array([None] * 5, pa.int64())),
        lambda table: table.set_column(3, "offset", pa.array(["a"] * 5)),
        lambda table: table.slice(0, 4),
        lambda table: pa.concat_tables([table] * 2),
        lambda table: table.set_column(0, "key", pa.array([b"\xff"] * 5, pa.binary())),
    ],
    ids=["no packs", "more", "nothing", "text for numbers", "fewer", "twice", "bytes for text"],
)
def test_a_table_of_another_shape_is_refused(members, refused, rows, change):
    table = pq.read_table(pa.BufferReader(rows(lambda row: row)))

    error = refused(with_table(members, parquet(change(table))).items())

    assert "is no table of rows" in str(error)


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"x" * 1000])
def test_what_is_no_table_is_refused(members, refused, data):
    error = refused(with_table(members, data).items())

    assert "is no table of rows" in str(error)


def test_a_small_table_that_would_become_a_huge_one_is_refused(members, refused, rows):
    table = pq.read_table(pa.BufferReader(rows(lambda row: row)))
    many = pa.concat_tables([table.slice(0, 1)] * 100_000).combine_chunks()
    text = pa.array(["x" * 2**20])
    index = pa.array([0] * 100_000, pa.int32())
    bomb = many.set_column(0, "key", pa.DictionaryArray.from_arrays(index, text))
    data = parquet(bomb)

    error = refused(with_table(members, data, count=100_000).items())

    assert len(data) < 2**20
    assert "is no table of rows" in str(error)


@pytest.mark.parametrize("text", [b"", b"{", b"[1]", b'[{"key": 1}]', b"null"])
def test_a_list_of_refused_files_that_is_none_is_refused(members, refused, text):
    old = object_name(json.loads(members[MANIFEST])["refused"])
    kept = {name: data for name, data in members.items() if name != old}

    error = refused(sealed({**kept, object_name(digest(text)): text}, refused=digest(text)).items())

    assert (str(error), error.where) == ("A list of 'photos:v1' cannot be read.", MANIFEST)


def test_a_bundle_that_was_cut_anywhere_is_refused(good, refused):
    lengths = range(0, len(good), len(good) // 40)

    refusals = [refused(good[:length]) for length in lengths]

    assert {error.where for error in refusals} == {"bad.regraft"}
    assert {str(error) for error in refusals} == {"'bad.regraft' is no bundle, or is cut short."}


def test_a_bundle_with_any_flipped_byte_gives_the_same_version_or_nothing(tmp_path, store, good):
    path = tmp_path / "flipped.regraft"
    version = store.catalog.latest("datasets", "photos")
    target = open_store(tmp_path / "target")

    outcomes = set()
    for place in range(0, len(good), 37):
        flipped = bytearray(good)
        flipped[place] ^= 1 + place % 255
        path.write_bytes(flipped)
        try:
            outcomes |= {read.digest for read in read_bundle(target, path)}
        except InvalidArchive:
            outcomes.add("refused")

    assert outcomes == {"refused", version.digest}  # a date, for one, may be flipped
    assert target.catalog.history("datasets", "photos") == [version]
    assert verify(target, deep=True).faults == ()


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"no zip at all", b"PK\5\6" + bytes(18), bytes(5000), b"GIF89a" * 100]
)
def test_what_is_no_archive_is_refused(refused, data):
    error = refused(data)

    assert error.where in ("bad.regraft", "bundle.json")


def test_more_members_than_a_bundle_has_are_refused_before_they_are_listed(monkeypatch, members, refused):
    monkeypatch.setattr(bundle, "MEMBERS", 4)

    error = refused(members.items())

    assert str(error) == "'bad.regraft' is no bundle, or is cut short."


@pytest.mark.parametrize(("limit", "name"), [("MANIFEST", MANIFEST), ("OBJECT", "packs")])
def test_a_member_larger_than_it_may_be_is_refused(monkeypatch, members, refused, limit, name):
    monkeypatch.setattr(bundle, limit, 100)

    error = refused(members.items())

    assert "is too large" in str(error)


def test_members_that_share_their_bytes_are_refused(members, refused):
    lying = b"".join(stored(members.items()))
    name = next(name for name in members if name.startswith("packs"))
    size = len(members[name])
    entry = lying.index(name.encode(), lying.index(b"PK\1\2")) - 46
    forged = lying[: entry + 20] + (size + 10**6).to_bytes(4, "little") * 2 + lying[entry + 28 :]

    error = refused(forged)

    assert str(error) == "The members of the bundle are larger than the file."


@pytest.mark.parametrize("shift", [-50, 50])
def test_members_that_lie_outside_of_the_file_are_refused(good, refused, shift):
    end = good.rindex(b"PK\5\6") + 16  # where it says that the list of members begins
    place = int.from_bytes(good[end : end + 4], "little") - shift
    forged = good[:end] + place.to_bytes(4, "little") + good[end + 4 :]

    error = refused(forged)

    assert error.where
