"""Pipelines: the entries of `data.augment` in order, from decoded pictures to what a net sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch

from regraft.data.augment import colours, flips, foreign, geometry, policies
from regraft.data.augment.steps import AUGMENTATIONS, Change, Cut, Geometry, Pictures, Step
from regraft.data.draws import Chance, Identities
from regraft.errors import InvalidRecipe
from regraft.registry import Entry, split

#: The modules whose steps are registered.
STEPS = (colours, flips, geometry, policies)

#: What is seen of a picture where no augmentation chooses.
_VIEWS = {"crop": geometry.center_crop, "pad": geometry.pad, "squash": geometry.squash}


@dataclass(frozen=True, kw_only=True, slots=True)
class Pipeline:
    """Makes squares of decoded pictures; the same picture of the same epoch always becomes the same."""

    size: int
    geometry: Geometry
    changes: tuple[Change, ...]

    def __call__(
        self,
        pictures: Pictures,
        places: npt.NDArray[np.int64],
        identities: Identities,
        *,
        seed: int,
        epoch: int,
    ) -> torch.Tensor:
        """Return the pictures at some places as bytes [n, 3, size, size], where the pictures lie."""
        chance = Chance(seed, epoch, identities)
        boxes = self.geometry.boxes(pictures.shapes(places), chance, self.size)
        how = Cut(size=self.size, interpolation=self.geometry.interpolation, fill=self.geometry.fill)
        images = pictures.cut(places, boxes, how)
        for stream, change in enumerate(self.changes, 1):
            images = change.apply(images, Chance(seed, epoch, identities, stream=stream))
        return images

    @property
    def alone(self) -> bool:
        """Whether it uses the process's own generators, so that no other thread may run beside it."""
        return any(change.alone for change in self.changes)


def build(
    entries: Sequence[Entry],
    *,
    size: int,
    resize: Literal["crop", "pad", "squash"] = "crop",
    where: str = "data.augment",
) -> Pipeline:
    """Make a pipeline of entries; raises InvalidRecipe, which names the entry or its option.

    A step that chooses the part of the picture that is seen may stand first. Without one, the whole of it is
    seen that the policy `resize` leaves.
    """
    steps = [_step(entry, size, where=f"{where}.{place}") for place, entry in enumerate(entries)]
    for place, step in enumerate(steps[1:], 1):
        if isinstance(step, Geometry):
            name, _ = split(entries[place], where=f"{where}.{place}")
            raise InvalidRecipe(
                f"{name!r} has to be the first augmentation.",
                hint="Move it to the front, and leave out what else chooses a part of the picture.",
                where=f"{where}.{place}",
            )
    first = steps[0] if steps and isinstance(steps[0], Geometry) else _VIEWS[resize]()
    return Pipeline(
        size=size, geometry=first, changes=tuple(step for step in steps if isinstance(step, Change))
    )


def chooses(entries: Sequence[Entry], *, where: str = "data.augment") -> bool:
    """Tell whether the first entry chooses the part of a picture that is seen: it wants the whole of it."""
    return bool(entries) and isinstance(_step(entries[0], 1, where=f"{where}.0"), Geometry)


def _step(entry: Entry, size: int, *, where: str) -> Step:
    name, options = split(entry, where=where)
    if name.startswith(foreign.PREFIX):
        return foreign.build(name, options, size=size, where=where)
    factory, options = AUGMENTATIONS.find(entry, where=where)
    step: Step = factory(**options)
    return step
