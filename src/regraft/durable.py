"""The only door through which anything durable is written.

`put` publishes a new name and fails where the name exists, `stream` does so with what comes piece by piece,
and `tree` with a folder, for places outside of a store, `swap` replaces a name, `append` adds to a journal,
`grow` fills a file piece by piece until `publish` gives it its name, `remove` takes a name away, `hold` keeps
other processes out. Everything else in Regraft only reads; a test holds this wall.

A file is written beside its target under a name that starts with `.draft-`, flushed to the disk, and then
published by a hard link: unlike a rename, a link fails where the name exists, so that of two writers one
always learns that it lost. The folder is flushed last. A failed flush is final and is never tried again.

Failpoints: `REGRAFT_FAILPOINTS=catalog.commit.published=kill@3;blob.write=ENOSPC` makes the third
passage of one point kill the process and the first of another fail as on a full disk. For tests only.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from io import FileIO
from pathlib import Path

from regraft.errors import ConflictError, NotAllowedError, RegraftError, StorageError, UnknownOutcomeError

#: What can be written.
Bytes = bytes | bytearray | memoryview
#: How the name of a file begins that is not published yet.
DRAFT = ".draft-"

#: What file systems without hard links answer.
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS)

#: What folders answer that somebody else has made, and that cannot be opened or flushed from here.
_NOT_OURS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.EINVAL)

_passages: Counter[str] = Counter()
#: Folders that are known to be on the disk, and those above them.
_settled: set[Path] = set()


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


def stream(path: Path, chunks: Iterable[Bytes], *, replace: bool = False, point: str = "stream") -> None:
    """Publish what is yielded as one file, for a place outside of a store: at once, or not at all.

    Raises ConflictError where the name exists, unless it should be replaced; otherwise like `put`.
    """
    with _draft(path, chunks, point, mode=0o644) as draft:
        try:
            failpoint(f"{point}.publish")
            if replace:
                os.replace(draft, path)
            else:
                _link(draft, path)
        except FileExistsError:
            raise ConflictError(f"{str(path)!r} exists already.", hint="Choose another name.") from None
        except OSError as error:
            raise refused(error, path) from error
    confirm(path, point=point)


class Tree:
    """A folder that is filled before it has its name."""

    def __init__(self, root: Path, path: Path, point: str) -> None:
        self._root = root
        self._path = path
        self._point = point

    def put(self, name: str, *chunks: Bytes) -> None:
        """Write the chunks, end to end, as the file `name` below the folder, and flush it."""
        target = self._root / name
        try:
            failpoint(f"{self._point}.write")
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(target, "xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise refused(error, self._path / name) from error


@contextlib.contextmanager
def tree(path: Path, *, point: str = "tree") -> Iterator[Tree]:
    """Fill a new folder, for a place outside of a store; it is published at the end, or not at all.

    Raises ConflictError where the name exists, otherwise like `put`.
    """
    folder(path.parent)
    draft = path.parent / f"{DRAFT}{secrets.token_hex(8)}"
    try:
        try:
            draft.mkdir()
        except OSError as error:
            raise refused(error, path) from error
        yield Tree(draft, path, point)
        try:
            for inside, _, _ in os.walk(draft):
                _flush_folder(Path(inside))
            failpoint(f"{point}.publish")
        except OSError as error:
            raise refused(error, path) from error
        if os.path.lexists(path):  # a rename would replace a folder that is empty
            raise ConflictError(f"{str(path)!r} exists already.", hint="Choose another name.")
        try:
            os.rename(draft, path)
        except OSError as error:
            raise refused(error, path) from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
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
        folder(path.parent)
        _flush_folder(path.parent)
    except (OSError, StorageError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error).removesuffix(".")
        raise UnknownOutcomeError(
            f"{str(path)!r} was written, but the disk did not confirm it ({reason}).",
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


class Growing:
    """A file that is written piece by piece; the first `kept` bytes of it are known to be on the disk."""

    def __init__(self, file: FileIO, path: Path, *, keep: int, point: str) -> None:
        self.kept = keep
        self._file = file
        self._path = path
        self._point = point
        try:
            file.truncate(keep)
        except OSError as error:
            raise refused(error, path) from error

    def write(self, piece: Bytes) -> None:
        """Add a piece at the end; raises StorageError where the disk refuses."""
        rest = memoryview(piece)
        try:
            failpoint(f"{self._point}.write")
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            raise refused(error, self._path) from error

    def flush(self) -> None:
        """Make sure that everything written so far is on the disk."""
        try:
            failpoint(f"{self._point}.flush")
            os.fsync(self._file.fileno())
            self.kept = self._file.seek(0, os.SEEK_END)
        except OSError as error:
            raise refused(error, self._path) from error


@contextlib.contextmanager
def grow(path: Path, *, keep: int = 0, point: str = "grow") -> Iterator[Growing]:
    """Open a file to add to it behind its first `keep` bytes; flush it at the end, also after an error."""
    folder(path.parent)
    try:
        file = FileIO(path, "ab")
    except OSError as error:
        raise refused(error, path) from error
    with file:
        growing = Growing(file, path, keep=keep, point=point)
        try:
            yield growing
        finally:
            growing.flush()


def publish(grown: Path, path: Path, *, point: str = "publish") -> None:
    """Give a file that has grown its name, read-only; what was called so is replaced."""
    try:
        failpoint(f"{point}.publish")
        os.chmod(grown, 0o444)
        os.replace(grown, path)
    except OSError as error:
        raise refused(error, path) from error
    confirm(path, point=point)


@contextlib.contextmanager
def hold(path: Path, *, busy: Callable[[], None]) -> Iterator[None]:
    """Hold a lock, and wait for whoever holds it; `busy` is called before waiting.

    The system lets go of it when its process ends, however it ends. The file itself means nothing.
    """
    folder(path.parent)
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise refused(error, path) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            busy()
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError as error:
            raise refused(error, path) from error
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # closing is not enough where a forked child has the file open too
        os.close(handle)


def remove(path: Path) -> None:
    """Take the name `path` away; do nothing where there is none."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise refused(error, path) from error


def remove_folder(path: Path, *, last: Iterable[str] = ()) -> None:
    """Take a folder away with all that is in it; the files called `last` go after all others, in order.

    Who is killed on the way, and tries again, finds those still there.
    """
    late = [path / name for name in last]
    try:
        for inside, _, names in os.walk(path, topdown=False):
            for name in names:
                if (file := Path(inside) / name) not in late:
                    file.unlink(missing_ok=True)
            if Path(inside) != path:
                os.rmdir(inside)
        for file in late:
            file.unlink(missing_ok=True)
        os.rmdir(path)
    except OSError as error:
        raise refused(error, path) from error


def renew(path: Path) -> bool:
    """Set a file's modification time to now; tell whether it is there."""
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise refused(error, path) from error
    return True


def folder(path: Path) -> Path:
    """Make a folder and those above it, each flushed into the one that holds it; return it.

    One that is there already is flushed too, once in a process: who made it may have died before that, or be
    just about to.
    """
    place = path.absolute()
    try:
        if place in _settled and place.is_dir():
            return path
        if place.parent == place:
            return path
        folder(place.parent)
        found = place.is_dir()
        place.mkdir(exist_ok=True)
        _settle(place, found=found)
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
def _draft(path: Path, chunks: Iterable[Bytes], point: str, *, mode: int) -> Iterator[Path]:
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


def _link(draft: Path, path: Path) -> None:
    """Link; where there are no links, as on a memory stick, rename, which does not tell two writers apart."""
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if path.exists():
            raise FileExistsError from error
        os.replace(draft, path)


def _write_whole(file: FileIO, line: Bytes) -> None:
    written = file.write(line)
    if written != len(line):  # the disk is full, and half a line would spoil the next one
        file.truncate(file.tell() - written)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _settle(path: Path, *, found: bool) -> None:
    """Flush the folder that holds the folder `path`; what it holds besides needs no second flush."""
    try:
        with os.scandir(path.parent) as entries:
            beside = [path.parent / entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        if not os.path.ismount(path):  # that is no entry of the folder above
            _flush_folder(path.parent)
    except OSError as error:
        if not found or error.errno not in _NOT_OURS:
            raise
        beside = [path]
    _settled.add(path)
    _settled.update(beside)


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
