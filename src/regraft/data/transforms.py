"""Prepare pictures for a net: the same function in training, evaluation and prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import numpy.typing as npt
from PIL import Image

from regraft.data.parallel import ordered
from regraft.data.pictures import decode, opened, pixels, quiet
from regraft.errors import InvalidPicture
from regraft.records import InputSpec

#: Changes whenever the same picture would give other pixels, so that cached features are not reused.
VERSION = 1

Prepared = npt.NDArray[np.uint8]

#: So many times the short side is looked at; the centre crop takes the middle one.
LONGEST = 8

#: The colour of the borders around a picture that is seen whole: a middle grey.
_GREY = (114, 114, 114)

_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def prepare(data: bytes, spec: InputSpec) -> Prepared:
    """Decode a picture and make a square of it: [size, size, 3], RGB.

    `crop` scales its short side and cuts out the middle. The short side becomes `floor(size / crop)` and the
    long side is rounded down: what timm's and torchvision's evaluation transforms do. `pad` scales its long
    side to the size and puts grey borders around it, `squash` scales both sides; both show all of it, and
    the spec's `crop` means nothing to them. Raises InvalidPicture.
    """
    if spec.resize == "pad":
        return _padded(data, spec)
    if spec.resize == "squash":
        image = decode(data, short_side=spec.size)
        return np.asarray(image.resize((spec.size, spec.size), _FILTERS[spec.interpolation]))
    short = int(spec.size / spec.crop)
    image = decode(data, short_side=short)
    left, top, right, bottom = box = _middle(image.size)
    width, height = (short * side // min(image.size) for side in (right - left, bottom - top))
    image = image.resize((width, height), _FILTERS[spec.interpolation], box=box)
    left, top = (round((side - spec.size) / 2) for side in (width, height))
    return np.asarray(image.crop((left, top, left + spec.size, top + spec.size)))


def shrink(data: bytes, short_side: int) -> Prepared:
    """Decode a picture whole, for parts to be cut out of it: [height, width, 3], RGB.

    A longer short side is scaled down to so many pixels, and a shorter one stays. Of a very long picture the
    ends are left out. Raises InvalidPicture.
    """
    image = decode(data, short_side=short_side)
    left, top, right, bottom = box = _middle(image.size)
    scale = min(1.0, short_side / min(image.size))
    size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, box=box))


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


def _padded(data: bytes, spec: InputSpec) -> Prepared:
    image = opened(data)
    scale = spec.size / max(image.size)
    image = pixels(image, max(1, round(min(image.size) * scale)))
    width, height = (max(1, round(side * spec.size / max(image.size))) for side in image.size)
    square = Image.new("RGB", (spec.size, spec.size), _GREY)
    whole = image.resize((width, height), _FILTERS[spec.interpolation])
    square.paste(whole, ((spec.size - width) // 2, (spec.size - height) // 2))
    return np.asarray(square)


def _middle(size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Return the box that leaves out the ends of a very long picture: scaling them could take any memory."""
    left, top = (max(0, side - LONGEST * min(size)) // 2 for side in size)
    return left, top, size[0] - left, size[1] - top
