"""Facts about the data and the machine in, a recipe out, or one without open questions: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from regraft.recipe import DataSection, OptimSection, Recipe, TrainSection
from regraft.records import InputSpec, Precision
from regraft.registry import Entry

#: Of a strategy: the base rate with AdamW, and how many times faster the head learns. After `lp-ft` the head
#: is fitted already, and a pretrained trunk wants small steps.
RATES: dict[str, tuple[float, float]] = {
    "auto": (1e-3, 1.0),
    "probe": (1e-3, 1.0),
    "full": (2e-4, 10.0),
    "partial": (3e-4, 5.0),
    "lp-ft": (3e-5, 1.0),
    "gradual": (2e-4, 5.0),
    "adapters": (1e-3, 1.0),
    "scratch": (1e-3, 1.0),
}
#: How much larger a rate these optimisers want than AdamW; Lion takes the sign of a step, and wants less.
SCALES = {"sgd": 50.0, "lion": 0.2, "lamb": 10.0, "adagrad": 5.0}

#: What `auto` does to train pictures.
AUGMENT: tuple[Entry, ...] = ({"name": "random-resized-crop", "scale": [0.35, 1.0]}, "flip")


def resolve(
    recipe: Recipe,
    *,
    training: Precision | None,
    inference: Precision | None,
    smallest_class: int,
    input: InputSpec,  # noqa: A002 (what the field of a model is called)
) -> Recipe:
    """Replace every value that was left open by the one that these facts ask for.

    `training` and `inference` are the precisions that were measured on this machine, each needed where the
    recipe leaves it open; `smallest_class` counts the train pictures of the rarest class that has two or more
    of them; `input` is how the pretrained weights want their pictures.
    """
    tunes = recipe.train.tunes
    precision = _precision(recipe.train.precision, training)
    used = precision if not tunes else _precision(recipe.eval.precision, inference)
    folds = max(2, min(recipe.eval.folds, smallest_class))
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"norm_eval": _norm_eval(recipe)}),
            # what `auto` shall find out within a budget stays open
            "data": recipe.data if recipe.train.budget else _data(recipe.data, input, tunes=tunes),
            "optim": rates(recipe.optim, recipe.train),
            "train": recipe.train.model_copy(update={"precision": precision}),
            "eval": recipe.eval.model_copy(update={"folds": folds, "precision": used}),
        }
    )


def _precision(asked: str, fastest: Precision | None) -> str:
    if asked == "auto" and fastest is not None:
        return fastest
    return "float32" if asked == "exact" else asked


def _norm_eval(recipe: Recipe) -> bool:
    asked = recipe.model.norm_eval
    return recipe.train.strategy != "scratch" if asked == "auto" else asked


def seen(data: DataSection, spec: InputSpec) -> InputSpec:
    """Return how pictures are prepared under a recipe for weights that were made for `spec`."""
    asked = {key: getattr(data, key) for key in ("resize", "crop", "interpolation", "mean", "std")}
    known = {key: value for key, value in asked.items() if value != "auto"}
    return spec.model_copy(update={**known, "size": data.size or spec.size})


def _data(data: DataSection, spec: InputSpec, *, tunes: bool) -> DataSection:
    spec = seen(data, spec)
    augment = AUGMENT if data.augment == "auto" and tunes else data.augment
    return data.model_copy(
        update={
            "augment": () if augment == "auto" else augment,
            **spec.model_dump(),
            "cache_side": data.cache_side or int(spec.size / spec.crop),
        }
    )


def rates(optim: OptimSection, train: TrainSection) -> OptimSection:
    """Replace a rate that was left open by the one that the strategy and the optimiser ask for."""
    lr, head = RATES[train.strategy]
    name = optim.optimizer if isinstance(optim.optimizer, str) else str(optim.optimizer.get("name"))
    if train.reduction == "sum" and name.lower() == "sgd":  # others step alike, however large a gradient is
        lr /= train.batch_size
    return optim.model_copy(
        update={
            "lr": lr * SCALES.get(name.lower(), 1.0) if optim.lr == "auto" else optim.lr,
            "head_lr_scale": head if optim.head_lr_scale == "auto" else optim.head_lr_scale,
        }
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a suggestion follows from."""

    #: In train: pictures, classes, and pictures of the smallest and the largest class.
    pictures: int
    classes: int
    smallest: int
    largest: int
    #: Pictures of the split `val`, where it is to choose by, and not to measure on.
    validation: int
    #: Of half of the pictures the short side is at most so many pixels, and the long side so many times it.
    short_side: int
    proportions: float
    #: Side of what the net sees, in pixels, and how many parameters it has.
    size: int
    parameters: int
    #: Whether there is a GPU.
    accelerated: bool
    cores: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Advice:
    """One value of a recipe that facts ask for."""

    #: Such as `train.epochs`.
    key: str
    value: str | int | float | list[Entry]
    why: str


#: Fewer pictures of a class than this can only be learned by heart.
_FEW = 5
#: So many train pictures keep a processor busy for an hour, if a net is tuned on them.
_PATIENT = 3_000
#: Nets with more parameters than this take a processor seconds for a step.
_LARGE = 30_000_000
#: Pictures, and pictures of each class, from which on everything may learn at once.
_MANY, _MANY_EACH = 5_000, 200
#: Steps in which a pretrained net has learned what it can, and epochs at the least and at the most.
_STEPS = 1_000
_EPOCHS = {True: (5, 30), False: (3, 10)}
#: A budget of fewer seconds is spent on a processor before a net is tuned.
_SHORT = 600.0


def advise(facts: Facts, *, budget: float = 0.0) -> tuple[Advice, ...]:
    """Return the values of a recipe that suit these facts, each with its reason; all others stay as they are.

    `budget` is how many seconds a training may take; 0 is no limit.
    """
    strategy, why = _strategy(facts, budget)
    advice = [Advice(key="train.strategy", value=strategy, why=why)]
    if facts.proportions >= 1.7:
        lost = 1 - 1 / facts.proportions
        why = f"Half of the pictures are {facts.proportions:.1f} times as long as wide, or more; the middle "
        advice.append(
            Advice(key="data.resize", value="squash", why=f"{why}alone would leave out {lost:.0%} of them.")
        )
    if strategy != "auto":
        advice += _tuning(facts, budget)
    elif budget:
        advice.append(Advice(key="train.budget", value=budget, why="The budget, in seconds."))
    return tuple(advice)


def _strategy(facts: Facts, budget: float) -> tuple[str, str]:
    if facts.smallest < _FEW:
        many = f"{facts.smallest} train picture{'s' if facts.smallest != 1 else ''}"
        return "auto", f"The smallest class has {many}: a net that is tuned would learn them by heart."
    if not facts.accelerated:
        if facts.pictures > _PATIENT:
            return "auto", (
                f"{facts.pictures:,} pictures and no GPU: a head takes minutes, and tuning the net hours."
            )
        if 0 < budget < _SHORT:
            return "auto", f"Without a GPU {budget:g} seconds are too few to tune a net in."
        if facts.parameters > _LARGE:
            return (
                "partial",
                f"{facts.parameters / 1e6:.0f} million parameters and no GPU: half of them learn.",
            )
    elif facts.pictures >= _MANY and facts.pictures >= _MANY_EACH * facts.classes:
        return "full", (
            f"{facts.pictures:,} pictures of {facts.classes} classes are enough for all of the net to learn."
        )
    return "lp-ft", (
        "The head is fitted first, and what comes of it is taken where tuning the rest does not help."
    )


def _tuning(facts: Facts, budget: float) -> list[Advice]:
    batch = 16 if facts.pictures < 500 else 32
    if facts.accelerated and facts.pictures >= _MANY:
        batch = 64
    steps = ceil(facts.pictures / batch)
    least, most = _EPOCHS[facts.accelerated]
    epochs = max(least, min(most, ceil(_STEPS / steps)))
    advice = [
        Advice(key="train.batch_size", value=batch, why=f"{facts.pictures:,} pictures are {steps:,} steps."),
        Advice(key="train.epochs", value=epochs, why=f"{epochs * steps:,} steps; it ends earlier if it can."),
    ]
    times = facts.largest / max(facts.smallest, 1)
    if times >= 3:
        value, how = ("sampler", "is drawn more often") if times >= 20 else ("weights", "counts for more")
        why = f"The largest class has {times:.0f} times as many pictures as the smallest, which {how}."
        advice.append(Advice(key="train.balance", value=value, why=why))
    if facts.short_side * 2 < facts.size:
        crop: Entry = {"name": "random-crop", "padding": facts.size // 8}
        why = f"Pictures of {facts.short_side} pixels are small: they are moved by an eighth, and not cut."
        advice.append(Advice(key="data.augment", value=[crop, "flip"], why=why))
    if facts.validation == 0 and facts.pictures < 200:
        why = f"There is no val, and a tenth of {facts.pictures} pictures is too little to choose by."
        advice.append(Advice(key="eval.holdout", value=0.2, why=why))
    if facts.cores == 1 or facts.cores >= 8:
        workers = 0 if facts.cores == 1 else min(8, facts.cores // 2)
        why = f"This machine has {facts.cores} cores." if workers else "This machine has one core."
        advice.append(Advice(key="data.workers", value=workers, why=why))
    if budget:
        advice.append(Advice(key="train.time_limit", value=budget, why="The budget, in seconds."))
    return advice
