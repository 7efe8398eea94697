"""Content-addressed files: stored once, verified whenever they are read."""

from collections import Counter
from hashlib import sha256

import pytest

from regraft import durable
from regraft.errors import IntegrityError, StorageError, UnknownOutcomeError
from regraft.store.blobs import Blobs

HEAL = "Restore it from a copy of the workspace, or delete it and make the version again from its source."


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_blob_is_named_by_its_bytes_and_read_back(tmp_path):
    blobs = Blobs(tmp_path)

    name = blobs.put(b"some ", b"bytes")

    assert name == sha256(b"some bytes").hexdigest()
    assert blobs.get(name) == b"some bytes"
    assert files(tmp_path) == [f"{name[:2]}/{name[2:]}"]
    assert blobs.path(name) == tmp_path / name[:2] / name[2:]


def test_equal_bytes_are_stored_once(tmp_path):
    blobs = Blobs(tmp_path)
    name = blobs.put(b"bytes")
    before = blobs.path(name).stat()

    again = blobs.put(b"by", b"tes")

    assert again == name
    assert blobs.path(name).stat() == before
    assert len(files(tmp_path)) == 1


def test_a_blob_that_is_there_already_is_confirmed_before_anything_names_it(tmp_path, monkeypatch):
    blobs = Blobs(tmp_path)
    name = blobs.put(b"bytes")
    monkeypatch.setattr(durable, "_passages", Counter())
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "blob.published=EIO")

    with pytest.raises(UnknownOutcomeError):
        blobs.put(b"bytes")

    assert blobs.get(name) == b"bytes"


def test_a_blob_of_no_bytes_is_a_blob(tmp_path):
    blobs = Blobs(tmp_path)

    name = blobs.put()

    assert blobs.get(name) == b""


@pytest.mark.parametrize("damaged", [b"", b"byteS", b"bytes and more"])
def test_a_damaged_blob_is_not_returned(tmp_path, damaged):
    blobs = Blobs(tmp_path)
    path = blobs.path(blobs.put(b"bytes"))
    path.chmod(0o644)
    path.write_bytes(damaged)

    with pytest.raises(IntegrityError) as caught:
        blobs.get(sha256(b"bytes").hexdigest())

    assert (str(caught.value), caught.value.hint) == (f"The stored file {str(path)!r} is damaged.", HEAL)


def test_what_the_hint_says_heals_a_damaged_blob(tmp_path):
    blobs = Blobs(tmp_path)
    name = blobs.put(b"bytes")
    blobs.path(name).chmod(0o644)
    blobs.path(name).write_bytes(b"")

    blobs.path(name).unlink()
    blobs.put(b"bytes")

    assert blobs.get(name) == b"bytes"


def test_a_missing_blob_is_named(tmp_path):
    blobs = Blobs(tmp_path)
    path = blobs.path("ab" * 32)

    with pytest.raises(IntegrityError) as caught:
        blobs.get("ab" * 32)

    assert (str(caught.value), caught.value.hint) == (f"The stored file {str(path)!r} is missing.", HEAL)


def test_a_blob_that_cannot_be_read_says_why(tmp_path):
    blobs = Blobs(tmp_path)
    blobs.path("ab" * 32).mkdir(parents=True)

    with pytest.raises(StorageError) as caught:
        blobs.get("ab" * 32)

    assert str(caught.value) == f"{str(blobs.path('ab' * 32))!r} cannot be read (Is a directory)."
