"""Steps that take their operations from one table: RandAugment, TrivialAugment, AutoAugment, AugMix.

They are those of `torchvision.transforms.v2`, on whole batches: each picture has operations and strengths of
its own. Pixels are moved to the nearest place, which torchvision does too, but for AugMix.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field
from scipy.special import gammaincinv, ndtri

from regraft.data.augment import tones, warps
from regraft.data.augment.auto_policies import POLICIES
from regraft.data.augment.colours import Operation, change_some
from regraft.data.augment.steps import AUGMENTATIONS, Change
from regraft.data.draws import Chance, Floats

_OPERATIONS: Mapping[str, Operation] = {
    "shear-x": warps.shear_x,
    "shear-y": warps.shear_y,
    "translate-x": warps.translate_x,
    "translate-y": warps.translate_y,
    "rotate": warps.rotate,
    "brightness": tones.brightness,
    "color": tones.saturation,
    "contrast": tones.contrast,
    "sharpness": tones.sharpness,
    "posterize": tones.posterize,
    "solarize": tones.solarize,
    "autocontrast": tones.autocontrast,
    "equalize": tones.equalize,
    "invert": tones.invert,
}
_MOVES = ("shear-x", "shear-y", "translate-x", "translate-y", "rotate")
_BLENDS = ("brightness", "color", "contrast", "sharpness")
_TONES = ("posterize", "solarize", "autocontrast", "equalize")
#: What RandAugment and TrivialAugment choose from; the first does nothing.
_CHOICES = ("identity", *_MOVES, *_BLENDS, *_TONES)
#: Levels of AutoAugment and AugMix.
_LEVELS = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class Reach:
    """How far the operations go at their strongest."""

    shear: float = 0.3
    #: As a part of the picture's side, ...
    shift: float = 150 / 331
    #: ... or in pixels, where this is not 0.
    shift_pixels: float = 0.0
    degrees: float = 30.0
    #: How far the factor of a blend is from 1.
    blend: float = 0.9
    #: Bits that posterising leaves at its weakest, and how many more it takes away at its strongest.
    bits: int = 8
    fewer: int = 4

    def amounts(self, name: str, levels: Floats, signs: Floats, size: int) -> Floats:
        """Return amounts of an operation at levels from 0 to 1; the signs count where it has a direction."""
        if name.startswith("shear"):
            return signs * levels * self.shear
        if name.startswith("translate"):
            return signs * levels * (self.shift_pixels or self.shift * size)
        if name == "rotate":
            return signs * levels * self.degrees
        if name in _BLENDS:
            return 1 + signs * levels * self.blend
        if name == "posterize":
            return np.rint(self.bits - levels * self.fewer)
        return 1 - levels  # of solarize: the threshold; others ask for nothing


@AUGMENTATIONS.register("randaugment")
def randaugment(
    *,
    num_ops: Annotated[int, Field(ge=0)] = 2,
    magnitude: Annotated[float, Field(ge=0, le=30)] = 9.0,
    std: Annotated[float, Field(ge=0)] = 0.0,
) -> Change:
    """Apply so many random operations at one magnitude of 30 (Cubuk et al. 2020).

    With `std` the magnitude of each is drawn from a normal distribution around it, as timm does.
    """

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        for _ in range(num_ops):
            which, sign, spread = chance.take(3).T
            levels = np.clip(magnitude + (std * ndtri(spread) if std else 0 * spread), 0, 30) / 30
            images = _perform(images, _CHOICES, _pick(which, len(_CHOICES)), levels, _signs(sign), Reach())
        return images

    return Change(apply=apply)


@AUGMENTATIONS.register("trivial-augment")
def trivial_augment() -> Change:
    """Apply one random operation at a random strength (Müller and Hutter 2021)."""
    reach = Reach(shear=0.99, shift_pixels=32.0, degrees=135.0, blend=0.99, fewer=6)

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        which, sign, level = chance.take(3).T
        return _perform(
            images, _CHOICES, _pick(which, len(_CHOICES)), _pick(level, 31) / 30, _signs(sign), reach
        )

    return Change(apply=apply)


@AUGMENTATIONS.register("auto-augment")
def auto_augment(*, policy: Literal["imagenet", "cifar10", "svhn"] = "imagenet") -> Change:
    """Apply one of 25 learned pairs of operations (Cubuk et al. 2019)."""
    names = list(_OPERATIONS)
    table = [
        [(names.index(name), probability, level / (_LEVELS - 1)) for name, probability, level in pair]
        for pair in POLICIES[policy]
    ]

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        pairs = np.array(table)[_pick(chance.take(1)[:, 0], len(table))]  # [n, 2, 3]
        for which, probability, levels in pairs.transpose(1, 2, 0):
            happens, sign = chance.take(2).T
            chosen = np.where(happens < probability, which, -1).astype(np.int64)
            images = _perform(images, names, chosen, levels, _signs(sign), Reach())
        return images

    return Change(apply=apply)


@AUGMENTATIONS.register("augmix")
def augmix(
    *,
    severity: Annotated[int, Field(ge=1, le=10)] = 3,
    width: Annotated[int, Field(ge=1)] = 3,
    depth: Annotated[int, Field(ge=0)] = 0,
    alpha: Annotated[float, Field(gt=0)] = 1.0,
    all_ops: bool = True,
) -> Change:
    """Mix a picture with several chains of random operations (Hendrycks et al. 2020).

    A chain has `depth` operations, or 1 to 3 where that is 0.
    """
    names = [*_MOVES, *_TONES, *(_BLENDS if all_ops else ())]
    reach = Reach(shift=1 / 3, bits=4)

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        own = _shares(chance.take(2), alpha)
        weights = np.concatenate([own[:, :1], own[:, 1:] * _shares(chance.take(width), alpha)], axis=1)
        shares = torch.from_numpy(weights).to(images.device, torch.float32)[:, :, None, None, None]
        mixture = images * shares[:, 0]
        for chain in range(1, width + 1):
            depths = depth or 1 + _pick(chance.take(1)[:, 0], 3)
            changed = images.clone()
            for turn in range(depth or 3):
                which, sign, level = chance.take(3).T
                chosen = np.where(turn < depths, _pick(which, len(names)), -1)
                levels = _pick(level, severity) / (_LEVELS - 1)
                changed = _perform(changed, names, chosen, levels, _signs(sign), reach)
            mixture += changed * shares[:, chain]
        return mixture.clamp_(0, 255).to(torch.uint8)

    return Change(apply=apply)


def _perform(
    images: torch.Tensor,
    names: Sequence[str],
    chosen: npt.NDArray[np.int64],
    levels: Floats,
    signs: Floats,
    reach: Reach,
) -> torch.Tensor:
    """Apply to each picture the operation that was chosen for it; -1 is none."""
    size = images.shape[3]
    for number, name in enumerate(names):
        places = np.flatnonzero(chosen == number)
        if name in _OPERATIONS and len(places):
            amounts = reach.amounts(name, levels[places], signs[places], size)
            images = change_some(images, places, _OPERATIONS[name], amounts)
    return images


def _pick(numbers: Floats, count: int) -> npt.NDArray[np.int64]:
    return np.floor(numbers * count).astype(np.int64)


def _signs(numbers: Floats) -> Floats:
    return np.where(numbers < 0.5, -1.0, 1.0)


def _shares(numbers: Floats, alpha: float) -> Floats:
    """Return shares that add up to 1, from a Dirichlet distribution with equal parameters: [n, k]."""
    parts = np.maximum(gammaincinv(alpha, numbers), 1e-12)
    shares: Floats = parts / parts.sum(axis=1, keepdims=True)
    return shares
