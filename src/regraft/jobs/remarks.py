"""What is doubtful about a training that could be done: each in a sentence, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from torch import nn

from regraft import suggest
from regraft.engine.losses import UNEVEN
from regraft.engine.scoring import TOPS
from regraft.hub import nets
from regraft.jobs.costs import Cost
from regraft.jobs.rehearsal import Batching, Choosing, Data, Rates, Rehearsed
from regraft.recipe import Recipe
from regraft.registry import split
from regraft.reports.words import number

#: A rate so many times as high, or as low, as what the strategy wants is doubted.
_FAR = 10.0
#: Batch-norm layers that compute with the statistics of so few pictures are doubted.
_FEW = 8
#: What a probe does not look at, by section.
_OF_TUNING = {
    "model": "freeze freeze_stats norm_eval head head_init dropout drop_path adapter reuse_labels synonyms",
    "data": "augment cache_side workers",
    "optim": "optimizer lr weight_decay head_lr_scale layer_decay decay_norm_and_bias groups schedule "
    "warmup_epochs warmup warmup_start per clip",
    "train": "micro_batch epochs loss reduction label_smoothing balance mixup cutmix l2sp ema soup "
    "unfreeze_every patience min_delta time_limit keep compile boundary sync_batchnorm",
    "eval": "holdout",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """A doubt, and the key of the recipe that it is about; empty where it is about none."""

    where: str
    words: str


def of_probe(plan: Recipe) -> Iterator[Remark]:
    """Say which values that differ from their defaults a probe does not look at."""
    usual = Recipe()
    idle = [
        f"{section}.{key}"
        for section, keys in _OF_TUNING.items()
        for key in keys.split()
        if getattr(getattr(plan, section), key) != getattr(getattr(usual, section), key)
    ]
    if idle:
        yield Remark(
            where=idle[0],
            words=f"A probe fits the head alone, without steps, and does not look at {', '.join(idle)}. "
            "Another train.strategy does.",
        )


def of_run(found: Rehearsed, data: Data | None, recipe: Recipe) -> Iterator[Remark]:
    """Doubt what a run would do."""
    if data is not None:
        yield from of_data(data, recipe)
    if found.rates is None:
        return
    yield from of_batches(found.batches, recipe, nets.outline(found.learning.architecture))
    yield from of_rates(found.rates, recipe)
    if found.choosing is not None:
        yield from of_choosing(found.choosing, recipe, found.rates.schedule)


def of_data(found: Data, recipe: Recipe) -> Iterator[Remark]:
    """Doubt classes, and numbers that would say little of them."""
    count = len(found.labels)
    trivial = [f"top-{k}" for k in TOPS if k >= count]
    if trivial:
        yield Remark(
            where="",
            words=f"Of {number(count, 'class', 'classes')} there is no {' and no '.join(trivial)} accuracy: "
            "it would always be 100 %.",
        )
    sizes = [size for size in found.splits.get("train", {}).values() if size]
    if recipe.train.tunes and recipe.train.balance == "none" and sizes:
        times = max(sizes) / min(sizes)
        if times >= UNEVEN:
            yield Remark(
                where="train.balance",
                words=f"The largest class has {times:.0f} times as many train pictures as "
                f"{found.smallest!r}; train.balance=auto gives rare ones more weight.",
            )


def of_batches(batches: Batching, recipe: Recipe, net: nets.Net) -> Iterator[Remark]:
    """Doubt batches that are too large for the pictures, or too small for batch-norm layers."""
    if batches.pictures is not None and batches.batch_size > batches.pictures:
        yield Remark(
            where="train.batch_size",
            words=f"A batch of {batches.batch_size:,} is larger than the {batches.pictures:,} train "
            "pictures: an epoch is one step.",
        )
    share = min(recipe.train.micro_batch or max(batches.shares), max(batches.shares))
    moving = not recipe.model.norm_eval
    moving &= any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in net.modules())
    if moving and share < _FEW:
        yield Remark(
            where="model.norm_eval",
            words=f"Batch-norm layers take the statistics of {number(share, 'picture')} at a time, which "
            "say little; model.norm_eval=true keeps those that the weights came with.",
        )
    elif moving and batches.last // len(batches.shares) < 2:
        yield Remark(
            where="train.batch_size",
            words=f"The last batch of an epoch has {number(batches.last, 'picture')}, of which batch-norm "
            f"layers take the statistics; train.batch_size={_roomier(batches)} leaves more.",
        )


def of_rates(found: Rates, recipe: Recipe) -> Iterator[Remark]:
    """Doubt rates far from what the strategy wants, and what of a schedule never comes."""
    optim, epochs = recipe.optim, recipe.train.epochs
    wanted = suggest.rates(optim.model_copy(update={"lr": "auto"}), recipe.train).lr
    times = float(optim.lr) / float(wanted)
    if not 1 / _FAR < times < _FAR:
        far = f"{times:.3g} times" if times >= 1 else f"1/{1 / times:.3g} of"
        yield Remark(
            where="optim.lr",
            words=f"The rate {float(optim.lr):g} is {far} the {float(wanted):g} that "
            f"{recipe.train.strategy!r} wants with this optimizer.",
        )
    if found.warmup_epochs >= epochs and found.schedule != "one-cycle":
        yield Remark(
            where="optim.warmup_epochs",
            words=f"The warm-up of {number_of_epochs(found.warmup_epochs)} is as long as the run or longer: "
            f"the rate comes to {found.peak:g}.",
        )
    _, options = split(optim.schedule, where="optim.schedule")
    beyond = [point for point in options.get("milestones", ()) if point >= epochs]
    if beyond:
        yield Remark(
            where="optim.schedule.milestones",
            words=f"The run ends after {number_of_epochs(epochs)}, before "
            f"{', '.join(f'{point:g}' for point in beyond)}: the rate does not fall there.",
        )
    if found.schedule == "step" and options["every"] >= epochs:
        yield Remark(
            where="optim.schedule.every",
            words=f"The run ends after {number_of_epochs(epochs)}, and the rate would fall after "
            f"{options['every']}.",
        )


def of_choosing(found: Choosing, recipe: Recipe, schedule: str) -> Iterator[Remark]:
    """Doubt what waits for a validation that does not come, or comes too seldom."""
    epochs = recipe.train.epochs
    if not found.pictures:
        given = recipe.train.patience != Recipe().train.patience
        waiting = [*(["train.patience"] if found.patience and given else [])]
        waiting += ["optim.schedule"] if schedule == "plateau" else []
        for key in waiting:
            yield Remark(
                where=key,
                words="It waits for validation losses, and there are no pictures for them; eval.holdout=0.1 "
                "holds some of train out.",
            )
    elif epochs <= found.patience:
        yield Remark(
            where="train.patience",
            words=f"A patience of {found.patience} never ends a run of {number_of_epochs(epochs)} early.",
        )


def of_memory(cost: Cost, share: int) -> Iterator[Remark]:
    """Doubt a step that memory may have no room for; a device sees `share` pictures at once."""
    if 0 < cost.step.micro_batch < share:
        yield Remark(
            where="train.micro_batch",
            words=f"Memory has room for {number(cost.step.micro_batch, 'picture')} at once; a step would be "
            "taken in parts, whose gradients add up.",
        )
    elif cost.memory > cost.memory_free:
        yield Remark(
            where="train.micro_batch",
            words=f"A step may need more memory than is free; train.micro_batch={max(1, share // 2)} halves "
            "most of it, and the step stays the same.",
        )


def _roomier(batches: Batching) -> int:
    """Return the next larger batch size whose last batch gives each device two pictures or more."""
    pictures, least = batches.pictures or 0, 2 * len(batches.shares)
    sizes = range(batches.batch_size + 1, batches.batch_size + pictures + 1)
    return next((size for size in sizes if pictures % size == 0 or pictures % size >= least), pictures)


def number_of_epochs(count: float) -> str:
    """Write a number of epochs: `1 epoch`, `2.5 epochs`."""
    return f"{count:g} epoch" if count == 1 else f"{count:g} epochs"
