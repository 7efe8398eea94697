"""Steps that change the colours of pictures by chance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import numpy as np
import torch
from pydantic import Field

from regraft.data.augment import tones, warps
from regraft.data.augment.steps import AUGMENTATIONS, Change, Probability
from regraft.data.draws import Chance, Floats

Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

#: 0.4 stands for factors from 0.6 to 1.4.
_Strength = Annotated[float, Field(ge=0)]


@AUGMENTATIONS.register("color-jitter")
def color_jitter(
    *,
    brightness: _Strength = 0.4,
    contrast: _Strength = 0.4,
    saturation: _Strength = 0.4,
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0,
    p: Probability = 1.0,
) -> Change:
    """Change brightness, contrast, saturation and hue in a random order, like torchvision's ColorJitter."""
    strengths = {
        tones.brightness: brightness,
        tones.contrast: contrast,
        tones.saturation: saturation,
        tones.hue: hue,
    }

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        chosen = chance.take(1)[:, 0] < p
        amounts = {
            operation: _amounts(numbers, strength, around=0.0 if operation is tones.hue else 1.0)
            for (operation, strength), numbers in zip(strengths.items(), chance.take(4).T, strict=True)
        }
        order = chance.take(4).argsort(axis=1)
        for turn in range(4):
            for number, (operation, strength) in enumerate(strengths.items()):
                if strength:
                    places = np.flatnonzero(chosen & (order[:, turn] == number))
                    images = change_some(images, places, operation, amounts[operation][places])
        return images

    return Change(apply=apply)


@AUGMENTATIONS.register("gray")
def gray(*, p: Probability = 0.1) -> Change:
    """Take the colour away."""

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        places = np.flatnonzero(chance.take(1)[:, 0] < p)
        return change_some(images, places, tones.gray, np.zeros(len(places)))

    return Change(apply=apply)


@AUGMENTATIONS.register("rotate")
def rotate(*, degrees: Annotated[float, Field(ge=0, le=180)] = 15.0, p: Probability = 1.0) -> Change:
    """Turn by at most so many degrees, either way."""

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        numbers = chance.take(2)
        places = np.flatnonzero(numbers[:, 0] < p)
        return change_some(images, places, warps.rotate, (2 * numbers[places, 1] - 1) * degrees)

    return Change(apply=apply)


def change_some(
    images: torch.Tensor,
    places: np.ndarray[tuple[int], np.dtype[np.int64]],
    operation: Operation,
    amounts: Floats,
) -> torch.Tensor:
    """Return a batch in which the pictures at some places went through an operation."""
    if not len(places):
        return images
    which = torch.from_numpy(places).to(images.device)
    by = torch.from_numpy(amounts).to(images.device, torch.float32)
    images[which] = operation(images[which], by)
    return images


def _amounts(numbers: Floats, strength: float, *, around: float) -> Floats:
    """Return amounts from `around - strength` to `around + strength`; none below 0 but of a hue."""
    low = around - strength if around == 0 else max(0.0, around - strength)
    return low + numbers * (around + strength - low)
