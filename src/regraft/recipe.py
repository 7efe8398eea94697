"""Recipes: how to fine-tune, in five sections with good defaults, from TOML and from `--set`."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, PositiveFloat, ValidationError

from regraft.errors import InvalidRecipe, NotFoundError, did_you_mean
from regraft.records import Precision
from regraft.registry import Entry


class Section(BaseModel):
    """A part of a recipe: it never changes, and it takes no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ModelSection(Section):
    """Which pretrained model to start from, what of it stays as it is, and which head it gets."""

    #: `embedded:NAME`, `timm:NAME[.TAG]`, `torchvision:NAME[/WEIGHTS]`, `regraft:NAME`, `hf:OWNER/NAME`,
    #: `file:PATH`, `https://...#sha256=...`, or a model of the workspace.
    ref: str = "embedded:efficientnet_lite0"
    #: A file with weights (.safetensors, .pth and its kin), in place of those that the source names.
    weights: str = ""
    #: Only tensors below this prefix are taken, and it is taken off their names: `backbone`.
    weights_prefix: str = ""
    #: What timm calls the net, or `torchvision:NAME`; for weights that do not say it.
    architecture: str = ""
    #: Whether weights may fit the net in part only.
    partial: bool = False
    #: What does not learn: the stem and so many stages, `stem`, `backbone`, or patterns of parameters'
    #: names (globs; regular expressions begin with `re:`).
    freeze: NonNegativeInt | str | tuple[str, ...] = 0
    #: Whether what is frozen also keeps its batch-norm statistics.
    freeze_stats: bool = True
    #: Whether all batch-norms compute with the statistics that they have, which then do not move; `auto` is
    #: yes for what is pretrained: a batch of a few classes has others, and some nets do not survive them.
    norm_eval: Literal["auto"] | bool = "auto"
    #: `linear`, `mlp`, `cosine`, or a table with the options of one.
    head: Entry = "linear"
    #: How a head begins that is not fitted first: `zero`, `normal` (0.01), `xavier`, `kaiming`.
    head_init: Literal["zero", "normal", "xavier", "kaiming"] = "zero"
    #: Chance that a feature is dropped before the head.
    dropout: float = Field(default=0.0, ge=0, lt=1)
    #: Chance that a block of the net is passed by, where the architecture knows stochastic depth.
    drop_path: float = Field(default=0.0, ge=0, lt=1)
    #: Whether rows of the old classifier begin the rows of labels that it knew.
    reuse_labels: bool = False
    #: A file of synonyms for that: on each line names of one label, separated by commas.
    synonyms: str = ""
    #: What `adapters` adds to the net: `lora`, `bias`, `norm`, or a table with the options of one.
    adapter: Entry = "lora"


class DataSection(Section):
    """How pictures without a split get one, and what a net sees of each."""

    val_fraction: float = Field(default=0.1, ge=0, lt=0.5)
    test_fraction: float = Field(default=0.2, gt=0, lt=0.5)
    #: What keeps pictures in one split: `column:NAME`, `path:REGEX` or `time:SECONDS`.
    group_by: str = ""
    #: Whether pictures that look alike are kept in one split.
    similar: bool = True
    #: What happens to train pictures, in order; `auto` leaves it to the strategy.
    augment: Literal["auto"] | tuple[Entry, ...] = "auto"
    #: How a picture becomes a square: its middle, all of it with borders, or all of it squashed; `auto` is
    #: what the pretrained weights were made for.
    resize: Literal["auto", "crop", "pad", "squash"] = "auto"
    #: Side of what the net sees, in pixels; 0 is what the pretrained weights were made for.
    size: NonNegativeInt = 0
    #: The part of the short side that is seen where the middle is cut out; `auto`, here and below, is what
    #: the pretrained weights were made for.
    crop: Literal["auto"] | Annotated[float, Field(gt=0, le=1)] = "auto"
    interpolation: Literal["auto", "bilinear", "bicubic"] = "auto"
    #: Of red, green and blue, where 1 is the brightest: what is taken off, and what is divided by.
    mean: Literal["auto"] | tuple[float, float, float] = "auto"
    std: Literal["auto"] | tuple[PositiveFloat, PositiveFloat, PositiveFloat] = "auto"
    #: Short side at which train pictures are kept decoded, in pixels; 0 follows from the size.
    cache_side: NonNegativeInt = 0
    #: Threads that make batches ahead of the net; 0 makes them in between.
    workers: NonNegativeInt = 2


class GroupRule(Section):
    """A rate and decay of their own for parameters whose names match a pattern."""

    #: A glob, or a regular expression after `re:`.
    pattern: str
    lr_scale: float = Field(default=1.0, ge=0)
    decay_scale: float = Field(default=1.0, ge=0)


class OptimSection(Section):
    """How the head of a probe is fitted, and how a net is tuned."""

    #: Of a probe: inverse strengths of regularisation to choose from, the strongest first.
    C: tuple[PositiveFloat, ...] = Field(default=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3), min_length=1)
    max_iterations: int = Field(default=500, ge=1)
    tolerance: float = Field(default=1e-4, gt=0)
    #: `adamw`, `sgd`, ..., or a table with the options of one: `{name = "sgd", momentum = 0.9}`.
    optimizer: Entry = "adamw"
    #: Of everything but the head; `auto` follows from strategy and optimiser.
    lr: Literal["auto"] | PositiveFloat = "auto"
    weight_decay: float = Field(default=0.05, ge=0)
    #: How many times faster the head learns; `auto` follows from the strategy.
    head_lr_scale: Literal["auto"] | PositiveFloat = "auto"
    #: Each layer learns this many times as fast as the one above it.
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    #: Whether norm layers and biases decay too.
    decay_norm_and_bias: bool = False
    #: The first rule that matches a parameter counts.
    groups: tuple[GroupRule, ...] = ()
    #: `constant`, `step`, `multistep`, `cosine`, `exponential`, `polynomial`, `one-cycle`, `plateau`,
    #: `mindspore`, or a table with the options of one.
    schedule: Entry = "cosine"
    #: Over so many epochs the rate rises to what the schedule says; not whole numbers are fine.
    warmup_epochs: float = Field(default=1.0, ge=0)
    warmup: Literal["linear", "constant", "exponential"] = "linear"
    #: The fraction of the rate at which the warm-up begins.
    warmup_start: float = Field(default=0.1, ge=0, le=1)
    #: Whether rates change with every step, or from epoch to epoch.
    per: Literal["step", "epoch"] = "step"
    #: Greatest norm of all gradients together; 0 does not clip.
    clip: float = Field(default=0.0, ge=0)


class TrainSection(Section):
    """What is trained, for how long, on which loss, and in which precision."""

    strategy: Literal["probe", "full", "partial", "lp-ft", "gradual", "adapters", "scratch"] = "probe"
    seed: int = Field(default=0, ge=0, lt=2**31)
    #: `auto` measures what is fastest; `exact` is float32 without a change of layout.
    precision: Literal["auto", "exact"] | Precision = "auto"
    #: Pictures of one step, over all devices.
    batch_size: int = Field(default=32, ge=1)
    #: Pictures that a device sees at once, where memory is short; gradients add up. 0 is all of its share.
    micro_batch: NonNegativeInt = 0
    epochs: int = Field(default=10, ge=1)
    loss: Entry = "cross-entropy"
    #: The sum over a batch is what some notebooks use; its equal rate for the mean is told.
    reduction: Literal["mean", "sum"] = "mean"
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    #: What is done about classes of different size: weights in the loss, or drawing rare ones more often;
    #: `auto` takes weights where the largest class has three times as many pictures as the smallest.
    balance: Literal["none", "auto", "weights", "sampler"] = "none"
    #: Parameter of the beta distribution from which two pictures are mixed; 0 does not mix.
    mixup: float = Field(default=0.0, ge=0)
    cutmix: float = Field(default=0.0, ge=0)
    #: Strength of the pull towards the pretrained weights (L2-SP).
    l2sp: float = Field(default=0.0, ge=0)
    #: Decay of the moving average of the weights, such as 0.999; 0 keeps none.
    ema: float = Field(default=0.0, ge=0, lt=1)
    #: The greedy soup is made of this many best checkpoints; 0 makes none.
    soup: NonNegativeInt = 0
    #: Of `gradual`: after so many epochs one more stage learns.
    unfreeze_every: int = Field(default=1, ge=1)
    #: The run ends when validation has not improved for so many epochs; 0 never ends early.
    patience: NonNegativeInt = 5
    #: An improvement of the validation loss that counts.
    min_delta: float = Field(default=0.0, ge=0)
    #: Seconds after which the run ends with the best so far; 0 is no limit.
    time_limit: float = Field(default=0.0, ge=0)
    #: Seconds between two checkpoints within an epoch; there is one after each epoch in any case.
    checkpoint_seconds: float = Field(default=120.0, ge=0)
    #: Checkpoints that are kept besides the best.
    keep: int = Field(default=1, ge=1)
    #: `auto` compiles where it pays back within the run, which it does on GPUs alone.
    compile: Literal["auto"] | bool = "auto"
    #: What is frozen below is computed once, where no chance stands before it, or in every epoch; `auto`
    #: measures what is faster.
    boundary: Literal["auto", "cache", "recompute"] = "auto"
    #: Whether batch-norm statistics are shared between GPUs.
    sync_batchnorm: bool = False


class EvalSection(Section):
    """How the result is measured, and what is chosen by."""

    #: Folds of the cross-validation within the train split; fewer where a class has fewer pictures.
    folds: int = Field(default=5, ge=2, le=20)
    #: The part of train that is held out to choose by, where there is no split `val`.
    holdout: float = Field(default=0.1, ge=0, lt=0.5)
    #: What the tuned net computes in when it is used; a probe uses that of `train`.
    precision: Literal["auto", "exact"] | Precision = "auto"


class Recipe(Section):
    """How to fine-tune; every default is good."""

    model: ModelSection = ModelSection()
    data: DataSection = DataSection()
    optim: OptimSection = OptimSection()
    train: TrainSection = TrainSection()
    eval: EvalSection = EvalSection()


def read(source: Recipe | str | Path | None, settings: Iterable[str] = ()) -> Recipe:
    """Take a recipe, a TOML file, or the defaults, and apply settings such as `train.seed=1`.

    Raises NotFoundError where the file is missing, InvalidRecipe where a key or value is wrong.
    """
    if isinstance(source, Recipe):
        document = source.model_dump()
    else:
        document = {} if source is None else _read_toml(Path(source))
    for setting in settings:
        _apply(document, setting)
    return check(document)


def check(document: Mapping[str, Any]) -> Recipe:
    """Make a recipe of a document; raises InvalidRecipe, which names the key and its neighbour."""
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        first, *others = error.errors()
        parts = [str(part) for part in first["loc"] if not str(part).startswith("literal[")]
        where = ".".join(parts)
        wishes = dict.fromkeys(e["msg"] for e in (first, *others) if list(e["loc"])[: len(parts)] == parts)
        if first["type"] == "extra_forbidden":
            raise _unknown(parts, where) from None
        raise InvalidRecipe(
            f"{where!r} cannot be {first['input']!r}.",
            hint=f"{'. Or: '.join(wishes) or first['msg']}.",
            where=where,
        ) from None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise NotFoundError(f"There is no recipe file {str(path)!r}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidRecipe(f"{str(path)!r} is not TOML: {error}.") from None
    except OSError as error:
        raise InvalidRecipe(f"{str(path)!r} cannot be read: {error.strerror}.") from None


def _unknown(parts: list[str], where: str) -> InvalidRecipe:
    *above, key = parts
    model: type[BaseModel] = Recipe
    for part in above:
        model = type(model.model_fields[part].default)
    place = f" in {'.'.join(above)!r}" if above else ""
    known = list(model.model_fields)
    return InvalidRecipe(
        f"Unknown key {key!r}{place}.",
        hint=did_you_mean(key, known, otherwise=f"Known keys: {', '.join(known)}."),
        where=where,
    )


def _apply(document: dict[str, Any], setting: str) -> None:
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        raise InvalidRecipe(f"{setting!r} is no setting.", hint="Write --set section.key=value.")
    *above, key = path.strip().split(".")
    table = document
    for part in above:
        table = table.setdefault(part, {})
        if not isinstance(table, dict):
            raise InvalidRecipe(f"{part!r} in {path!r} is not a section.", where=path)
    try:
        table[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        table[key] = text  # a bare word is a string
