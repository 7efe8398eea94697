"""Facts about the data and the machine in, a recipe without open questions out: pure functions."""

from __future__ import annotations

from regraft.recipe import DataSection, OptimSection, Recipe, TrainSection
from regraft.records import InputSpec, Precision
from regraft.registry import Entry

#: Of a strategy: the base rate with AdamW, and how many times faster the head learns. After `lp-ft` the head
#: is fitted already, and a pretrained trunk wants small steps.
RATES: dict[str, tuple[float, float]] = {
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
    strategy = recipe.train.strategy
    precision = _precision(recipe.train.precision, training)
    used = precision if strategy == "probe" else _precision(recipe.eval.precision, inference)
    folds = max(2, min(recipe.eval.folds, smallest_class))
    return recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update={"norm_eval": _norm_eval(recipe)}),
            "data": _data(recipe.data, input, strategy),
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


def _data(data: DataSection, spec: InputSpec, strategy: str) -> DataSection:
    spec = seen(data, spec)
    augment = AUGMENT if data.augment == "auto" and strategy != "probe" else data.augment
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
