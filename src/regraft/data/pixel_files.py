"""The files of decoded pictures: pixels end to end, and behind them an index of what lies where.

A file has its name only when it is whole, and never changes. Writers hold a lock, so that of several
processes one decodes and the others wait for it; readers wait for nobody.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import struct
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from hashlib import sha256
from itertools import chain
from pathlib import Path
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np
import numpy.typing as npt

from regraft import durable
from regraft.data.transforms import Prepared

#: What is known of a picture: in which file it lies (or -1), and where there.
Entries: TypeAlias = npt.NDArray[np.void]
ENTRY = np.dtype(
    [
        ("digest", "S64"),
        ("file", "<i4"),
        ("offset", "<u8"),
        ("height", "<u4"),
        ("width", "<u4"),
        ("check", "<u4"),
    ]
)
#: A file ends when it has grown to this size, in bytes: each one that is mapped keeps a handle open.
_ENOUGH = 512 * 2**20
#: The part of a disk's free room that may be taken.
_SHARE = 0.8
#: Behind the index: how many entries it has, and its sha256.
_TRAILER = struct.Struct("<Q32s")
_SUFFIX = ".pixels"


class PixelFiles:
    """The files in one folder; those that were there when it was last looked at are mapped.

    A pixel has `depth` bytes: three are red, green and blue, and other numbers serve for other maps.
    """

    def __init__(self, folder: Path, *, depth: int = 3) -> None:
        self._folder = folder
        self._depth = depth
        self._paths: list[Path] = []
        self._maps: list[mmap.mmap] = []

    def alone(self, busy: Callable[[], None]) -> AbstractContextManager[None]:
        """Keep other writers out."""
        return durable.hold(self._folder / "lock", busy=busy)

    def look(self) -> Entries:
        """Return what the folder has that was not seen before; a damaged file is removed."""
        found = [np.empty(0, dtype=ENTRY)]
        for path in sorted(set(self._folder.glob(f"[!.]*{_SUFFIX}")) - set(self._paths)):
            with suppress(FileNotFoundError):  # somebody has just emptied the cache
                if (opened := _opened(path, self._depth)) is None:
                    durable.remove(path)
                    continue
                pixels, index = opened
                index["file"] = len(self._maps)
                self._paths.append(path)
                self._maps.append(pixels)
                found.append(index)
        return np.concatenate(found)

    def read(self, entry: np.void) -> Prepared:
        """Return a picture as it lies in its file, unchecked: [height, width, depth], read-only."""
        shape = (int(entry["height"]), int(entry["width"]), self._depth)
        return np.ndarray(shape, np.uint8, self._maps[entry["file"]], offset=int(entry["offset"]))

    def drop(self, number: int) -> None:
        """Remove a damaged file; what was read of it stays readable here."""
        durable.remove(self._paths[number])

    def check_room(self, size: int) -> None:
        """Raise StorageError where so many bytes would fill the disk, and leave other work no room."""
        facts = os.statvfs(durable.folder(self._folder))
        if size > _SHARE * facts.f_bavail * facts.f_frsize:
            raise durable.refused(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), self._folder)

    def write(self, pictures: Iterator[tuple[str, Prepared]]) -> None:
        """Write pictures, each under its digest, into as many files as they need; by who is alone."""
        for draft in self._folder.glob(f"{durable.DRAFT}*"):
            durable.remove(draft)  # of a writer who was killed
        for first in pictures:
            path = self._folder / f"{secrets.token_hex(8)}{_SUFFIX}"
            durable.stream(path, _body(chain([first], pictures)), point="cache")


def check_of(picture: Prepared) -> int:
    """Return what tells a damaged picture from a sound one."""
    return crc32(picture.data if picture.flags.c_contiguous else picture.tobytes())


def _body(pictures: Iterator[tuple[str, Prepared]]) -> Iterator[durable.Bytes]:
    entries: list[tuple[Any, ...]] = []
    offset = 0
    for name, picture in pictures:
        body = np.ascontiguousarray(picture)
        height, width = body.shape[:2]
        entries.append((name.encode(), -1, offset, height, width, check_of(body)))
        offset += body.nbytes
        yield body.data.cast("B")
        if offset >= _ENOUGH:
            break
    index = np.array(entries, dtype=ENTRY).tobytes()
    yield index
    yield _TRAILER.pack(len(entries), sha256(index).digest())


def _opened(path: Path, depth: int) -> tuple[mmap.mmap, Entries] | None:
    """Map a file and read its index; None where it is damaged."""
    try:
        with path.open("rb") as file:
            pixels = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except ValueError:  # an empty file cannot be mapped
        return None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise durable.unreadable(error, path) from error
    if len(pixels) < _TRAILER.size:
        return None
    count, check = _TRAILER.unpack_from(pixels, len(pixels) - _TRAILER.size)
    start = len(pixels) - _TRAILER.size - count * ENTRY.itemsize
    if start < 0 or not count or sha256(body := pixels[start : -_TRAILER.size]).digest() != check:
        return None
    index = np.frombuffer(body, dtype=ENTRY).copy()
    last = index[-1]
    whole = start == int(last["offset"]) + depth * int(last["height"]) * int(last["width"])
    return (pixels, index) if whole else None
