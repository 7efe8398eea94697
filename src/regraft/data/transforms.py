"""Prepare pictures for a net: the same function in training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from regraft.data.parallel import ordered
from regraft.data.pictures import decode, quiet
from regraft.errors import InvalidPicture
from regraft.records import InputSpec

#: Changes whenever the same picture would give other pixels, so that cached features are not reused.
VERSION = 1

Prepared = npt.NDArray[np.uint8]

#: So many times the short side is looked at; the centre crop takes the middle one.
_LONGEST = 8

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(data: bytes, spec: InputSpec) -> Prepared:
    """Decode a picture, scale its short side, and cut out the middle: [size, size, 3], RGB.

    The short side becomes `floor(size / crop)` and the long side is rounded down: what timm's and
    torchvision's evaluation transforms do. Raises InvalidPicture.
    """
    short = int(spec.size / spec.crop)
    image = decode(data, short_side=short)
    left, top, right, bottom = box = _middle(image.size)
    width, height = (short * side // min(image.size) for side in (right - left, bottom - top))
    image = image.resize((width, height), _FILTERS[spec.interpolation], box=box)
    left, top = (round((side - spec.size) / 2) for side in (width, height))
    return np.asarray(image.crop((left, top, left + spec.size, top + spec.size)))


def prepare_all(
    reads: Iterable[Callable[[], bytes]], spec: InputSpec, *, ahead: int = 64
) -> Iterator[Prepared | InvalidPicture]:
    """Prepare pictures in threads and yield them in order; in place of a bad one, yield the reason."""

    def ready(read: Callable[[], bytes]) -> Prepared | InvalidPicture:
        try:
            return prepare(read(), spec)
        except InvalidPicture as error:
            return error

    with quiet():
        yield from ordered(ready, reads, ahead=ahead)


def _middle(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box that leaves out the ends of a very long picture: scaling them could take any memory."""
    left, top = (max(0, side - _LONGEST * min(size)) // 2 for side in size)
    return left, top, size[0] - left, size[1] - top
