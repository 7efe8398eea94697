"""The transforms of `torchvision.transforms.v2` as steps: picture by picture, seeded for each."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import torch

from regraft.data.augment.steps import Change
from regraft.data.draws import Chance
from regraft.data.seeding import seeded
from regraft.errors import InvalidRecipe, did_you_mean

#: How the names of these steps begin: `torchvision.GaussianBlur`.
PREFIX = "torchvision."

Transform = Callable[[torch.Tensor], torch.Tensor]


def build(name: str, options: Mapping[str, Any], *, size: int, where: str) -> Change:
    """Make a step of a transform that takes and gives bytes of one size.

    Where torchvision's compiled operators are missing, whoever calls this has registered their names. Raises
    InvalidRecipe for an unknown name or option, and for a transform that gives something else.
    """
    transform = _made(name, options, where)

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        for place, words in enumerate(chance.words()):
            with seeded(words):
                images[place] = transform(images[place])
        return images

    sample = torch.zeros((3, size, size), dtype=torch.uint8)
    with seeded(where):
        given = _tried(transform, sample, name, where)
    if not isinstance(given, torch.Tensor) or given.shape != sample.shape or given.dtype != sample.dtype:
        raise InvalidRecipe(
            f"{name!r} does not give bytes of the size that it takes.",
            hint="Sizes, crops and normalisation follow from the model; leave this transform out.",
            where=where,
        )
    return Change(apply=apply, alone=True)


def _made(name: str, options: Mapping[str, Any], where: str) -> Transform:
    from torchvision.transforms import v2  # seconds that other steps do not need

    known = _transforms(v2)
    short = name.removeprefix(PREFIX)
    if short not in known:
        raise InvalidRecipe(
            f"torchvision has no transform {short!r}.", hint=did_you_mean(short, known), where=where
        )
    parameters = list(inspect.signature(known[short]).parameters)
    for key in options:
        if key not in parameters:
            hint = did_you_mean(key, parameters, otherwise=f"It has {', '.join(parameters) or 'none'}.")
            raise InvalidRecipe(f"{name!r} has no option {key!r}.", hint=hint, where=f"{where}.{key}")
    try:
        transform: Transform = known[short](**options)
    except (TypeError, ValueError) as error:
        raise InvalidRecipe(f"{name!r} refuses its options: {error}", where=where) from error
    return transform


def _tried(transform: Transform, sample: torch.Tensor, name: str, where: str) -> object:
    try:
        return transform(sample)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InvalidRecipe(f"{name!r} does not take a picture of bytes: {error}", where=where) from error


def _transforms(v2: ModuleType) -> dict[str, Any]:
    classes = {name: item for name, item in vars(v2).items() if inspect.isclass(item)}
    return {name: item for name, item in classes.items() if v2.Transform in item.__mro__[1:]}
