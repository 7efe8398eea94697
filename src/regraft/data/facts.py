"""What is measured of every picture while it is decoded: a row of numbers, and a thumb of 16 x 16."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from regraft.data import pictures
from regraft.data.pictures import FORMATS

#: Rises when the same picture would be measured otherwise.
VERSION = 2
#: Side of a thumb in pixels.
THUMB = 16
FACTS = np.dtype(
    [
        # Grey, upright, each value the mean of its part of the picture.
        ("thumb", "u1", (THUMB, THUMB)),
        # Mean and standard deviation of the grey values, both from 0 to 1.
        ("brightness", "f4"),
        ("contrast", "f4"),
        # How narrow the strongest edges are: 1 and more where they are sharp, whatever their contrast; 0
        # where there is no edge.
        ("sharpness", "f4"),
        # Mean distance of the colours from grey, from 0 to 1.
        ("chroma", "f4"),
        # Mean red and mean blue less mean green, each over their sum: the same however bright it is.
        ("tint", "f4", (2,)),
        # Index into `pictures.FORMATS`.
        ("format", "u1"),
        # The EXIF value, from 1 to 8.
        ("orientation", "u1"),
        # When the picture was taken by the camera's clock, in seconds since 1970; 0 where it is not said.
        ("taken", "i8"),
        # Upright, in pixels.
        ("width", "i4"),
        ("height", "i4"),
        # In bytes.
        ("size", "i8"),
    ]
)
#: Pictures are measured with a short side of so many pixels, so that large and small ones compare.
SIDE = 160

#: Of a strip so many pixels say how sharp it is.
_ENOUGH = 100 * SIDE
#: A picture that is so many times as high as wide is a strip.
_LONG = 1000

_EXIF = 0x8769
_DATE_TIME_ORIGINAL = 0x9003


def measure(data: bytes) -> NDArray[np.void]:
    """Decode a picture all through and return its row of `FACTS`.

    Raises InvalidPicture with the reason, wherever `pictures.decode` does.
    """
    image = pictures.opened(data)
    width, height = image.size
    upright = pictures.pixels(image, SIDE)
    orientation = pictures.orientation(image)
    if orientation >= 5:
        width, height = height, width
    row = np.zeros((), FACTS)
    grey = upright.convert("L")
    row["thumb"] = np.asarray(_square(grey, THUMB))
    row["brightness"], row["contrast"] = _mean_and_spread(grey)
    pixels = np.asarray(_small(grey))[:_ENOUGH, :_ENOUGH].astype(np.int16)
    row["sharpness"] = _sharpness(pixels)
    row["chroma"], row["tint"] = _colour(upright)
    row["format"] = _format(image)
    row["orientation"], row["taken"] = orientation, _taken(image)
    row["width"], row["height"], row["size"] = width, height, len(data)
    return row


def _format(image: Image.Image) -> int:
    name = str(image.format)
    return FORMATS.index("JPEG" if name == "MPO" else name)  # MPO: a JPEG with more pictures behind it


def _mean_and_spread(grey: Image.Image) -> tuple[float, float]:
    shares = np.array(grey.histogram()) / (grey.width * grey.height)
    values = np.arange(256) / 255
    mean = float(shares @ values)
    return mean, float(np.sqrt(shares @ (values - mean) ** 2))


def _square(image: Image.Image, side: int) -> Image.Image:
    if image.height > _LONG * image.width:  # Pillow would widen each of its many lines first
        image = image.resize((image.width, side), Image.Resampling.BOX)
    return image.resize((side, side), Image.Resampling.BOX)


def _small(grey: Image.Image) -> Image.Image:
    """Reduce a picture whose short side is well above SIDE."""
    scale = SIDE / min(grey.size)
    if scale > 0.8:
        return grey
    size = max(1, round(grey.width * scale)), max(1, round(grey.height * scale))
    return grey.resize(size, Image.Resampling.BOX)


def _sharpness(pixels: NDArray[np.int16]) -> float:
    """Return how fast the strongest edges rise, next to how high they are.

    The strongest 1 % of the second differences over the strongest 1 % of the first ones, along rows or
    along columns, whichever is the sharper. Of an edge blurred by a Gaussian of s pixels it is about 0.6 / s.
    """
    return max(_steepness(pixels), _steepness(np.ascontiguousarray(pixels.T)))


def _steepness(pixels: NDArray[np.int16]) -> float:
    lines = pixels[::2] if len(pixels) >= SIDE // 2 else pixels  # every second line says as much
    if lines.shape[1] < 5:
        return 0.0
    left, middle, right = lines[:, :-4], lines[:, 2:-2], lines[:, 4:]  # neighbours share a blot of JPEG
    height = _strongest(right - left)
    return _strongest(right - 2 * middle + left) / height if height else 0.0


def _strongest(differences: NDArray[np.int16]) -> float:
    """Return the mean of the largest 1 % of the differences, whatever their sign."""
    sizes = np.abs(differences).ravel()
    place = len(sizes) - max(1, len(sizes) // 100)
    return float(np.partition(sizes, place)[place:].mean())


def _colour(image: Image.Image) -> tuple[float, tuple[float, float]]:
    """Return how far the colours are from grey, and the tint of all of them together."""
    small = np.asarray(image.resize((2 * THUMB, 2 * THUMB), Image.Resampling.BOX))
    red, green, blue = np.moveaxis(small.astype(np.int16), 2, 0)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    totals = int(red.sum()), int(green.sum()), int(blue.sum())
    whole = max(sum(totals), 1)
    tint = (totals[0] - totals[1]) / whole, (totals[2] - totals[1]) / whole
    return int(spread.sum()) / (spread.size * 255), tint


def _taken(image: Image.Image) -> int:
    """Return when the picture was taken; damaged EXIF data and impossible dates count as not said."""
    with contextlib.suppress(Exception):  # over damaged bytes Pillow raises anything
        text = str(image.getexif().get_ifd(_EXIF)[_DATE_TIME_ORIGINAL]).strip("\0 ")
        taken = datetime.strptime(text[:19], "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)
        return int(taken.timestamp())
    return 0
