"""Steps that move whole pixels, or take some away: flip and erase."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import numpy as np
import torch
from pydantic import Field

from regraft.data.augment.steps import AUGMENTATIONS, Change, Colour, Probability
from regraft.data.draws import Chance

#: The mean of ImageNet.
_MEAN: Colour = (124, 116, 104)

_Part = Annotated[float, Field(gt=0, le=1)]
_Positive = Annotated[float, Field(gt=0)]


@AUGMENTATIONS.register("flip")
def flip(*, p: Probability = 0.5, direction: Literal["horizontal", "vertical"] = "horizontal") -> Change:
    """Mirror a picture, left to right or upside down."""
    axis = 3 if direction == "horizontal" else 2

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        chosen = torch.from_numpy(np.flatnonzero(chance.take(1)[:, 0] < p)).to(images.device)
        images[chosen] = images[chosen].flip(axis)
        return images

    return Change(apply=apply)


@AUGMENTATIONS.register("erase")
def erase(
    *,
    p: Probability = 0.25,
    scale: tuple[_Part, _Part] = (0.02, 0.33),
    ratio: tuple[_Positive, _Positive] = (0.3, 3.3),
    value: Colour = _MEAN,
) -> Change:
    """Paint over a part of random area and proportions, as torchvision's RandomErasing does."""

    def apply(images: torch.Tensor, chance: Chance) -> torch.Tensor:
        height, width = images.shape[2:]
        numbers = chance.take(5)
        area = height * width * (scale[0] + numbers[:, 1] * (scale[1] - scale[0]))
        low, high = math.log(ratio[0]), math.log(ratio[1])
        proportion = np.exp(low + numbers[:, 2] * (high - low))
        tall = np.minimum(np.rint(np.sqrt(area * proportion)), height - 1)
        wide = np.minimum(np.rint(np.sqrt(area / proportion)), width - 1)
        top = np.floor(numbers[:, 3] * (height - tall + 1))
        left = np.floor(numbers[:, 4] * (width - wide + 1))
        colour = torch.tensor(value, dtype=torch.uint8, device=images.device)[:, None, None]
        for place in np.flatnonzero(numbers[:, 0] < p).tolist():
            rows = slice(int(top[place]), int(top[place] + tall[place]))
            columns = slice(int(left[place]), int(left[place] + wide[place]))
            images[place, :, rows, columns] = colour
        return images

    return Change(apply=apply)
