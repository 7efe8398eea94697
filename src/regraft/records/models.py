"""What is stored of a net: weights by digest, how it sees pictures, and how it was learned."""

from __future__ import annotations

from typing import Any, Literal

from regraft.records.base import Record, digest

HeadKind = Literal["linear", "mlp", "cosine", "own"]


Precision = Literal[
    "float32",
    "float32+channels_last",
    "bfloat16",
    "bfloat16+channels_last",
    "float16",
    "float16+channels_last",
]


class InputSpec(Record):
    """How a picture must be prepared before a net sees it; it travels with the weights."""

    #: Height and width of what the net gets, in pixels.
    size: int
    #: Side of the centre crop as a fraction of the resized picture's short side.
    crop: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: Literal["bilinear", "bicubic"]
    #: How a picture becomes a square: the middle is cut out, or all of it is there, with borders or squashed.
    resize: Literal["crop", "pad", "squash"] = "crop"


class LoadReport(Record):
    """What became of each tensor when weights met a net."""

    loaded: int
    converted: int
    #: Names that the net has and the weights lack.
    missing: tuple[str, ...]
    #: Names that the weights have and the net lacks.
    unexpected: tuple[str, ...]
    #: Names of the classifier that the weights do not give; a fine-tuning makes a new one in any case.
    replaced: tuple[str, ...] = ()
    #: `name [shape in the weights] for [shape in the net]`.
    mismatched: tuple[str, ...] = ()
    #: What a person asked for: the prefix of the names that are taken, and whether a part is enough.
    prefix: str = ""
    partial: bool = False


class Lineage(Record):
    """What a fine-tuned model was made of."""

    #: Digest of the dataset version.
    dataset: str
    #: Digest of the model version that was fine-tuned.
    model: str
    #: The resolved recipe.
    recipe: dict[str, Any]
    seed: int
    #: Version of Regraft.
    code: str
    #: Python, libraries and processor.
    environment: dict[str, str]


class Candidate(Record):
    """One strength of regularisation and its cross-validated log-loss."""

    C: float
    log_loss: float
    standard_error: float


class Learning(Record):
    """How the head was found."""

    pictures: int
    num_features: int
    folds: int
    #: How many partitions into folds there were.
    repeats: int = 1
    candidates: tuple[Candidate, ...]
    #: The inverse strength of regularisation that was taken.
    C: float
    #: Divides the logits; fitted out of fold.
    temperature: float
    #: Out of fold, with the C that was taken; None where there were too few pictures for folds.
    accuracy: float | None
    log_loss: float | None
    #: What kind of head it is: `logistic`, or another that did better out of fold.
    kind: str = "logistic"


class BoardRow(Record):
    """One thing that `auto` tried, and how it did on pictures that it had not learned from."""

    #: Of a workspace's model or a source: `embedded:efficientnet_lite0`.
    backbone: str
    #: What the net saw: `224 px, crop`.
    view: str
    #: `logistic`, `ridge`, ..., or the strategy by which the net was tuned.
    head: str
    #: How many pictures it was measured on: out of fold, or held out.
    pictures: int
    accuracy: float
    log_loss: float
    #: None where no clock decided anything, so that the same job gives the same record.
    seconds: float | None
    taken: bool = False


class CurvePoint(Record):
    """How well a head does that learned from so many pictures."""

    pictures: int
    accuracy: float
    log_loss: float


class Board(Record):
    """What `auto` tried, what it decided, and why."""

    rows: tuple[BoardRow, ...]
    #: Each decision, with its reason.
    reasons: tuple[str, ...]
    #: Accuracy out of fold by the number of pictures that were learned from, the fewest first.
    curve: tuple[CurvePoint, ...]
    #: In seconds; 0 where none was given.
    budget: float = 0.0


class Epoch(Record):
    """What one epoch of training gave."""

    #: Counted from 1.
    epoch: int
    #: The factor that the schedule gave to all rates, at the epoch's last step.
    rate: float
    #: Mean loss of the steps.
    train_loss: float
    #: Of the pictures that are chosen by; None where there are none, and where the loss is not a number.
    loss: float | None
    accuracy: float | None


class Training(Record):
    """How a net was tuned."""

    strategy: str
    pictures: int
    #: How many pictures of train, or of val, the epoch and the temperature were chosen by.
    chosen_by: int
    #: Parameters that learned, and that did not.
    trainable: int
    frozen: int
    steps: int
    #: The epoch whose weights were taken; 0 is what the training began from.
    best: int
    epochs: tuple[Epoch, ...]
    #: Why it ended before the last epoch; empty where it did not.
    ended: str = ""
    #: The epochs whose weights were averaged, the best first; empty where no soup was asked for.
    soup: tuple[int, ...] = ()
    #: Digest of the first pictures as the net saw them (JPEG).
    batch: str | None = None


class Trust(Record):
    """What is known of a model's limits, from pictures that it had not learned from."""

    #: Digest of where the features of its own pictures lie, and what these gave: safetensors with `mean`,
    #: `axes`, `variances`, `rest`, `distances` and `scores`.
    statistics: str
    #: How many pictures said so: out of fold of a fitted head, those that it was chosen by of a tuned net.
    pictures: int
    #: Of these, with the model's temperature.
    accuracy: float
    log_loss: float
    calibration_error: float
    #: Distance of the features above which a picture is unknown; None where there were too few pictures.
    threshold: float | None = None


class Growth(Record):
    """What a model learned upon what its base knew, without looking at the old pictures again."""

    #: Labels that the base did not know; empty where it learned more of those that it knew.
    classes: tuple[str, ...]
    #: Pictures that were added, and that were known only by their statistics.
    pictures: int
    known: int


class ModelVersion(Record):
    """The manifest of one version of a model."""

    parent: str | None
    architecture: str
    #: Where the pretrained weights came from, such as `embedded:efficientnet_lite0`.
    source: str
    #: sha256 of the file that the pretrained weights were read from; empty where they were random.
    weights_file: str
    #: Digest of the weights below the classifier.
    trunk: str
    #: Digest of the classifier: `weight` [classes, features] and `bias` [classes] of a linear one.
    head: str
    num_features: int
    labels: tuple[str, ...]
    input: InputSpec
    temperature: float
    #: What the trunk computes in; None for a pretrained model, which has not been tried on a machine.
    precision: Precision | None
    licence: str
    load_report: LoadReport
    learning: Learning | None
    #: None for a pretrained model.
    lineage: Lineage | None
    #: What turns features into logits; `own` is a pretrained classifier that no linear layer can stand for.
    head_kind: HeadKind = "linear"
    #: Digest of what was learned on top of the trunk's weights (LoRA, biases, norms); None where nothing was.
    adapter: str | None = None
    #: How the net was tuned; None where at most the head was fitted.
    training: Training | None = None
    #: None where no picture was held out, and of a pretrained model.
    trust: Trust | None = None
    #: What `auto` tried; None for any other strategy.
    board: Board | None = None
    #: Digest of what is known of the pictures that a linear head learned from, by which it can grow:
    #: safetensors with `counts`, `means`, `sample`, `scale`, `targets`, `folds` and, of many, `products`.
    statistics: str | None = None
    #: How it grew out of its base; None where it was fitted or tuned.
    growth: Growth | None = None

    @property
    def weights(self) -> str:
        """The digest of all weights together."""
        parts = [self.trunk, self.head, *([self.adapter] if self.adapter else [])]
        return digest("".join(f"{part}\n" for part in parts).encode())
