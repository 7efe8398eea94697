"""Cut parts out of decoded pictures in main memory, and scale them, one picture after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch

from regraft.data.augment.steps import Boxes, Cut

#: A decoded picture: [height, width, 3], RGB.
Picture = npt.NDArray[np.uint8]


def cut_each(pictures: Sequence[Callable[[], Picture]], boxes: Boxes, how: Cut) -> torch.Tensor:
    """Return a part of each picture, scaled with antialiasing: bytes [n, 3, size, size]."""
    squares = torch.empty((len(pictures), 3, how.size, how.size), dtype=torch.uint8)
    for square, picture, box in zip(squares, pictures, boxes.tolist(), strict=True):
        part = torch.from_numpy(_part(picture(), box, how)).permute(2, 0, 1)
        if part.shape[1:] == square.shape[1:]:
            square.copy_(part)
        else:
            square.copy_(
                torch.nn.functional.interpolate(
                    part[None], (how.size, how.size), mode=how.interpolation, antialias=True
                )[0]
            )
    return squares


def _part(picture: Picture, box: Sequence[int], how: Cut) -> Picture:
    """Return a copy of what a box shows of a picture, and of what lies around it."""
    left, top, width, height = box
    rows, columns = (
        slice(max(0, start), max(0, min(side, start + length)))
        for start, length, side in ((top, height, picture.shape[0]), (left, width, picture.shape[1]))
    )
    inside = picture[rows, columns]
    if inside.shape[:2] == (height, width):
        return inside.copy()
    part = np.empty((height, width, 3), dtype=np.uint8)
    part[:] = how.fill
    part[max(0, -top) : max(0, -top) + inside.shape[0], max(0, -left) : max(0, -left) + inside.shape[1]] = (
        inside
    )
    return part
