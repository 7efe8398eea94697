"""What a training would do, worked out without training: classes, batches, rates, what it chooses by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil

import numpy as np

from regraft.engine import losses, schedules
from regraft.errors import InvalidRecipe
from regraft.jobs import groups, recipe_check
from regraft.jobs.groups import GroupTable
from regraft.jobs.learners import learners
from regraft.jobs.preflight import held_out
from regraft.recipe import Recipe
from regraft.records import DatasetVersion, InputSpec, LoadReport, ModelVersion, Row, Version
from regraft.registry import split

#: Steps of an epoch where there is no dataset.
ASSUMED_STEPS = 100
#: Of a longer run so many steps are looked at for the greatest rate.
_LOOKED_AT = 20_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What would be learned from."""

    #: As it was named.
    dataset: str
    #: Whether it is a version of the workspace; anything else was read, and is not kept.
    stored: bool
    labels: tuple[str, ...]
    #: Pictures by split and label.
    splits: Mapping[str, Mapping[str, int]]
    #: The class with the fewest train pictures, and how many they are.
    smallest: str
    smallest_count: int
    #: The split that would be measured on; empty where there is none.
    measured: str
    #: Bytes of its pictures.
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """What would be begun with."""

    model: str
    architecture: str
    licence: str
    #: Whether the weights are on this machine; otherwise which file is needed, and where it belongs.
    here: bool
    needed: str
    report: LoadReport | None
    input: InputSpec
    #: Classes that its own head tells apart, and the features that a head gets.
    known: int
    num_features: int
    #: Which new class would begin with the row of which old one.
    reused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Batching:
    """How train pictures become steps."""

    #: Pictures of a step, in all and on each device.
    batch_size: int
    shares: tuple[int, ...]
    #: Pictures that are learned from; None where there is no dataset.
    pictures: int | None
    #: Of an epoch; assumed where there is no dataset.
    steps: int
    #: Pictures of the last step of an epoch.
    last: int
    epochs: int
    #: The rate for a mean that does what the rate does with a sum; None of a mean.
    mean_lr: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """The rates of everything but the head, and of the head: at the first step, at most, and at the last."""

    schedule: str
    warmup_epochs: float
    first: float
    peak: float
    #: The epoch of the greatest rate, counted from 1.
    peak_epoch: int
    last: float
    head_first: float
    head_peak: float
    head_last: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Choosing:
    """What the best epoch would be chosen by."""

    #: `val`, `holdout`, or `last` for the last epoch.
    by: str
    pictures: int
    #: Epochs without an improvement that end the run; 0 never does.
    patience: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Rehearsed:
    """What a run would do; a probe has no rates, and what is chosen by is not known without a dataset."""

    learning: GroupTable
    batches: Batching
    rates: Rates | None
    choosing: Choosing | None


def data(words: str, version: Version, *, stored: bool) -> Data:
    """Return the facts of a dataset."""
    record = version.read(DatasetVersion)
    train = record.splits.get("train", {})
    smallest = min(train, key=lambda label: train[label], default="")
    return Data(
        dataset=str(version) if stored else words,
        stored=stored,
        labels=record.labels,
        splits={split: record.splits[split] for split in record.split_sizes()},
        smallest=smallest,
        smallest_count=train.get(smallest, 0),
        measured=held_out(record) or "",
        size=record.size,
    )


def base(words: str, model: ModelVersion, *, here: bool, needed: str) -> Base:
    """Return the facts of a model; one that is not here is known by its net alone."""
    return Base(
        model=words,
        architecture=model.architecture,
        licence=model.licence if here else "",
        here=here,
        needed=needed,
        report=model.load_report if here else None,
        input=model.input,
        known=len(model.labels),
        num_features=model.num_features,
    )


def reused(model: ModelVersion, recipe: Recipe, labels: Sequence[str]) -> dict[str, str]:
    """Return which class would begin with the row of which old one, by their names."""
    found = recipe_check.reused(model, recipe, labels)
    return {labels[new]: model.labels[olds[0]] for new, olds in found.items()}


def rehearse(
    model: ModelVersion,
    recipe: Recipe,
    rows: Sequence[Row],
    labels: tuple[str, ...],
    *,
    measured: str,
    devices: int,
) -> Rehearsed:
    """Work out a run by a resolved recipe; without rows, what can be said without a dataset.

    Raises InvalidRecipe where the devices cannot share its batches.
    """
    learning = groups.table(model.architecture, recipe, classes=len(labels))
    if not recipe.train.tunes:  # features of all pictures are computed
        batches = batching(recipe, pictures=len(rows) or None, devices=devices)
        return Rehearsed(learning=learning, batches=batches, rates=None, choosing=None)
    count, choosing = learned_from(rows, labels, recipe, measured) if measured else (None, None)
    if count is not None:
        check_shared(recipe, count, devices)
    batches = batching(recipe, pictures=count, devices=devices)
    return Rehearsed(
        learning=learning, batches=batches, rates=rates(recipe, batches.steps), choosing=choosing
    )


def batching(recipe: Recipe, *, pictures: int | None, devices: int) -> Batching:
    """Work out the steps of an epoch."""
    train = recipe.train
    size = train.batch_size
    steps = ASSUMED_STEPS if pictures is None else ceil(pictures / size)
    seen = size if pictures is None else min(size, pictures)
    bounds = [seen * rank // devices for rank in range(devices + 1)]
    lr = recipe.optim.lr
    summed = train.tunes and train.reduction == "sum" and lr != "auto"
    return Batching(
        batch_size=size,
        shares=tuple(end - first for first, end in pairwise(bounds)),
        pictures=pictures,
        steps=steps,
        last=seen if pictures is None else pictures - (steps - 1) * size,
        epochs=train.epochs,
        mean_lr=losses.mean_equivalent(float(lr), size, "sum") if summed else None,
    )


def rates(recipe: Recipe, steps: int) -> Rates:
    """Work out the rates of a run with so many steps an epoch; those of a plateau as if none came."""
    optim = recipe.optim
    if optim.lr == "auto" or optim.head_lr_scale == "auto":
        raise ValueError("a rate is still open")
    schedule = schedules.build(optim, steps_per_epoch=steps, epochs=recipe.train.epochs)
    total = schedule.span.total
    rows = schedules.table(
        schedule, lr=optim.lr, head_lr_scale=optim.head_lr_scale, most=min(total, _LOOKED_AT)
    )
    top = max(rows, key=lambda row: row.lr)
    return Rates(
        schedule=split(optim.schedule, where="optim.schedule")[0],
        warmup_epochs=optim.warmup_epochs,
        first=rows[0].lr,
        peak=top.lr,
        peak_epoch=top.epoch,
        last=rows[-1].lr,
        head_first=rows[0].head_lr,
        head_peak=top.head_lr,
        head_last=rows[-1].head_lr,
    )


def learned_from(
    rows: Sequence[Row], labels: Sequence[str], recipe: Recipe, measured: str
) -> tuple[int, Choosing]:
    """Return how many pictures are learned from, and what the best epoch is chosen by."""
    index = {label: number for number, label in enumerate(labels)}
    targets = np.array([index[row.label] for row in rows], dtype=np.int64)
    found = learners(rows, targets, measured=measured, holdout=recipe.eval.holdout, seed=recipe.train.seed)
    chosen = found.chosen_by
    by = "last" if not len(chosen) else "val" if rows[chosen[0]].split == "val" else "holdout"
    return len(found.train), Choosing(by=by, pictures=len(chosen), patience=recipe.train.patience)


def check_shared(recipe: Recipe, pictures: int, devices: int) -> None:
    """Raise InvalidRecipe where devices cannot share the batch-norm statistics of an epoch's last batch."""
    rest = pictures % recipe.train.batch_size
    if devices > 1 and recipe.train.sync_batchnorm and 0 < rest < devices:
        raise InvalidRecipe(
            f"The last batch of {rest} is too small for {devices} devices to share its batch-norm "
            "statistics.",
            hint="Take another train.batch_size, or leave train.sync_batchnorm out.",
            where="train.batch_size",
        )
