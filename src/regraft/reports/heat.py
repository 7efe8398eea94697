"""Heat over a picture: where a net looks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

Pixels = npt.NDArray[np.uint8]

#: Heat from none to all: from dark violet over red to a light yellow, lighter all the way, so that it can be
#: read without colours too.
_COLOURS = np.array([(40, 16, 90), (125, 30, 110), (205, 60, 75), (248, 140, 50), (252, 240, 150)], float)
#: So much of the picture stays to be seen under full heat.
_SEEN = 0.35
#: And so much lightness where there is none.
_DIM = 0.75


def picture(pixels: Pixels) -> Image.Image:
    """Return pixels [height, width, 3] as an image."""
    return Image.fromarray(pixels)


def overlay(pixels: Pixels, heat: npt.NDArray[np.float32]) -> Image.Image:
    """Draw heat [height, width] between 0 and 1 over pixels [height, width, 3], whose colours go."""
    grey = np.repeat(np.asarray(Image.fromarray(pixels).convert("L"), float)[..., None], 3, axis=2)
    place = heat.astype(float) * (len(_COLOURS) - 1)
    low = np.minimum(place.astype(int), len(_COLOURS) - 2)
    part = (place - low)[..., None]
    colour = _COLOURS[low] * (1 - part) + _COLOURS[low + 1] * part
    strength = heat.astype(float)[..., None] * (1 - _SEEN)
    mixed = _DIM * grey * (1 - strength) + colour * strength
    return Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8))
