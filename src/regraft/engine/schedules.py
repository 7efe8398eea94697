"""How rates change from step to step: pure functions, which can be printed without training.

A schedule gives the factor by which the rate of every group is multiplied at an optimiser step. A warm-up
multiplies that factor while it lasts. `cosine`, `polynomial` and `exponential` count from its end, and are 1
until then; `step` and `multistep` count epochs from the beginning, as OpenMMLab does, and `plateau` counts
the epochs' losses; `one-cycle` and `mindspore` rise in their own way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, inf, pi
from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from regraft.errors import InvalidRecipe
from regraft.recipe import OptimSection
from regraft.registry import Registry, split

#: The factor at a 0-based step, after epochs with such validation losses.
Shape = Callable[[int, Sequence[float]], float]
#: A factor below 1.
Fraction = Annotated[float, Field(gt=0, lt=1)]

#: Schedules that rise by themselves; the recipe's kind of warm-up and where it starts are nothing to them.
RISING = ("one-cycle", "mindspore")


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """How long a training is, in optimiser steps."""

    steps_per_epoch: int
    total: int
    #: Steps of the warm-up, which need not be a whole number.
    warmup: float
    #: The rate that the factors multiply; None where it is not known yet.
    lr: float | None

    def past(self, step: int) -> float:
        """Return which part of the time after the warm-up is over: 0 until it ends, 1 at the end of all."""
        if step <= self.warmup or self.total <= self.warmup:
            return 0.0
        return min((step - self.warmup) / (self.total - self.warmup), 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class Schedule:
    """A factor for every step of a training."""

    span: Span
    shape: Shape
    warm: Callable[[float], float]
    #: Whether the factor stays what it is at the first step of an epoch.
    by_epoch: bool

    def __call__(self, step: int, losses: Sequence[float] = ()) -> float:
        """Return the factor at a step, counted from 0; `losses` are those of the finished epochs."""
        per_epoch = self.span.steps_per_epoch
        losses = losses[: step // per_epoch]
        if self.by_epoch:
            step -= step % per_epoch
        factor = self.shape(step, losses)
        return factor * self.warm(step / self.span.warmup) if step < self.span.warmup else factor


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """The rates at one step."""

    #: Counted from 0.
    step: int
    #: Counted from 1.
    epoch: int
    factor: float
    #: Of everything but the head, and of the head.
    lr: float
    head_lr: float


SCHEDULES: Registry[Callable[..., Shape]] = Registry("schedule")


def build(optim: OptimSection, *, steps_per_epoch: int, epochs: int) -> Schedule:
    """Make the schedule that a recipe names, for a training of so many epochs of so many steps.

    Raises InvalidRecipe for an unknown schedule, a wrong option, and a warm-up that never rises.
    """
    make, chosen = SCHEDULES.find(optim.schedule, where="optim.schedule")
    span = Span(
        steps_per_epoch=steps_per_epoch,
        total=steps_per_epoch * epochs,
        warmup=steps_per_epoch * optim.warmup_epochs,
        lr=None if optim.lr == "auto" else optim.lr,
    )
    name, _ = split(optim.schedule, where="optim.schedule")
    return Schedule(
        span=span,
        shape=make(span, **chosen),
        warm=(lambda over: 1.0) if name in RISING else _warm_up(optim),
        by_epoch=optim.per == "epoch",
    )


def table(schedule: Schedule, *, lr: float, head_lr_scale: float, most: int | None = None) -> list[Row]:
    """List the rates at the first step of every epoch and at the last step of all.

    With `most`, at so many steps instead, evenly spread from the first to the last; at all of them where
    there are no more.
    """
    last = schedule.span.total - 1
    if most is None:
        steps = {*range(0, last + 1, schedule.span.steps_per_epoch), last}
    else:
        steps = {round(number * last / max(most - 1, 1)) for number in range(most)}
    factors = {step: schedule(step) for step in sorted(steps)}
    return [
        Row(
            step=step,
            epoch=step // schedule.span.steps_per_epoch + 1,
            factor=factor,
            lr=lr * factor,
            head_lr=lr * head_lr_scale * factor,
        )
        for step, factor in factors.items()
    ]


@SCHEDULES.register("constant")
def constant(_span: Span) -> Shape:
    """Leave the rate as it is."""
    return lambda step, losses: 1.0


@SCHEDULES.register("step")
def step(span: Span, *, every: PositiveInt, gamma: PositiveFloat = 0.1) -> Shape:
    """Multiply by `gamma` after every so many epochs, the warm-up's among them."""
    return lambda step, losses: gamma ** (step // span.steps_per_epoch // every)


@SCHEDULES.register("multistep")
def multistep(span: Span, *, milestones: tuple[NonNegativeFloat, ...], gamma: PositiveFloat = 0.1) -> Shape:
    """Multiply by `gamma` when so many epochs are over, the warm-up's among them."""
    return lambda step, losses: gamma ** sum(step >= many * span.steps_per_epoch for many in milestones)


@SCHEDULES.register("cosine")
def cosine(span: Span, *, end: NonNegativeFloat = 0.0) -> Shape:
    """Fall to the fraction `end` along half a cosine, from the end of the warm-up."""
    return lambda step, losses: end + (1 - end) * (1 + cos(pi * span.past(step))) / 2


@SCHEDULES.register("exponential")
def exponential(span: Span, *, gamma: PositiveFloat = 0.9) -> Shape:
    """Multiply by `gamma` in every epoch, little by little, from the end of the warm-up."""
    return lambda step, losses: gamma ** (max(step - span.warmup, 0) / span.steps_per_epoch)


@SCHEDULES.register("polynomial")
def polynomial(span: Span, *, power: PositiveFloat = 1.0, end: NonNegativeFloat = 0.0) -> Shape:
    """Fall to the fraction `end` by a power of the time that is left, from the end of the warm-up."""
    return lambda step, losses: end + (1 - end) * (1 - span.past(step)) ** power


@SCHEDULES.register("one-cycle")
def one_cycle(
    span: Span, *, start: NonNegativeFloat = 1 / 25, end: NonNegativeFloat = 4e-6, share: Fraction = 0.3
) -> Shape:
    """Rise from the fraction `start` in the first `share` of all steps, then fall to `end` (Smith, 2018).

    Both along half a cosine; the peak is the recipe's rate. `OneCycleLR` of torch is the same.
    """
    peak, last = share * span.total - 1, span.total - 1

    def shape(step: int, _losses: Sequence[float]) -> float:
        if step < peak:
            return 1 + (start - 1) * (1 + cos(pi * step / peak)) / 2
        return end + (1 - end) * (1 + cos(pi * min((step - peak) / (last - peak), 1.0))) / 2

    return shape


@SCHEDULES.register("plateau")
def plateau(
    _span: Span,
    *,
    factor: Fraction = 0.1,
    patience: NonNegativeInt = 3,
    min_delta: NonNegativeFloat = 0.0,
    cooldown: NonNegativeInt = 0,
) -> Shape:
    """Multiply by `factor` when the validation loss has not fallen by `min_delta` for over `patience` epochs.

    For `cooldown` epochs after that nothing is counted.
    """

    def shape(_step: int, losses: Sequence[float]) -> float:
        best, bad, rest, drops = inf, 0, 0, 0
        for loss in losses:
            better = loss < best - min_delta
            best = loss if better else best
            bad = 0 if better or rest else bad + 1
            rest = max(rest - 1, 0)
            if bad > patience:
                bad, rest, drops = 0, cooldown, drops + 1
        return factor**drops

    return shape


@SCHEDULES.register("mindspore")
def mindspore(span: Span, *, lr_init: NonNegativeFloat = 0.0, lr_end: NonNegativeFloat = 0.0) -> Shape:
    """Rise in a line from the rate `lr_init` over the warm-up, then fall to `lr_end` along half a cosine.

    This is `get_lr` of MindSpore's models; its `lr_max` is the recipe's rate, and all three are rates.
    """
    if span.lr is None:
        raise InvalidRecipe(
            "The schedule 'mindspore' is made of rates, and 'optim.lr' is not one.",
            hint="Set optim.lr, such as optim.lr=0.05.",
            where="optim.lr",
        )
    first, last = lr_init / span.lr, lr_end / span.lr

    def shape(step: int, _losses: Sequence[float]) -> float:
        if step < span.warmup:
            return first + (1 - first) * step / span.warmup
        return last + (1 - last) * (1 + cos(pi * span.past(step))) / 2

    return shape


def _warm_up(optim: OptimSection) -> Callable[[float], float]:
    """Return the factor of the warm-up as a function of the part of it that is over."""
    start = optim.warmup_start
    if optim.warmup == "linear":
        return lambda over: start + (1 - start) * over
    if start == 0 and optim.warmup_epochs:
        raise InvalidRecipe(
            f"A warm-up that is {optim.warmup} cannot begin at 0: nothing would learn until its end.",
            hint="Raise optim.warmup_start, or set optim.warmup=linear.",
            where="optim.warmup_start",
        )
    if optim.warmup == "constant":
        return lambda over: start
    return lambda over: start ** (1 - over)
