"""Where a store keeps its files: a handful of primitives, each atomic, and a local folder that has them.

Names are relative, with slashes, and made by the store itself, never taken from data. What a reader may rely
on: a name that `put` has published never changes; of two writers of one name, one gets a ConflictError.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from regraft import durable


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """A file that a listing found."""

    name: str
    #: In bytes.
    size: int
    #: When it was written or touched last, by the clock of the storage, in seconds.
    modified: float


class Storage(Protocol):
    """What a store needs of a place; `point` names the failpoints of a write.

    Each raises NotAllowedError or StorageError where the place refuses.
    """

    def put(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Publish a new file; raises ConflictError where the name exists."""

    def swap(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Replace a file, or make it; a reader sees the old bytes or the new ones."""

    def confirm(self, name: str, *, point: str) -> None:
        """Make sure that a file that is visible stays so; its writer may have died before it could."""

    def renew(self, name: str) -> bool:
        """Set a file's time to now; tell whether it is there."""

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes | None:
        """Return a file's bytes, or a range of them; None where there is no such file."""

    def find(self, name: str) -> Found | None:
        """Return what is known of a file; None where there is none."""

    def list(self, folder: str) -> Iterator[Found]:
        """Yield the published files below a folder, at any depth, in no order."""

    def remove(self, name: str) -> None:
        """Take a file away; do nothing where there is none."""


class Folder:
    """A local folder as a storage."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def put(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Publish a new read-only file by a hard link."""
        durable.put(self.root / name, *chunks, point=point)

    def swap(self, name: str, *chunks: durable.Bytes, point: str) -> None:
        """Replace a file by a rename."""
        durable.swap(self.root / name, *chunks, point=point)

    def confirm(self, name: str, *, point: str) -> None:
        """Flush the file's folder to the disk."""
        durable.confirm(self.root / name, point=point)

    def renew(self, name: str) -> bool:
        """Set the file's modification time."""
        return durable.renew(self.root / name)

    def read(self, name: str, *, offset: int = 0, length: int | None = None) -> bytes | None:
        """Read with one `pread`; nothing is kept open, so that a reader may be forked, pickled or shared."""
        path = self.root / name
        try:
            handle = os.open(path, os.O_RDONLY)
            try:
                if length is None:
                    length = max(os.fstat(handle).st_size - offset, 0)
                return _read(handle, offset, length)
            finally:
                os.close(handle)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise durable.unreadable(error, path) from error

    def find(self, name: str) -> Found | None:
        """Look at the file's inode."""
        try:
            facts = (self.root / name).stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise durable.unreadable(error, self.root / name) from error
        return Found(name=name, size=facts.st_size, modified=facts.st_mtime)

    def list(self, folder: str) -> Iterator[Found]:
        """Walk the folder; drafts are not published, and stay unseen."""
        return (found for found in self._walk(folder) if not _is_draft(found))

    def drafts(self) -> Iterator[Found]:
        """Yield what writers have begun and not published, anywhere, in no order."""
        return filter(_is_draft, self._walk(""))

    def remove(self, name: str) -> None:
        """Unlink the file."""
        durable.remove(self.root / name)

    def _walk(self, folder: str) -> Iterator[Found]:
        try:
            with os.scandir(self.root / folder) as entries:
                for entry in entries:
                    name = f"{folder}/{entry.name}" if folder else entry.name
                    if entry.is_dir(follow_symlinks=False):
                        yield from self._walk(name)
                    elif found := self.find(name):
                        yield found
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            raise durable.unreadable(error, self.root / folder) from error


def _is_draft(found: Found) -> bool:
    return found.name.rpartition("/")[2].startswith(durable.DRAFT)


def _read(handle: int, offset: int, length: int) -> bytes:
    """Read a range; the system hands out at most 2 GiB at once."""
    data = os.pread(handle, length, offset)
    if len(data) == length or not data:
        return data
    parts = [data]
    while data and (missing := length - sum(map(len, parts))) > 0:
        data = os.pread(handle, missing, offset + length - missing)
        parts.append(data)
    return b"".join(parts)
