"""The only door through which anything durable is written.

`put` publishes a new name and fails where the name exists, `swap` replaces a name, `append` adds to a
journal, `remove` takes a name away. Everything else in Regraft only reads; a test holds this wall.

A file is written beside its target under a name that starts with `.draft-`, flushed to the disk, and then
published by a hard link: unlike a rename, a link fails where the name exists, so that of two writers one
always learns that it lost. The folder is flushed last. A failed flush is final and is never tried again.

Failpoints: `REGRAFT_FAILPOINTS=catalog.commit.published=kill@3;blob.write=ENOSPC` makes the third
passage of one point kill the process and the first of another fail as on a full disk. For tests only.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

from regraft.errors import ConflictError, NotAllowedError, RegraftError, StorageError, UnknownOutcomeError

#: What can be written.
Bytes = bytes | bytearray | memoryview
#: How the name of a file begins that is not published yet.
DRAFT = ".draft-"

#: What file systems without hard links answer.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

_passages: Counter[str] = Counter()


def put(path: Path, *chunks: Bytes, point: str = "put") -> None:
    """Publish the chunks, end to end, as the new read-only file `path`.

    Raises ConflictError where the name exists, StorageError where the disk refuses (nothing is then
    visible), UnknownOutcomeError where the file is visible but the disk did not confirm it.
    """
    with _draft(path, chunks, point, mode=0o444) as draft:
        try:
            failpoint(f"{point}.publish")
            os.link(draft, path)
        except FileExistsError:
            raise ConflictError(f"{str(path)!r} exists already.") from None
        except OSError as error:
            if error.errno in _NO_LINKS:  # the draft could be written here, so that it is not permission
                raise StorageError(
                    f"The file system of {str(path.parent)!r} has no hard links.",
                    hint="Keep the workspace on another disk, with --workspace DIR or REGRAFT_HOME.",
                ) from error
            raise refused(error, path) from error
    confirm(path, point=point)


def swap(path: Path, *chunks: Bytes, point: str = "swap") -> None:
    """Replace the file `path`, or make it: a reader sees the old bytes or the new ones, never a mixture."""
    with _draft(path, chunks, point, mode=0o644) as draft:
        try:
            failpoint(f"{point}.publish")
            os.replace(draft, path)
        except OSError as error:
            raise refused(error, path) from error
    confirm(path, point=point)


def confirm(path: Path, *, point: str = "confirm") -> None:
    """Flush the folder of a file that is visible already, perhaps by a writer that died before it could.

    Raises UnknownOutcomeError.
    """
    try:
        failpoint(f"{point}.published")
        _flush_folder(path.parent)
    except OSError as error:
        raise UnknownOutcomeError(
            f"{str(path)!r} was written, but the disk did not confirm it ({error.strerror}).",
            hint="Check the disk, and whether the new version is listed, before you try again.",
        ) from error


def append(path: Path, line: Bytes, *, point: str = "append") -> None:
    """Add bytes to the end of a journal in one write, or nothing; not flushed to the disk."""
    try:
        failpoint(f"{point}.write")
        with open(path, "ab", buffering=0) as file:
            _write_whole(file, line)
    except OSError as error:
        raise refused(error, path) from error


def remove(path: Path) -> None:
    """Take the name `path` away; do nothing where there is none."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(error, path) from error


def folder(path: Path) -> Path:
    """Make a folder and those above it, each flushed into the one that holds it; return it."""
    try:
        if path.is_dir():
            return path
        if path.parent != path:
            folder(path.parent)
        path.mkdir(exist_ok=True)
        _flush_folder(path.parent)
    except OSError as error:
        raise refused(error, path) from error
    return path


def failpoint(name: str) -> None:
    """Fail here if the environment asks for it; otherwise do nothing."""
    if (spec := os.environ.get("REGRAFT_FAILPOINTS")) is None:
        return
    _passages[name] += 1
    for clause in spec.split(";"):
        point, _, rest = clause.partition("=")
        action, _, nth = rest.partition("@")
        if point == name and _passages[name] == int(nth or 1):
            _act(action, name)


def refused(error: OSError, path: Path) -> RegraftError:
    """Say what the operating system's refusal means to a person."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return StorageError(
            f"The disk has no room for {str(path)!r} ({reason}).",
            hint="Free some space, or choose another place with --workspace; then run the command again.",
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return NotAllowedError(
            f"{str(path)!r} cannot be written ({reason}).",
            hint="Choose a place that you may write to; a workspace, with --workspace DIR or REGRAFT_HOME.",
        )
    return StorageError(
        f"{str(path)!r} cannot be written ({reason}).",
        hint="Choose another place with --workspace DIR or REGRAFT_HOME.",
    )


def unreadable(error: OSError, path: Path) -> RegraftError:
    """Say why something that should be there cannot be read."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    kind = NotAllowedError if error.errno in (errno.EACCES, errno.EPERM) else StorageError
    return kind(
        f"{str(path)!r} cannot be read ({reason}).", hint="Check the disk and the file's permissions."
    )


@contextlib.contextmanager
def _draft(path: Path, chunks: tuple[Bytes, ...], point: str, *, mode: int) -> Iterator[Path]:
    """Write the chunks beside `path` and flush them; the draft's name is gone afterwards."""
    folder(path.parent)
    draft = path.parent / f"{DRAFT}{secrets.token_hex(8)}"
    try:
        try:
            with open(draft, "xb") as file:
                failpoint(f"{point}.write")
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fchmod(file.fileno(), mode)
                failpoint(f"{point}.flush")
                os.fsync(file.fileno())
        except OSError as error:
            raise refused(error, path) from error
        yield draft
    finally:
        with contextlib.suppress(OSError):  # a draft left behind harms nobody: no reader looks at its name
            draft.unlink(missing_ok=True)


def _write_whole(file: FileIO, line: Bytes) -> None:
    written = file.write(line)
    if written != len(line):  # the disk is full, and half a line would spoil the next one
        file.truncate(file.tell() - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _flush_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _act(action: str, point: str) -> None:
    if action == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if action == "interrupt":
        raise KeyboardInterrupt
    if action.startswith("sleep:"):
        time.sleep(float(action.removeprefix("sleep:")))
        return
    number = getattr(errno, action)
    raise OSError(number, os.strerror(number), point)
