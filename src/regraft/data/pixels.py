"""Decoded pictures, kept: each is decoded once, and read as a map of memory from then on.

A process checks each picture when it first reads it, and decodes a damaged one anew. The cache may be
deleted at any time; where a disk has no room for it, memory serves.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from regraft.data.augment.cutting import cut_each
from regraft.data.augment.resident import Resident
from regraft.data.augment.steps import Boxes, Cut, Shapes
from regraft.data.parallel import ordered
from regraft.data.pictures import quiet
from regraft.data.pixel_files import ENTRY, Entries, PixelFiles, check_of
from regraft.data.transforms import LONGEST, VERSION, Prepared, prepare, shrink
from regraft.errors import InvalidPicture, NotAllowedError, StorageError
from regraft.progress import Progress
from regraft.records import InputSpec, Record, Row, digest, encode

Read = Callable[[Row], bytes]

_TASK = "Decoding pictures"
#: The part of a disk's, and of memory's, free room that decoded pictures may take.
_SHARE = 0.8


class PixelKey(Record):
    """What decoded pixels depend on, besides the picture: its short side, or how it is prepared."""

    #: Of whole pictures: longer short sides are scaled down to so many pixels.
    side: int = 0
    #: Of squares: how evaluation sees a picture.
    input: InputSpec | None = None
    #: Versions of the libraries that decode.
    libraries: dict[str, str]
    #: Version of the preparation of pictures.
    prepare: int = VERSION

    @classmethod
    def whole(cls, side: int, libraries: dict[str, str]) -> PixelKey:
        """Return the key of whole pictures, for parts to be cut out of them."""
        return cls(side=side, libraries=libraries)

    @classmethod
    def prepared(cls, spec: InputSpec, libraries: dict[str, str]) -> PixelKey:
        """Return the key of squares as evaluation sees them; what is done to bytes later does not count."""
        plain = spec.model_copy(update={"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
        return cls(input=plain, libraries=libraries)

    def decode(self, data: bytes) -> Prepared:
        """Decode a picture; raises InvalidPicture."""
        if self.input is not None:
            return prepare(data, self.input)
        return shrink(data, self.side)

    def size(self, row: Row) -> int:
        """Return how many bytes the pixels of a row's picture take, about."""
        if self.input is not None:
            return 3 * self.input.size**2
        short, long = sorted((row.width, row.height))
        scale = min(1.0, self.side / max(1, short))
        return int(3 * short * scale * min(long, LONGEST * short) * scale)


class Pixels:
    """The decoded pictures of some rows, by position."""

    def __init__(
        self,
        entries: Entries,
        numbers: npt.NDArray[np.int64],
        files: PixelFiles,
        own: dict[int, Prepared],
        decode: Callable[[int], Prepared],
    ) -> None:
        self._entries = entries
        self._numbers = numbers
        self._files = files
        self._decode = decode
        self._checked = np.zeros(len(entries), dtype=bool)
        #: Pictures that are in memory: there was no room for their files, or these are damaged.
        self._own = own

    def __len__(self) -> int:
        return len(self._numbers)

    def shapes(self, places: npt.NDArray[np.int64] | slice = slice(None)) -> Shapes:
        """Return the height and width of the pictures at some places, or of all: [n, 2]."""
        entries = self._entries[self._numbers[places]]
        return np.stack([entries["height"], entries["width"]], axis=-1).astype(np.int64)

    @property
    def size(self) -> int:
        """How many bytes all pictures take."""
        return 3 * int(self.shapes().prod(axis=1).sum())

    def picture(self, place: int) -> Prepared:
        """Return the picture at a place, read-only: [height, width, 3]."""
        number = int(self._numbers[place])
        if (own := self._own.get(number)) is not None:
            return own
        entry = self._entries[number]
        picture = self._files.read(entry)
        if not self._checked[number]:
            if check_of(picture) != entry["check"]:
                self._files.drop(int(entry["file"]))  # the next process makes it anew
                return self._remade(number, place)
            self._checked[number] = True
        return picture

    def cut(self, places: npt.NDArray[np.int64], boxes: Boxes, how: Cut) -> torch.Tensor:
        """Return a part of each picture, scaled: bytes [n, 3, size, size] in main memory."""
        return cut_each([partial(self.picture, place) for place in places.tolist()], boxes, how)

    def resident(self, device: str) -> Resident:
        """Return all pictures on a device, from where parts are cut out many at once."""
        return Resident([partial(self.picture, place) for place in range(len(self))], self.shapes(), device)

    def _remade(self, number: int, place: int) -> Prepared:
        picture = self._own[number] = self._decode(place)
        return picture


def open_pixels(root: Path, key: PixelKey, rows: Sequence[Row], read: Read, progress: Progress) -> Pixels:
    """Return the decoded pictures of rows; what the cache below `root` lacks is decoded and kept there.

    Raises StorageError where neither the disk nor memory has room, InvalidPicture where a picture cannot
    be decoded any more.
    """
    files = PixelFiles(root / "pixels" / digest(encode(key)))
    wanted = {row.digest: row for row in rows}
    entries = files.look()
    kept: dict[str, Prepared] = {}
    if _missing(wanted, entries):
        try:
            with files.alone(partial(progress, "Waiting for another process that decodes", 0, 1)):
                entries = np.concatenate([entries, files.look()])
                missing = _missing(wanted, entries)
                files.check_room(sum(map(key.size, missing)))
                files.write(_decoded(missing, key, read, progress))
        except (StorageError, NotAllowedError) as error:
            entries = np.concatenate([entries, files.look()])
            missing = _missing(wanted, entries)
            _check_memory(sum(map(key.size, missing)), error)
            kept = dict(_decoded(missing, key, read, progress))
        entries = np.concatenate([entries, files.look()])
    entries = np.concatenate([entries, _unfiled(kept)])
    known = {entry["digest"].decode(): number for number, entry in enumerate(entries)}
    numbers = np.array([known[row.digest] for row in rows], dtype=np.int64)
    own = {known[name]: picture for name, picture in kept.items()}
    return Pixels(entries, numbers, files, own, lambda place: _decode(rows[place], key, read))


def _missing(wanted: dict[str, Row], entries: Entries) -> list[Row]:
    known = {name.decode() for name in entries["digest"].tolist()}
    return [row for name, row in wanted.items() if name not in known]


def _decoded(
    rows: Sequence[Row], key: PixelKey, read: Read, progress: Progress
) -> Iterator[tuple[str, Prepared]]:
    """Yield the pictures of rows, decoded in threads, in order."""
    with quiet():
        decoded = ordered(lambda row: _decode(row, key, read), rows)
        for done, (row, picture) in enumerate(zip(rows, decoded, strict=True), 1):
            yield row.digest, picture
            progress(_TASK, done, len(rows))


def _decode(row: Row, key: PixelKey, read: Read) -> Prepared:
    try:
        return key.decode(read(row))
    except InvalidPicture as error:  # it passed the gate when it was added
        raise InvalidPicture(
            f"Picture {row.key!r} cannot be decoded any more: {error}", where=row.key
        ) from None


def _unfiled(kept: dict[str, Prepared]) -> Entries:
    """Return entries of pictures that are in memory alone."""
    return np.array(
        [(name.encode(), -1, 0, *picture.shape[:2], 0) for name, picture in kept.items()], dtype=ENTRY
    )


def _check_memory(size: int, error: StorageError | NotAllowedError) -> None:
    """Raise the error, in words that fit, unless memory has room for `size` bytes."""
    room = free_memory()
    if size > _SHARE * room:
        raise StorageError(
            f"Neither the disk nor memory has room for the decoded pictures ({size / 2**30:.1f} GiB).",
            hint="Free some space, choose another place with --workspace DIR or REGRAFT_HOME, or keep "
            "pictures smaller with --set data.cache_side=PIXELS.",
        ) from error


def free_memory() -> int:
    """Return how many bytes of memory nobody needs now, about."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass  # not Linux
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
