"""Steps that choose which part of a picture is seen: by chance, or always the same."""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from pydantic import Field

from regraft.data.augment.steps import AUGMENTATIONS, Boxes, Colour, Geometry, Interpolation, Shapes
from regraft.data.draws import Chance

#: The colour of borders around a picture that is shown whole.
GREY: Colour = (114, 114, 114)
#: So many proportions are tried before the middle is taken, as torchvision does.
_TRIES = 10

_Positive = Annotated[float, Field(gt=0)]


@AUGMENTATIONS.register("random-resized-crop")
def random_resized_crop(
    *,
    scale: tuple[Annotated[float, Field(gt=0, le=1)], Annotated[float, Field(gt=0, le=1)]] = (0.08, 1.0),
    ratio: tuple[_Positive, _Positive] = (3 / 4, 4 / 3),
    interpolation: Interpolation = "bilinear",
) -> Geometry:
    """Show a part of random area and proportions, as torchvision's RandomResizedCrop does."""

    def boxes(shapes: Shapes, chance: Chance, _size: int) -> Boxes:
        areas = shapes.prod(axis=1, keepdims=True) * (scale[0] + chance.take(_TRIES) * (scale[1] - scale[0]))
        low, high = math.log(ratio[0]), math.log(ratio[1])
        ratios = np.exp(low + chance.take(_TRIES) * (high - low))
        wide = np.rint(np.sqrt(areas * ratios)).astype(np.int64)
        tall = np.rint(np.sqrt(areas / ratios)).astype(np.int64)
        fits = np.logical_and.reduce([wide > 0, wide <= shapes[:, 1:], tall > 0, tall <= shapes[:, :1]])
        first = fits.argmax(axis=1)[:, None]
        sides = np.concatenate([np.take_along_axis(part, first, 1) for part in (wide, tall)], axis=1)
        room = shapes[:, ::-1] - sides + 1
        corners = np.floor(chance.take(2) * room).astype(np.int64)
        found = np.concatenate([corners, sides], axis=1)
        return np.where(fits.any(axis=1)[:, None], found, _middle(shapes, ratio))

    return Geometry(boxes=boxes, interpolation=interpolation)


@AUGMENTATIONS.register("random-crop")
def random_crop(
    *,
    padding: Annotated[int, Field(ge=0)] = 4,
    fill: Colour = (0, 0, 0),
    interpolation: Interpolation = "bilinear",
) -> Geometry:
    """Show a square somewhere in the picture, which has borders of so many pixels of what the net sees.

    The square is as large as the picture's short side, so that a picture of the net's own size is moved
    and never scaled.
    """

    def boxes(shapes: Shapes, chance: Chance, size: int) -> Boxes:
        short = shapes.min(axis=1, keepdims=True)
        borders = np.rint(padding * short / size).astype(np.int64)
        room = shapes[:, ::-1] - short + 2 * borders + 1
        corners = np.floor(chance.take(2) * room).astype(np.int64) - borders
        return np.concatenate([corners, short, short], axis=1)

    return Geometry(boxes=boxes, interpolation=interpolation, fill=fill)


@AUGMENTATIONS.register("center-crop")
def center_crop(
    *,
    fraction: Annotated[float, Field(gt=0, le=1)] = 1.0,
    interpolation: Interpolation = "bilinear",
) -> Geometry:
    """Show the middle of the picture: a square of a fraction of the short side."""

    def boxes(shapes: Shapes, _chance: Chance, _size: int) -> Boxes:
        side = np.maximum(1, np.rint(shapes.min(axis=1, keepdims=True) * fraction)).astype(np.int64)
        return np.concatenate([(shapes[:, ::-1] - side) // 2, side, side], axis=1)

    return Geometry(boxes=boxes, interpolation=interpolation)


@AUGMENTATIONS.register("pad")
def pad(*, fill: Colour = GREY, interpolation: Interpolation = "bilinear") -> Geometry:
    """Show the whole picture between borders of one colour."""

    def boxes(shapes: Shapes, _chance: Chance, _size: int) -> Boxes:
        side = shapes.max(axis=1, keepdims=True)
        return np.concatenate([(shapes[:, ::-1] - side) // 2, side, side], axis=1)

    return Geometry(boxes=boxes, interpolation=interpolation, fill=fill)


@AUGMENTATIONS.register("squash")
def squash(*, interpolation: Interpolation = "bilinear") -> Geometry:
    """Show the whole picture, its sides made equal."""

    def boxes(shapes: Shapes, _chance: Chance, _size: int) -> Boxes:
        return np.concatenate([np.zeros_like(shapes), shapes[:, ::-1]], axis=1)

    return Geometry(boxes=boxes, interpolation=interpolation)


def _middle(shapes: Shapes, ratio: tuple[float, float]) -> Boxes:
    """Return the largest part in the middle whose proportions are allowed."""
    heights, widths = shapes[:, 0], shapes[:, 1]
    wide = np.minimum(widths, np.rint(heights * ratio[1])).astype(np.int64)
    high = np.minimum(heights, np.rint(widths / ratio[0])).astype(np.int64)
    wide, high = np.maximum(1, wide), np.maximum(1, high)
    return np.stack([(widths - wide) // 2, (heights - high) // 2, wide, high], axis=1)
