"""The two kinds of step that a pipeline is made of, and the registry in which every step has its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from regraft.data.draws import Chance
from regraft.registry import Registry

#: Height and width of each picture: [n, 2].
Shapes: TypeAlias = npt.NDArray[np.int64]
#: Left, top, width and height of a part of each picture, in its pixels; it may reach beyond: [n, 4].
Boxes: TypeAlias = npt.NDArray[np.int64]
Interpolation = Literal["bilinear", "bicubic"]
Probability = Annotated[float, Field(ge=0, le=1)]
#: Red, green and blue from 0 to 255.
Colour = tuple[
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
    Annotated[int, Field(ge=0, le=255)],
]


class Pictures(Protocol):
    """Decoded pictures of many shapes, wherever they lie."""

    def shapes(self, places: npt.NDArray[np.int64]) -> Shapes:
        """Return the height and width of the pictures at some places."""

    def cut(self, places: npt.NDArray[np.int64], boxes: Boxes, how: Cut) -> torch.Tensor:
        """Return a part of each picture, scaled: bytes [n, 3, size, size]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """How a part of a picture becomes a square; what lies beyond the picture has one colour."""

    size: int
    interpolation: Interpolation = "bilinear"
    fill: Colour = (0, 0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Geometry:
    """A step that chooses the part of a picture that is seen; a pipeline begins with one."""

    #: From the pictures' shapes and chance to parts, for a square of some side.
    boxes: Callable[[Shapes, Chance, int], Boxes]
    interpolation: Interpolation
    fill: Colour = (0, 0, 0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """A step that changes squares: bytes [n, 3, size, size] in and out, on whichever device they are."""

    apply: Callable[[torch.Tensor, Chance], torch.Tensor]
    #: Whether it uses the process's own generators, which no other thread may use meanwhile.
    alone: bool = False


Step: TypeAlias = Geometry | Change
AUGMENTATIONS: Registry[Callable[..., Any]] = Registry("augmentation")
