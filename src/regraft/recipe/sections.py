"""The five sections of a recipe, each value with a good default."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool

from regraft.recipe.kinds import NUMBER, Count, Number, Positive, Whole
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
    partial: StrictBool = False
    #: What does not learn: the stem and so many stages, `stem`, `backbone`, or patterns of parameters'
    #: names (globs; regular expressions begin with `re:`).
    freeze: Count | str | tuple[str, ...] = 0
    #: Whether what is frozen also keeps its batch-norm statistics.
    freeze_stats: StrictBool = True
    #: Whether all batch-norms compute with the statistics that they have, which then do not move; `auto` is
    #: yes for what is pretrained: a batch of a few classes has others, and some nets do not survive them.
    norm_eval: Literal["auto"] | StrictBool = "auto"
    #: `linear`, `mlp`, `cosine`, or a table with the options of one.
    head: Entry = "linear"
    #: How a head begins that is not fitted first: `zero`, `normal` (0.01), `xavier`, `kaiming`.
    head_init: Literal["zero", "normal", "xavier", "kaiming"] = "zero"
    #: Chance that a feature is dropped before the head.
    dropout: Number = Field(default=0.0, ge=0, lt=1)
    #: Chance that a block of the net is passed by, where the architecture knows stochastic depth.
    drop_path: Number = Field(default=0.0, ge=0, lt=1)
    #: Whether rows of the old classifier begin the rows of labels that it knew.
    reuse_labels: StrictBool = False
    #: A file of synonyms for that: on each line names of one label, separated by commas.
    synonyms: str = ""
    #: What `adapters` adds to the net: `lora`, `bias`, `norm`, or a table with the options of one.
    adapter: Entry = "lora"


class DataSection(Section):
    """How pictures without a split get one, and what a net sees of each."""

    #: The part of pictures without a split that becomes `val`.
    val_fraction: Number = Field(default=0.1, ge=0, lt=0.5)
    #: The part of pictures without a split that becomes `test`.
    test_fraction: Number = Field(default=0.2, gt=0, lt=0.5)
    #: What keeps pictures in one split: `column:NAME`, `path:REGEX` or `time:SECONDS`.
    group_by: str = ""
    #: Whether pictures that look alike are kept in one split.
    similar: StrictBool = True
    #: What happens to train pictures, in order; `auto` leaves it to the strategy.
    augment: Literal["auto"] | tuple[Entry, ...] = "auto"
    #: How a picture becomes a square: its middle, all of it with borders, or all of it squashed; `auto` is
    #: what the pretrained weights were made for.
    resize: Literal["auto", "crop", "pad", "squash"] = "auto"
    #: Side of what the net sees, in pixels; 0 is what the pretrained weights were made for.
    size: Count = 0
    #: The part of the short side that is seen where the middle is cut out; `auto`, here and in the three
    #: below, is what the pretrained weights were made for.
    crop: Literal["auto"] | Annotated[float, Field(gt=0, le=1), NUMBER] = "auto"
    #: How a picture is scaled.
    interpolation: Literal["auto", "bilinear", "bicubic"] = "auto"
    #: What is taken off red, green and blue, where 1 is the brightest.
    mean: Literal["auto"] | tuple[Number, Number, Number] = "auto"
    #: What they are divided by then.
    std: Literal["auto"] | tuple[Positive, Positive, Positive] = "auto"
    #: Short side at which train pictures are kept decoded, in pixels; 0 follows from the size.
    cache_side: Count = 0
    #: Threads that make batches ahead of the net; 0 makes them in between.
    workers: Count = 2


class GroupRule(Section):
    """A rate and decay of their own for parameters whose names match a pattern."""

    #: A glob, or a regular expression after `re:`.
    pattern: str
    #: How many times as fast as the recipe's rate they learn.
    lr_scale: Number = Field(default=1.0, ge=0)
    #: How many times the recipe's decay they have.
    decay_scale: Number = Field(default=1.0, ge=0)


class OptimSection(Section):
    """How the head of a probe is fitted, and how a net is tuned."""

    #: Of a probe: inverse strengths of regularisation to choose from, the strongest first.
    C: tuple[Positive, ...] = Field(default=(1e-4, 1e-3, 1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3), min_length=1)
    #: Of a probe: steps of its solver (L-BFGS) at most.
    max_iterations: Whole = Field(default=500, ge=1)
    #: Of a probe: its solver ends where the gradient is as small as this.
    tolerance: Number = Field(default=1e-4, gt=0)
    #: `adamw`, `sgd`, ..., or a table with the options of one: `{name = "sgd", momentum = 0.9}`.
    optimizer: Entry = "adamw"
    #: Of everything but the head; `auto` follows from strategy and optimiser.
    lr: Literal["auto"] | Positive = "auto"
    #: How strongly weights are pulled to zero.
    weight_decay: Number = Field(default=0.05, ge=0)
    #: How many times faster the head learns; `auto` follows from the strategy.
    head_lr_scale: Literal["auto"] | Positive = "auto"
    #: Each layer learns this many times as fast as the one above it.
    layer_decay: Number = Field(default=1.0, gt=0, le=1)
    #: Whether norm layers and biases decay too.
    decay_norm_and_bias: StrictBool = False
    #: The first rule that matches a parameter counts.
    groups: tuple[GroupRule, ...] = ()
    #: `constant`, `step`, `multistep`, `cosine`, `exponential`, `polynomial`, `one-cycle`, `plateau`,
    #: `mindspore`, or a table with the options of one.
    schedule: Entry = "cosine"
    #: Over so many epochs the rate rises to what the schedule says; not whole numbers are fine.
    warmup_epochs: Number = Field(default=1.0, ge=0)
    #: How the rate rises.
    warmup: Literal["linear", "constant", "exponential"] = "linear"
    #: The fraction of the rate at which the warm-up begins.
    warmup_start: Number = Field(default=0.1, ge=0, le=1)
    #: Whether rates change with every step, or from epoch to epoch.
    per: Literal["step", "epoch"] = "step"
    #: Greatest norm of all gradients together; 0 does not clip.
    clip: Number = Field(default=0.0, ge=0)


class TrainSection(Section):
    """What is trained, for how long, on which loss, and in which precision."""

    #: What learns: a head on a net that stays, all of the net, its upper part, ...; `auto` takes the best of
    #: several heads, and within a budget whatever else is better beyond doubt.
    strategy: Literal["auto", "probe", "full", "partial", "lp-ft", "gradual", "adapters", "scratch"] = "auto"
    #: Of `auto`: seconds in which to find what is best; 0 fits a head, and looks no further.
    #: Where there is a GPU and nothing is said, 300.
    budget: Number = Field(default=0.0, ge=0)
    #: Of `auto` without a budget: further views of each picture that the head learns from.
    views: tuple[Literal["mirrored", "cropped"], ...] = ()
    #: Of splits, folds, order, augmentation and first weights.
    seed: Whole = Field(default=0, ge=0, lt=2**31)
    #: `auto` measures what is fastest; `exact` is float32 without a change of layout.
    precision: Literal["auto", "exact"] | Precision = "auto"
    #: Pictures of one step, over all devices.
    batch_size: Whole = Field(default=32, ge=1)
    #: Pictures that a device sees at once, where memory is short; gradients add up. 0 is all of its share.
    micro_batch: Count = 0
    #: How often each train picture is seen; a probe has no epochs.
    epochs: Whole = Field(default=10, ge=1)
    #: `cross-entropy`, `focal`, `bce`, or a table with the options of one.
    loss: Entry = "cross-entropy"
    #: The sum over a batch is what some notebooks use; its equal rate for the mean is told.
    reduction: Literal["mean", "sum"] = "mean"
    #: The part of each target that is spread over all classes.
    label_smoothing: Number = Field(default=0.0, ge=0, lt=1)
    #: What is done about classes of different size: weights in the loss, or drawing rare ones more often;
    #: `auto` takes weights where the largest class has three times as many pictures as the smallest.
    balance: Literal["none", "auto", "weights", "sampler"] = "none"
    #: Parameter of the beta distribution from which two pictures are mixed; 0 does not mix.
    mixup: Number = Field(default=0.0, ge=0)
    #: The same where a part of one picture is pasted into another.
    cutmix: Number = Field(default=0.0, ge=0)
    #: Strength of the pull towards the pretrained weights (L2-SP).
    l2sp: Number = Field(default=0.0, ge=0)
    #: Decay of the moving average of the weights, such as 0.999; 0 keeps none.
    ema: Number = Field(default=0.0, ge=0, lt=1)
    #: The greedy soup is made of this many best checkpoints; 0 makes none.
    soup: Count = 0
    #: Of `gradual`: after so many epochs one more stage learns.
    unfreeze_every: Whole = Field(default=1, ge=1)
    #: The run ends when validation has not improved for so many epochs; 0 never ends early.
    patience: Count = 5
    #: An improvement of the validation loss that counts.
    min_delta: Number = Field(default=0.0, ge=0)
    #: Seconds after which the run ends with the best so far; 0 is no limit.
    time_limit: Number = Field(default=0.0, ge=0)
    #: Seconds between two checkpoints within an epoch; there is one after each epoch in any case.
    checkpoint_seconds: Number = Field(default=120.0, ge=0)
    #: Checkpoints that are kept besides the best.
    keep: Whole = Field(default=1, ge=1)
    #: `auto` compiles where it pays back within the run, which it does on GPUs alone.
    compile: Literal["auto"] | StrictBool = "auto"
    #: What is frozen below is computed once, where no chance stands before it, or in every epoch; `auto`
    #: measures what is faster.
    boundary: Literal["auto", "cache", "recompute"] = "auto"
    #: Whether batch-norm statistics are shared between GPUs.
    sync_batchnorm: StrictBool = False

    @property
    def tunes(self) -> bool:
        """Whether the strategy says by itself that the net learns, and not its head alone."""
        return self.strategy not in ("auto", "probe")


class EvalSection(Section):
    """How the result is measured, and what is chosen by."""

    #: Folds of the cross-validation within the train split; fewer where a class has fewer pictures.
    folds: Whole = Field(default=5, ge=2, le=20)
    #: The part of train that is held out to choose by, where there is no split `val`.
    holdout: Number = Field(default=0.1, ge=0, lt=0.5)
    #: What the tuned net computes in when it is used; a probe uses that of `train`.
    precision: Literal["auto", "exact"] | Precision = "auto"


class Recipe(Section):
    """How to fine-tune; every default is good."""

    #: Which pretrained model to start from, what of it stays as it is, and which head it gets.
    model: ModelSection = ModelSection()
    #: How pictures without a split get one, and what a net sees of each.
    data: DataSection = DataSection()
    #: How the head of a probe is fitted, and how a net is tuned.
    optim: OptimSection = OptimSection()
    #: What is trained, for how long, on which loss, and in which precision.
    train: TrainSection = TrainSection()
    #: How the result is measured, and what is chosen by.
    eval: EvalSection = EvalSection()
