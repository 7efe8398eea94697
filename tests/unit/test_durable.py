"""The one door: what it publishes, what it refuses, and what it leaves behind when the disk fails."""

import errno
import os
import resource
import threading
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from regraft import durable
from regraft.errors import ConflictError, NotAllowedError, StorageError, UnknownOutcomeError

NO_ROOM = "Free some space, or choose another place with --workspace; then run the command again."
NO_RIGHT = "Choose a place that you may write to; a workspace, with --workspace DIR or REGRAFT_HOME."
ELSEWHERE = "Choose another place with --workspace DIR or REGRAFT_HOME."
UNCONFIRMED = "Check the disk, and whether the new version is listed, before you try again."

FAULTS = [
    ("ENOSPC", StorageError, "The disk has no room for {path!r} (No space left on device).", NO_ROOM),
    ("EFBIG", StorageError, "The disk has no room for {path!r} (File too large).", NO_ROOM),
    ("EDQUOT", StorageError, f"The disk has no room for {{path!r}} ({os.strerror(errno.EDQUOT)}).", NO_ROOM),
    ("EACCES", NotAllowedError, "{path!r} cannot be written (Permission denied).", NO_RIGHT),
    ("EROFS", NotAllowedError, "{path!r} cannot be written (Read-only file system).", NO_RIGHT),
    ("EIO", StorageError, "{path!r} cannot be written (Input/output error).", ELSEWHERE),
]


@pytest.fixture
def plant(monkeypatch):
    """Plant failpoints, counted from zero: `plant("put.write=EIO@2")`."""

    def set_(spec):
        monkeypatch.setattr(durable, "_passages", Counter())
        monkeypatch.setenv("REGRAFT_FAILPOINTS", spec)

    return set_


@contextmanager
def files_of_at_most(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def mode(path):
    return path.stat().st_mode & 0o777


def test_put_publishes_its_chunks_end_to_end_as_one_read_only_file(tmp_path):
    path = tmp_path / "new" / "folders" / "file"

    durable.put(path, b"one ", bytearray(b"two "), memoryview(b"three"))

    assert path.read_bytes() == b"one two three"
    assert mode(path) == 0o444
    assert names(path.parent) == ["file"]


def test_put_refuses_a_name_that_exists_and_keeps_the_old_bytes(tmp_path):
    path = tmp_path / "file"
    durable.put(path, b"old")

    with pytest.raises(ConflictError) as caught:
        durable.put(path, b"new")

    assert (str(caught.value), caught.value.hint) == (f"{str(path)!r} exists already.", "")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("stage", ["write", "flush", "publish"])
@pytest.mark.parametrize(("code", "kind", "message", "hint"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_put_that_the_disk_refuses_leaves_nothing(tmp_path, plant, stage, code, kind, message, hint):
    path = tmp_path / "file"
    plant(f"put.{stage}={code}")

    with pytest.raises(kind) as caught:
        durable.put(path, b"bytes")

    assert type(caught.value) is kind
    assert (str(caught.value), caught.value.hint) == (message.format(path=str(path)), hint)
    assert names(tmp_path) == []


@pytest.mark.parametrize("stage", ["write", "flush", "publish"])
@pytest.mark.parametrize(("code", "kind", "message", "hint"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_swap_that_the_disk_refuses_keeps_the_old_bytes(tmp_path, plant, stage, code, kind, message, hint):
    path = tmp_path / "file"
    durable.swap(path, b"old")
    plant(f"swap.{stage}={code}")

    with pytest.raises(kind) as caught:
        durable.swap(path, b"new")

    assert (str(caught.value), caught.value.hint) == (message.format(path=str(path)), hint)
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["file"]


def test_swap_replaces_a_file_also_one_that_was_put(tmp_path):
    path = tmp_path / "file"
    durable.put(path, b"old")

    durable.swap(path, b"new")

    assert path.read_bytes() == b"new"
    assert mode(path) == 0o644
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize("write", [durable.put, durable.swap])
def test_a_file_that_the_disk_does_not_confirm_stays_and_its_outcome_is_unknown(tmp_path, plant, write):
    path = tmp_path / "file"
    plant(f"{write.__name__}.published=EIO")

    with pytest.raises(UnknownOutcomeError) as caught:
        write(path, b"bytes")

    message = f"{str(path)!r} was written, but the disk did not confirm it (Input/output error)."
    assert (str(caught.value), caught.value.hint) == (message, UNCONFIRMED)
    assert path.read_bytes() == b"bytes"
    assert names(tmp_path) == ["file"]


def test_an_interrupted_put_leaves_nothing(tmp_path, plant):
    plant("put.flush=interrupt")

    with pytest.raises(KeyboardInterrupt):
        durable.put(tmp_path / "file", b"bytes")

    assert names(tmp_path) == []


def test_a_real_limit_on_file_size_leaves_nothing(tmp_path):
    path = tmp_path / "file"

    with files_of_at_most(1000), pytest.raises(StorageError) as caught:
        durable.put(path, bytes(600), bytes(600))

    assert str(caught.value) == f"The disk has no room for {str(path)!r} (File too large)."
    assert names(tmp_path) == []


def test_append_adds_lines_at_the_end(tmp_path):
    path = tmp_path / "journal"

    durable.append(path, b"one\n")
    durable.append(path, b"two\n")

    assert path.read_bytes() == b"one\ntwo\n"


def test_a_line_that_finds_half_its_room_is_not_written_at_all(tmp_path):
    path = tmp_path / "journal"
    durable.append(path, b"one\n")

    with files_of_at_most(6), pytest.raises(StorageError) as caught:
        durable.append(path, b"two\n")
    durable.append(path, b"three\n")

    assert str(caught.value) == f"The disk has no room for {str(path)!r} (No space left on device)."
    assert path.read_bytes() == b"one\nthree\n"


def test_a_failpoint_fires_at_its_passage_and_at_no_other(tmp_path, plant):
    path = tmp_path / "journal"
    plant("append.write=ENOSPC@3;append.write=EACCES@4;other.write=EIO")

    outcomes = []
    for line in (b"1", b"2", b"3", b"4", b"5"):
        try:
            durable.append(path, line)
        except (StorageError, NotAllowedError) as error:
            outcomes.append(type(error))

    assert outcomes == [StorageError, NotAllowedError]
    assert path.read_bytes() == b"125"


def test_a_file_grows_behind_what_is_kept_of_it(tmp_path):
    path = tmp_path / "new" / "file.part"

    with durable.grow(path) as grown:
        grown.write(b"one ")
        grown.write(memoryview(b"two "))
    with durable.grow(path, keep=4) as grown:
        before = grown.kept
        grown.write(b"three")
        unconfirmed = grown.kept
        grown.flush()

    assert (before, unconfirmed, grown.kept) == (4, 4, 9)
    assert path.read_bytes() == b"one three"
    assert names(path.parent) == ["file.part"]


def test_a_file_that_grows_is_flushed_also_after_an_error(tmp_path):
    path = tmp_path / "file.part"

    with suppress(ZeroDivisionError), durable.grow(path) as grown:
        grown.write(b"one")
        raise ZeroDivisionError

    assert grown.kept == 3
    assert path.read_bytes() == b"one"


@pytest.mark.parametrize("stage", ["write", "flush"])
@pytest.mark.parametrize(("code", "kind", "message", "hint"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_a_file_that_may_not_grow_says_why(tmp_path, plant, stage, code, kind, message, hint):
    path = tmp_path / "file.part"
    plant(f"grow.{stage}={code}")

    with pytest.raises(kind) as caught, durable.grow(path) as grown:
        grown.write(b"bytes")

    assert type(caught.value) is kind
    assert (str(caught.value), caught.value.hint) == (message.format(path=str(path)), hint)


def test_a_file_grows_up_to_a_real_limit_and_keeps_what_found_room(tmp_path):
    path = tmp_path / "file.part"

    with files_of_at_most(1000), pytest.raises(StorageError) as caught, durable.grow(path) as grown:
        grown.write(bytes(1600))

    assert str(caught.value) == f"The disk has no room for {str(path)!r} (File too large)."
    assert (grown.kept, path.stat().st_size) == (1000, 1000)


def test_a_file_that_may_not_be_opened_does_not_grow(tmp_path):
    with pytest.raises(StorageError) as caught, durable.grow(tmp_path):
        pass

    assert str(caught.value) == f"{str(tmp_path)!r} cannot be written (Is a directory)."


def test_a_file_that_has_grown_is_published_read_only_over_what_was_there(tmp_path):
    path, part = tmp_path / "file", tmp_path / "file.part"
    durable.put(path, b"old")
    with durable.grow(part) as grown:
        grown.write(b"new")

    durable.publish(part, path)

    assert (path.read_bytes(), mode(path)) == (b"new", 0o444)
    assert names(tmp_path) == ["file"]


@pytest.mark.parametrize(("code", "kind", "message", "hint"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_publishing_that_the_disk_refuses_keeps_both_files(tmp_path, plant, code, kind, message, hint):
    path, part = tmp_path / "file", tmp_path / "file.part"
    durable.put(path, b"old")
    durable.swap(part, b"new")
    plant(f"publish.publish={code}")

    with pytest.raises(kind) as caught:
        durable.publish(part, path)

    assert (str(caught.value), caught.value.hint) == (message.format(path=str(path)), hint)
    assert (path.read_bytes(), part.read_bytes()) == (b"old", b"new")


def test_publishing_that_the_disk_does_not_confirm_is_unknown(tmp_path, plant):
    path, part = tmp_path / "file", tmp_path / "file.part"
    durable.swap(part, b"new")
    plant("publish.published=EIO")

    with pytest.raises(UnknownOutcomeError) as caught:
        durable.publish(part, path)

    assert caught.value.hint == UNCONFIRMED
    assert path.read_bytes() == b"new"


def test_a_lock_is_waited_for_and_let_go_of(tmp_path):
    path = tmp_path / "new" / ".lock"
    order, waiting = [], threading.Event()

    def follow():
        with durable.hold(path, busy=waiting.set):
            order.append("second")

    with durable.hold(path, busy=lambda: order.append("busy")):
        second = threading.Thread(target=follow)
        second.start()
        waited = waiting.wait(10)
        order.append("first")
    second.join(10)
    with durable.hold(path, busy=lambda: order.append("busy")):
        order.append("third")

    assert waited
    assert order == ["first", "second", "third"]


def test_a_lock_where_nobody_may_write_is_refused(tmp_path):
    with pytest.raises(StorageError) as caught, durable.hold(tmp_path, busy=lambda: None):
        pass

    assert str(caught.value) == f"{str(tmp_path)!r} cannot be written (Is a directory)."


def test_remove_takes_a_name_away_and_does_not_mind_where_there_is_none(tmp_path):
    path = tmp_path / "file"
    durable.put(path, b"bytes")

    durable.remove(path)
    durable.remove(path)

    assert names(tmp_path) == []


def test_a_folder_below_a_file_is_refused(tmp_path):
    file = tmp_path / "file"
    durable.put(file, b"bytes")

    with pytest.raises(StorageError) as caught:
        durable.put(file / "below" / "it", b"bytes")

    assert (str(caught.value), caught.value.hint) == (
        f"{str(file)!r} cannot be written (File exists).",
        ELSEWHERE,
    )


def test_a_name_too_long_for_the_disk_is_refused(tmp_path):
    folder = tmp_path / ("x" * 300)

    with pytest.raises(StorageError) as caught:
        durable.put(folder / "file", b"bytes")

    assert str(caught.value) == f"{str(folder)!r} cannot be written (File name too long)."


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="this system has no /sys")
def test_a_place_where_nobody_may_write_is_not_allowed():
    path = Path("/sys/regraft/file")

    with pytest.raises(NotAllowedError) as caught:
        durable.put(path, b"bytes")

    assert str(caught.value).startswith(f"{str(path.parent)!r} cannot be written (")
    assert caught.value.hint == NO_RIGHT


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.EIO, StorageError), (errno.EACCES, NotAllowedError), (errno.EPERM, NotAllowedError)],
)
def test_what_cannot_be_read_is_named_with_the_reason(code, kind):
    error = durable.unreadable(OSError(code, "said by the system"), Path("/disk/file"))

    assert type(error) is kind
    assert str(error) == f"'/disk/file' cannot be read ({os.strerror(code)})."
    assert error.hint == "Check the disk and the file's permissions."


@pytest.mark.parametrize("code", ["EPERM", "EOPNOTSUPP", "ENOSYS"])
def test_a_file_system_without_hard_links_is_named(tmp_path, plant, code):
    plant(f"put.publish={code}")

    with pytest.raises(StorageError) as caught:
        durable.put(tmp_path / "file", b"bytes")

    assert (str(caught.value), caught.value.hint) == (
        f"The file system of {str(tmp_path)!r} has no hard links.",
        "Keep the workspace on another disk, with --workspace DIR or REGRAFT_HOME.",
    )
    assert names(tmp_path) == []


def test_a_touched_file_is_as_new_and_one_that_is_not_there_is_not_made(tmp_path):
    path = tmp_path / "file"
    durable.put(path, b"bytes")
    os.utime(path, (0, 0))

    told = [durable.renew(path), durable.renew(tmp_path / "other")]

    assert told == [True, False]
    assert path.stat().st_mtime > 0
    assert names(tmp_path) == ["file"]


def test_what_is_streamed_is_published_at_the_end(tmp_path):
    path = tmp_path / "file"
    seen = []

    def pieces():
        for piece in (b"one ", b"two"):
            seen.append(path.exists())
            yield piece

    durable.stream(path, pieces())

    assert (path.read_bytes(), seen) == (b"one two", [False, False])
    assert mode(path) == 0o644


@pytest.mark.parametrize("replace", [False, True])
def test_a_stream_that_breaks_leaves_everything_as_it_was(tmp_path, replace):
    path = tmp_path / "file"

    def pieces():
        yield b"one"
        raise StorageError("The source is gone.")

    with pytest.raises(StorageError, match="The source is gone"):
        durable.stream(path, pieces(), replace=replace)

    assert names(tmp_path) == []


def test_a_stream_replaces_only_where_it_is_told_to(tmp_path):
    path = tmp_path / "file"
    durable.stream(path, [b"old"])

    with pytest.raises(ConflictError) as caught:
        durable.stream(path, [b"new"])
    before = path.read_bytes()
    durable.stream(path, [b"new"], replace=True)

    assert str(caught.value) == f"{str(path)!r} exists already."
    assert caught.value.hint == "Choose another name."
    assert (before, path.read_bytes(), names(tmp_path)) == (b"old", b"new", ["file"])


@pytest.mark.parametrize("old", [b"", b"old"])
def test_a_place_without_hard_links_takes_a_stream_and_replaces_nothing(tmp_path, monkeypatch, old):
    path = tmp_path / "file"
    if old:
        durable.stream(path, [old])

    def refuse(*_):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    outcome = None
    try:
        durable.stream(path, [b"new"])
    except ConflictError as error:
        outcome = type(error)

    assert outcome == (ConflictError if old else None)
    assert (path.read_bytes(), names(tmp_path)) == (old or b"new", ["file"])
