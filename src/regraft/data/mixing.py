"""Mix each picture of a batch with another one: mixup (Zhang et al. 2018) and CutMix (Yun et al. 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from regraft.data.draws import generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """How the pictures of one batch are mixed."""

    #: The part of a picture that is its own.
    lam: float
    #: Rows and columns that come from the other picture; None where the two are laid over each other.
    window: tuple[slice, slice] | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Mix:
    """Whether pictures are mixed: parameters of beta distributions, 0 for never."""

    mixup: float
    cutmix: float

    def plan(self, seed: int, epoch: int, batch: int, size: int) -> Plan | None:
        """Return how a batch of squares of some size is mixed; it follows from the arguments alone."""
        if not self.mixup and not self.cutmix:
            return None
        random = generator(f"mix:{seed}:{epoch}:{batch}")
        cuts = bool(self.cutmix) and (not self.mixup or random.random_sample() < 0.5)
        alpha = self.cutmix if cuts else self.mixup
        lam = float(random.beta(alpha, alpha))
        if not cuts:
            return Plan(lam=lam, window=None)
        middle = random.randint(size), random.randint(size)
        half = size * math.sqrt(1 - lam) / 2
        rows, columns = (
            slice(max(0, round(place - half)), min(size, round(place + half))) for place in middle
        )
        area = (rows.stop - rows.start) * (columns.stop - columns.start)
        return Plan(lam=1 - area / size**2, window=(rows, columns))


def mixed(images: torch.Tensor, others: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Return pictures with others mixed in: bytes [n, 3, size, size]."""
    if plan.window is not None:
        rows, columns = plan.window
        images = images.clone()
        images[:, :, rows, columns] = others[:, :, rows, columns]
        return images
    return torch.lerp(others.float(), images.float(), plan.lam).round_().to(torch.uint8)
