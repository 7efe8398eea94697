"""What the frozen part of a net makes of pictures, kept: computed once, and read as a map of memory after.

Activations are large, unlike features: whether they are worth their room is decided before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from regraft.data.pixel_files import Entries, PixelFiles, check_of
from regraft.data.pixels import PixelKey
from regraft.data.transforms import Prepared
from regraft.progress import Progress
from regraft.records import InputSpec, Precision, Record, digest, encode

#: From places in a list of pictures to their activations in that order, some [n, ...] at a time.
Compute = Callable[[Sequence[int]], Iterable[torch.Tensor]]
#: How each number of an activation is kept.
Number = Literal["float32", "bfloat16", "float16"]

_TASK = "Computing what is frozen"
#: Keeping activations has to save this part of the time, since it takes room, and clocks are not exact.
_GAIN = 0.1
#: The part of the free room of a disk that may be taken.
_SHARE = 0.5


class ActivationKey(Record):
    """What the activations of a picture depend on, besides the picture."""

    #: Digests of the weights; the adapter's is empty where there is none.
    trunk: str
    adapter: str = ""
    architecture: str
    #: Name of the last module below.
    boundary: str
    #: Of the activation of one picture.
    shape: tuple[int, ...]
    number: Number
    #: How a picture is decoded, and how the net wants it.
    pixels: PixelKey
    input: InputSpec
    precision: Precision
    #: Versions of the libraries that compute.
    libraries: dict[str, str]
    #: What computes: another processor may round otherwise.
    processor: str


class Activations:
    """The activations of some pictures, by position."""

    def __init__(self, key: ActivationKey, entries: Entries, files: PixelFiles) -> None:
        self._entries = entries
        self._files = files
        self._dtype = _dtype(key.number)
        #: Of the activation of one picture.
        self.shape = key.shape

    def __len__(self) -> int:
        return len(self._entries)

    def take(self, places: npt.NDArray[np.int64]) -> torch.Tensor:
        """Return the activations at some places, in main memory, as exact as they were kept."""
        taken = np.empty((len(places), *_cells(self.shape), self._dtype.itemsize), dtype=np.uint8)
        for row, entry in zip(taken, self._entries[places], strict=True):
            row[:] = self._files.read(entry)
        return torch.from_numpy(taken.reshape(-1)).view(self._dtype).view(len(places), *self.shape)


def open_activations(
    root: Path, key: ActivationKey, digests: Sequence[str], compute: Compute, progress: Progress
) -> Activations:
    """Return the activations of pictures; what the cache below `root` lacks is computed and kept there.

    All that is wanted is checked first, and what is damaged computed anew: nothing has to be computed while
    a net learns. Raises StorageError where the disk has no room.
    """
    files = PixelFiles(root / "activations" / digest(encode(key)), depth=_dtype(key.number).itemsize)
    place = {name: number for number, name in reversed(list(enumerate(digests)))}
    entries = _sound(files, place)
    if len(entries) < len(place):
        with files.alone(partial(progress, "Waiting for another process that computes", 0, 1)):
            entries = np.concatenate([entries, _sound(files, place)])
            missing = sorted(place[name] for name in place.keys() - _names(entries))
            if missing:
                files.check_room(size_of(key.shape, len(missing), key.number))
                files.write(_computed(key, missing, digests, compute, progress))
                entries = np.concatenate([entries, files.look()])
    known = {name: number for number, name in enumerate(_names(entries))}
    return Activations(key, entries[[known[name] for name in digests]], files)


def size_of(shape: Sequence[int], count: int, number: Number) -> int:
    """Return how many bytes the activations of so many pictures take."""
    return count * math.prod(shape) * _dtype(number).itemsize


def worth(
    *,
    seconds_lower: float,
    seconds_upper: float,
    seconds_read: float,
    epochs: int,
    bytes_needed: int,
    bytes_free: int,
) -> bool:
    """Tell whether activations should be kept: it saves time, and leaves the disk half of its free room.

    The seconds are those of one batch: below the boundary, a step above it, and taking activations from the
    disk. What is kept costs one pass below and then no more.
    """
    kept = seconds_lower + epochs * (seconds_read + seconds_upper)
    again = epochs * (seconds_lower + seconds_upper)
    return kept <= (1 - _GAIN) * again and bytes_needed <= _SHARE * bytes_free


def _sound(files: PixelFiles, wanted: Iterable[str]) -> Entries:
    """Return the entries of what is wanted and not seen before; a file in which one is damaged is removed."""
    entries = files.look()
    entries = entries[np.isin(entries["digest"], np.array([name.encode() for name in wanted]))]
    bad = {int(entry["file"]) for entry in entries if check_of(files.read(entry)) != entry["check"]}
    for number in bad:
        files.drop(number)
    return entries[~np.isin(entries["file"], list(bad))]


def _computed(
    key: ActivationKey, places: Sequence[int], digests: Sequence[str], compute: Compute, progress: Progress
) -> Iterator[tuple[str, Prepared]]:
    """Yield the activations of the pictures at some places as bytes [height, width, depth]."""
    done = 0
    for batch in compute(places):
        plain = batch.to("cpu", _dtype(key.number)).contiguous()
        cells = plain.view(len(plain), *_cells(key.shape), 1).view(torch.uint8).numpy()
        for row in cells:
            yield digests[places[done]], row
            done += 1
        progress(_TASK, done, len(places))


def _cells(shape: Sequence[int]) -> tuple[int, int]:
    """Return height and width of an activation, laid flat."""
    return shape[0], math.prod(shape[1:])


def _names(entries: Entries) -> list[str]:
    return [name.decode() for name in entries["digest"].tolist()]


def _dtype(number: Number) -> torch.dtype:
    dtype: torch.dtype = getattr(torch, number)
    return dtype
