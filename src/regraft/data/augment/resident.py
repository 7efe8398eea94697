"""Decoded pictures that stay on a device, from where parts are cut out many at once.

Scaling is two products with matrices of weights, one for each picture and axis: what a device is best at. The
weights are those of antialiased scaling, so that the result is the one of main memory to a rounding.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from regraft.data.augment.cutting import Picture
from regraft.data.augment.steps import Boxes, Cut, Interpolation, Shapes

#: Sides of parts are rounded up to a multiple, so that a device's memory is asked for in few sizes.
_STEP = 32


class Resident:
    """Pictures of many shapes, end to end in the memory of one device."""

    def __init__(self, pictures: Sequence[Callable[[], Picture]], shapes: Shapes, device: str) -> None:
        areas = shapes.prod(axis=1)
        self._shapes = shapes
        self._starts = np.cumsum(areas) - areas
        self._pixels = torch.empty((int(areas.sum()), 3), dtype=torch.uint8, device=device)
        for start, area, picture in zip(self._starts.tolist(), areas.tolist(), pictures, strict=True):
            self._pixels[start : start + area] = torch.from_numpy(picture().copy()).view(-1, 3)

    def shapes(self, places: npt.NDArray[np.int64]) -> Shapes:
        """Return the height and width of the pictures at some places: [n, 2]."""
        return self._shapes[places]

    def cut(self, places: npt.NDArray[np.int64], boxes: Boxes, how: Cut) -> torch.Tensor:
        """Return a part of each picture, scaled with antialiasing: bytes [n, 3, size, size] on the device."""
        if not len(places):
            return torch.empty((0, 3, how.size, how.size), dtype=torch.uint8, device=self._pixels.device)
        facts = np.concatenate([self._starts[places, None], self._shapes[places], boxes], axis=1)
        start, high, wide, left, top, width, height = torch.from_numpy(facts).to(self._pixels.device).T
        longest = [math.ceil(int(sides.max()) / _STEP) * _STEP for sides in (boxes[:, 3], boxes[:, 2])]
        dtype = torch.float32 if self._pixels.device.type == "cpu" else torch.float16
        rows, columns = (
            torch.arange(side, device=start.device) + first[:, None]
            for side, first in zip(longest, (top, left), strict=True)
        )
        inside = _within(rows, high)[:, :, None] & _within(columns, wide)[:, None, :]
        index = start[:, None, None] + rows[:, :, None] * wide[:, None, None] + columns[:, None, :]
        parts = self._pixels[torch.where(inside, index, 0)]
        fill = torch.tensor(how.fill, dtype=torch.uint8, device=start.device)
        parts = torch.where(inside[..., None], parts, fill).permute(0, 3, 1, 2).to(dtype)
        down, across = (
            _weights(sides, longest_side, how).to(dtype)[:, None]
            for sides, longest_side in zip((height, width), longest, strict=True)
        )
        narrow = _as_bytes(parts @ across.transpose(-1, -2))  # as Pillow and torch round in between
        return _as_bytes(down @ narrow).to(torch.uint8)


def _as_bytes(values: torch.Tensor) -> torch.Tensor:
    return values.round_().clamp_(0, 255)


def _within(places: torch.Tensor, ends: torch.Tensor) -> torch.Tensor:
    return (places >= 0) & (places < ends[:, None])


def _weights(sides: torch.Tensor, longest: int, how: Cut) -> torch.Tensor:
    """Return what each pixel of a side counts in each pixel of the result: [n, size, longest].

    Those of bilinear and bicubic scaling with antialiasing, as Pillow and torch define them.
    """
    scale = (sides / how.size).view(-1, 1, 1).float()
    stretch = scale.clamp(min=1)
    centres = (torch.arange(how.size, device=sides.device).view(1, -1, 1) + 0.5) * scale
    pixels = torch.arange(longest, device=sides.device).view(1, 1, -1)
    weights = _kernel((pixels + 0.5 - centres).abs() / stretch, how.interpolation)
    weights = weights * (pixels < sides.view(-1, 1, 1))
    return weights / weights.sum(dim=2, keepdim=True)


def _kernel(distance: torch.Tensor, interpolation: Interpolation) -> torch.Tensor:
    if interpolation == "bilinear":
        return (1 - distance).clamp(min=0)
    near = (1.5 * distance - 2.5) * distance * distance + 1
    far = ((-0.5 * distance + 2.5) * distance - 4) * distance + 2
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0))
