"""Content-addressed files: stored once, verified whenever they are read."""

import threading
import time
from collections import Counter
from hashlib import sha256

import pytest

from regraft import durable
from regraft.errors import IntegrityError, StorageError, UnknownOutcomeError
from regraft.store.blobs import Blobs
from regraft.store.leases import condemn
from regraft.store.storage import Folder

HEAL = (
    "See `regraft store verify`. Restore it from a copy of the workspace, or delete it and make the version "
    "again from its source."
)


@pytest.fixture
def blobs(tmp_path):
    return Blobs(Folder(tmp_path), "blobs")


def files(root):
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def damage(path, data):
    path.chmod(0o644)
    path.write_bytes(data)


def test_a_blob_is_named_by_its_bytes_and_read_back(tmp_path, blobs):
    name = blobs.put(b"some ", b"bytes")

    assert name == sha256(b"some bytes").hexdigest()
    assert blobs.get(name) == b"some bytes"
    assert blobs.name(name) == f"blobs/{name[:2]}/{name[2:]}"
    assert files(tmp_path) == [blobs.name(name)]


def test_equal_bytes_are_stored_once(tmp_path, blobs):
    name = blobs.put(b"bytes")
    before = (tmp_path / blobs.name(name)).stat()

    again = blobs.put(b"by", b"tes")

    assert again == name
    assert (tmp_path / blobs.name(name)).stat().st_ino == before.st_ino
    assert files(tmp_path) == [blobs.name(name)]


def test_a_blob_that_is_there_already_is_confirmed_before_anything_names_it(blobs, monkeypatch):
    name = blobs.put(b"bytes")
    monkeypatch.setattr(durable, "_passages", Counter())
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "blob.published=EIO")

    with pytest.raises(UnknownOutcomeError):
        blobs.put(b"bytes")

    assert blobs.get(name) == b"bytes"


def test_a_blob_of_no_bytes_is_a_blob(blobs):
    name = blobs.put()

    assert blobs.get(name) == b""


@pytest.mark.parametrize("damaged", [b"", b"byteS", b"bytes and more"])
def test_a_damaged_blob_is_not_returned(tmp_path, blobs, damaged):
    name = blobs.name(blobs.put(b"bytes"))
    damage(tmp_path / name, damaged)

    with pytest.raises(IntegrityError) as caught:
        blobs.get(sha256(b"bytes").hexdigest())

    assert (str(caught.value), caught.value.hint) == (f"The stored file {name!r} is damaged.", HEAL)


def test_what_the_hint_says_heals_a_damaged_blob(tmp_path, blobs):
    name = blobs.put(b"bytes")
    damage(tmp_path / blobs.name(name), b"")

    (tmp_path / blobs.name(name)).unlink()
    blobs.put(b"bytes")

    assert blobs.get(name) == b"bytes"


def test_a_range_of_a_blob_is_read_and_is_as_short_as_the_blob(blobs):
    name = blobs.put(b"some bytes")

    parts = [blobs.read(name, offset=5, length=length) for length in (2, 100)]

    assert parts == [b"by", b"bytes"]
    assert blobs.read("ab" * 32, offset=0, length=1) is None


def test_what_is_there_is_told_and_can_be_kept(blobs):
    name = blobs.put(b"bytes")

    told = [(blobs.has(digest), blobs.keep(digest)) for digest in (name, "ab" * 32)]

    assert told == [(True, True), (False, False)]


def test_a_missing_blob_is_named(blobs):
    name = f"blobs/ab/{'ab' * 31}"

    with pytest.raises(IntegrityError) as caught:
        blobs.get("ab" * 32)

    assert (str(caught.value), caught.value.hint) == (f"The stored file {name!r} is missing.", HEAL)


def test_a_blob_that_cannot_be_read_says_why(tmp_path, blobs):
    path = tmp_path / blobs.name("ab" * 32)
    path.mkdir(parents=True)

    with pytest.raises(StorageError) as caught:
        blobs.get("ab" * 32)

    assert str(caught.value) == f"{str(path)!r} cannot be read (Is a directory)."


def test_a_blob_that_is_written_while_a_second_collector_still_condemns_it_is_written_again(tmp_path, blobs):
    storage = Folder(tmp_path)
    name = blobs.name(sha256(b"bytes").hexdigest())
    writer = threading.Thread(target=blobs.put, args=(b"bytes",))

    with condemn(storage, {name}):  # another collector has removed it in the meantime
        writer.start()
        while storage.find(name) is None:
            time.sleep(0.001)
        storage.remove(name)
    writer.join()

    assert blobs.get(sha256(b"bytes").hexdigest()) == b"bytes"


def test_nothing_new_relies_on_a_damaged_blob(tmp_path, blobs):
    name = blobs.put(b"some bytes")
    damage(tmp_path / blobs.name(name), b"some b")

    with pytest.raises(IntegrityError) as caught:
        blobs.put(b"some bytes")

    assert str(caught.value) == f"The stored file {blobs.name(name)!r} is damaged."
    assert caught.value.hint == HEAL
