"""Archives unpacked for code that wants files: whole, just what was packed, and nobody's files lost."""

import io
import tarfile
import zipfile

import pytest

from regraft.data.sources.spreading import spread
from regraft.data.sources.unpacking import keep_unpacked, unpack
from regraft.errors import ConflictError, InvalidArchive, StorageError

FILES = {"set/train/a.txt": b"alpha" * 100, "set/train/b.txt": b"", "set/labels.csv": b"a,1\n"}


def packed(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def tarred(path, files):
    with tarfile.open(path, "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def content(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize(
    ("pack", "name"), [(packed, "set.zip"), (tarred, "set.tar.gz")], ids=["zip", "tar.gz"]
)
def test_a_folder_holds_just_what_was_packed(tmp_path, pack, name):
    archive = pack(tmp_path / name, {**FILES, "__MACOSX/._a.txt": b"junk"})

    folder = unpack(archive, tmp_path / "out")
    again = unpack(archive, tmp_path / "out")

    assert folder == again == tmp_path / "out"
    assert content(folder) == FILES


@pytest.mark.parametrize("member", ["../evil.txt", "/etc/evil.txt", "set/../../evil.txt", "C:/evil.txt"])
def test_a_name_that_leads_out_is_refused_before_anything_is_written(tmp_path, member):
    archive = packed(tmp_path / "set.zip", {"set/a.txt": b"a", member: b"evil"})

    with pytest.raises(InvalidArchive, match="is refused for its member"):
        unpack(archive, tmp_path / "deep" / "out")

    assert [path.name for path in tmp_path.rglob("*")] == ["set.zip"]


def test_an_archive_with_a_damaged_member_leaves_no_folder(tmp_path):
    archive = tmp_path / "set.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("set/a.txt", b"a" * 1000)
        file.writestr("set/b.txt", b"b" * 1000)
    body = bytearray(archive.read_bytes())
    body[body.index(b"b" * 1000)] ^= 1
    archive.write_bytes(body)

    with pytest.raises(InvalidArchive) as caught:
        unpack(archive, tmp_path / "out")

    assert str(caught.value) == (
        f"'set/b.txt' in {str(archive)!r} cannot be read: damaged (the archive has another checksum)."
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set.zip"]


def test_what_is_no_archive_or_not_there_is_said(tmp_path):
    (tmp_path / "set.zip").write_bytes(b"not an archive")

    with pytest.raises(InvalidArchive, match="is truncated or damaged"):
        unpack(tmp_path / "set.zip", tmp_path / "out")
    with pytest.raises(StorageError, match="cannot be read"):
        unpack(tmp_path / "none.zip", tmp_path / "out")


def test_somebodys_folder_is_never_touched(tmp_path):
    archive = packed(tmp_path / "set.zip", FILES)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_bytes(b"years of work")

    with pytest.raises(ConflictError) as caught:
        unpack(archive, tmp_path / "out")

    assert str(caught.value) == (
        f"{str(tmp_path / 'out')!r} exists already, and is not what 'set.zip' holds: "
        "'set/labels.csv' is missing."
    )
    assert content(tmp_path / "out") == {"thesis.txt": b"years of work"}


@pytest.mark.parametrize("below", [".", "deeper"])
@pytest.mark.parametrize("kind", ["file", "link"])
def test_what_is_no_folder_is_no_place_to_unpack_into(tmp_path, kind, below):
    unpacked = unpack(packed(tmp_path / "set.zip", FILES), tmp_path / "out")
    there = tmp_path / "there"
    there.write_bytes(b"thesis") if kind == "file" else there.symlink_to(tmp_path / "nowhere")

    with pytest.raises(ConflictError) as caught:
        spread(unpacked, there / below)

    assert (str(caught.value), caught.value.hint) == (
        f"{str(there)!r} is no folder.",
        "Unpack into another one.",
    )
    assert there.is_symlink() or there.read_bytes() == b"thesis"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "set/train/a.txt").unlink(), "'set/train/a.txt' is missing"),
        (lambda folder: (folder / "set/new.txt").write_bytes(b"x"), "'set/new.txt' is not in the archive"),
        (lambda folder: _rewrite(folder / "set/train/a.txt"), "'set/train/a.txt' was changed"),
    ],
    ids=["missing", "more", "changed"],
)
def test_a_kept_folder_that_is_not_the_archives_any_more_is_made_anew(tmp_path, caplog, spoil, said):
    archive = packed(tmp_path / "set.zip", FILES)
    folder = keep_unpacked(archive, tmp_path / "cache")
    spoil(folder)

    again = keep_unpacked(archive, tmp_path / "cache")

    assert (again, content(again)) == (folder, FILES)
    assert caplog.messages == [f"{str(folder)!r} is unpacked again: {said}."]


def test_a_kept_folder_goes_by_the_archives_bytes(tmp_path):
    first = keep_unpacked(packed(tmp_path / "set.zip", FILES), tmp_path / "cache")

    second = keep_unpacked(packed(tmp_path / "set.zip", {"set/a.txt": b"other"}), tmp_path / "cache")

    assert (content(first), content(second)) == (FILES, {"set/a.txt": b"other"})


def _rewrite(path):
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))  # of the same length
