"""Losses of single pictures, what weighs classes of different size, and what pulls weights back.

Every loss is given for each picture [n], in float32; the loop sums or averages. Class
weights are scaled so that their mean over the train pictures is 1, and a mean divides by the number of
pictures, as OpenMMLab's does and torch's, which divides by the sum of the weights, does not: a batch with few
rare pictures then counts for no more than another.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import torch
from pydantic import NonNegativeFloat
from torch import Tensor, nn
from torch.nn import functional

from regraft.registry import Entry, Registry

#: Logits [n, classes] and targets, numbers [n] or shares [n, classes], to the losses of n pictures.
Loss = Callable[[Tensor, Tensor], Tensor]
#: Logits and shares, both [n, classes], to the losses of each class [n, classes].
Kind = Callable[[Tensor, Tensor], Tensor]

#: `auto` weighs classes where the largest has so many times as many pictures as the smallest.
UNEVEN = 3

#: Keeps the gradient of a power finite where a picture is named rightly beyond doubt.
_TINY = 1e-12

LOSSES: Registry[Callable[..., Kind]] = Registry("loss")


def build(
    entry: Entry, *, classes: int, label_smoothing: float, class_weights: Sequence[float] | None
) -> Loss:
    """Make the loss that a recipe names; raises InvalidRecipe for an unknown one or a wrong option.

    Label smoothing gives a part of each target to all classes alike (Szegedy et al., 2016).
    """
    make, chosen = LOSSES.find(entry, where="train.loss")
    kind = make(**chosen)
    weights = None if class_weights is None else torch.tensor(class_weights, dtype=torch.float32)

    def loss(logits: Tensor, targets: Tensor) -> Tensor:
        nonlocal weights  # they follow the logits to their device once
        with torch.autocast(logits.device.type, enabled=False):
            shares = targets if targets.ndim == 2 else functional.one_hot(targets, classes)
            shares = shares.float() * (1 - label_smoothing) + label_smoothing / classes
            losses = kind(logits.float(), shares)
            if weights is not None:
                weights = weights.to(losses.device)
                losses = losses * weights
            return losses.sum(dim=1)

    return loss


@LOSSES.register("cross-entropy")
def cross_entropy() -> Kind:
    """Score the probability of the true class."""
    return lambda logits, shares: -shares * functional.log_softmax(logits, dim=1)


@LOSSES.register("focal")
def focal(*, gamma: NonNegativeFloat = 2.0) -> Kind:
    """Score it so that what is nearly right counts for less (Lin et al., 2017); 0 is cross-entropy."""

    def kind(logits: Tensor, shares: Tensor) -> Tensor:
        logarithms = functional.log_softmax(logits, dim=1)
        return -shares * (-torch.expm1(logarithms)).clamp(min=_TINY) ** gamma * logarithms

    return kind


@LOSSES.register("bce")
def binary_cross_entropy() -> Kind:
    """Score every class by itself, as a yes or no, and add them up (Wightman et al., 2021)."""
    return lambda logits, shares: functional.binary_cross_entropy_with_logits(
        logits, shares, reduction="none"
    )


def class_weights(counts: Sequence[int]) -> list[float]:
    """Return a weight for each class, inverse to its train pictures, whose mean over the pictures is 1.

    A class without a picture gets 0.
    """
    there = sum(count > 0 for count in counts)
    return [sum(counts) / (there * count) if count else 0.0 for count in counts]


def resolve_balance(
    balance: Literal["none", "auto", "weights", "sampler"], counts: Sequence[int]
) -> Literal["none", "weights", "sampler"]:
    """Decide what is done about classes with so many train pictures each."""
    if balance != "auto":
        return balance
    sizes = [count for count in counts if count]
    return "weights" if sizes and max(sizes) >= UNEVEN * min(sizes) else "none"


def mixed_targets(targets: Tensor, partners: Tensor, lam: Tensor, classes: int) -> Tensor:
    """Return shares [n, classes] of pictures of which a part `lam` [n] is their own, the rest a partner's."""
    own, other = functional.one_hot(targets, classes), functional.one_hot(partners, classes)
    part = lam.float().unsqueeze(1)
    return own * part + other * (1 - part)


def mean_equivalent(lr: float, batch_size: int, reduction: Literal["mean", "sum"]) -> float:
    """Return the rate that does with the mean of a batch what this rate does with its `reduction`.

    It is so of optimisers without adaptive rates, such as SGD; Adam and its kin step alike either way.
    """
    return lr * batch_size if reduction == "sum" else lr


def pull(
    parameters: Mapping[str, nn.Parameter], start: Mapping[str, Tensor], strength: float
) -> Callable[[], None]:
    """Return what adds the gradient of L2-SP (Xuhong et al., 2018): half of `strength` times the squared way.

    It is the way of each parameter that has a gradient from where it stood at the `start`; one that is not
    there, as the head is not, is left alone.
    """
    pairs = [(parameter, start[name]) for name, parameter in parameters.items() if name in start]
    starts = {p: origin.detach().to(p.device, copy=True) for p, origin in pairs}

    def add() -> None:
        with torch.no_grad():
            for parameter, origin in starts.items():
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - origin, alpha=strength)

    return add
