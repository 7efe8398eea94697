"""What is stored: frozen records, and the one canonical JSON in which they stand on disk.

The digest of a version is the sha256 of its canonical JSON. No record holds a time or a path of the
machine, so that the same inputs give the same digest wherever and whenever they are used. (Row tables are
Parquet, which another release of pyarrow may write in other bytes: another version of the same rows.)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from regraft.errors import InvalidRecord

Kind = Literal["datasets", "models", "reports"]
#: From grave to mild: numbers cannot be trusted, something should be looked at, good to know.
Severity = Literal["error", "warning", "note"]
HeadKind = Literal["linear", "mlp", "cosine", "own"]
Precision = Literal[
    "float32",
    "float32+channels_last",
    "bfloat16",
    "bfloat16+channels_last",
    "float16",
    "float16+channels_last",
]

T = TypeVar("T", bound="Record")


class Record(BaseModel):
    """A stored document: it never changes, and it takes no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One labelled picture of a dataset version, and where its bytes lie."""

    #: The picture's name inside the dataset: its path below the folder it came from.
    key: str
    digest: str
    pack: str
    offset: int
    length: int
    label: str
    split: str
    #: Pictures of one group never stand in different splits.
    group: str = ""
    #: In pixels, as a person sees the picture (EXIF orientation applied).
    width: int
    height: int
    #: Anything else that came with the picture, as a JSON object.
    metadata: str = "{}"

    @property
    def family(self) -> str:
        """The group that the picture belongs to; of one without a group, itself."""
        return self.group or f"~{self.digest[:16]}"


class Refused(Record):
    """A file that cannot be used, and why."""

    key: str
    reason: str
    #: Of the bytes, where they could be read.
    digest: str = ""
    #: The class that the file would belong to.
    label: str = ""


class Correction(Record):
    """What a person changed by hand about one picture; it holds when the same source is added again."""

    digest: str
    key: str
    change: Literal["label", "split", "dropped"]
    #: What the source said, and what holds instead; empty where the picture was dropped.
    old: str = ""
    new: str = ""


class SplitRule(Record):
    """How pictures without a split get one."""

    #: Fractions of train, val and test; empty where the source gave the splits itself.
    fractions: dict[str, float]
    seed: int
    #: What keeps pictures together: `column:NAME`, `path:REGEX` or `time:SECONDS`; empty: nothing but looks.
    group_by: str = ""
    #: Whether pictures that look alike are kept together.
    similar: bool = True


class Segment(Record):
    """A part of a dataset's rows: a table of its own, which versions share."""

    digest: str
    #: How many rows it has.
    count: int


class DatasetVersion(Record):
    """The manifest of one version of a dataset."""

    #: Digest of the version before; None for the first.
    parent: str | None
    labels: tuple[str, ...]
    #: Pictures by split and label; the splits are those that the version has.
    splits: dict[str, dict[str, int]]
    split_rule: SplitRule
    count: int
    #: The row tables, in order.
    segments: tuple[Segment, ...]
    packs: tuple[str, ...]
    #: Bytes of all pictures.
    size: int
    #: Digest of the list of refused files; None where there are none.
    refused: str | None
    refused_count: int
    #: Digest of the list of corrections made by hand; None where there are none.
    corrections: str | None = None

    def split_sizes(self) -> dict[str, int]:
        """Return how many pictures each split has, in the order train, val, test."""
        order = ("train", "val", "test")
        return {split: sum(self.splits[split].values()) for split in order if split in self.splits}


class Example(Record):
    """Pictures that show what a finding means: one, or several that belong together."""

    keys: tuple[str, ...]
    digests: tuple[str, ...]
    #: What is to be seen in these.
    words: str


class Finding(Record):
    """Something that the doctor found in a dataset."""

    #: Such as `near-duplicates`.
    code: str
    severity: Severity
    #: What was found, one sentence.
    title: str
    #: How many pictures, pairs or classes it concerns.
    count: int
    #: What to do about it.
    advice: str
    examples: tuple[Example, ...]


class Checkup(Record):
    """What the doctor said of one version of a dataset."""

    dataset_ref: str
    #: Digest of the version.
    dataset: str
    #: The gravest first.
    findings: tuple[Finding, ...]
    #: Codes of the checks that were made, and of those that were not, with the reason.
    checked: tuple[str, ...]
    skipped: dict[str, str]


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
        return sha256("".join(f"{part}\n" for part in parts).encode()).hexdigest()


class Interval(Record):
    """A 95 % confidence interval."""

    low: float
    high: float


class Bin(Record):
    """Pictures whose highest probability lies in a range: how sure the model was, and how often right."""

    low: float
    high: float
    count: int
    #: Mean of the highest probabilities.
    confidence: float
    accuracy: float
    #: Wilson's, of the accuracy.
    interval: Interval


class ClassScores(Record):
    """One class: None where a score is not defined (no such pictures, or never predicted)."""

    label: str
    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    #: Against all others: the area under the ROC curve, and under that of precision over recall.
    roc_auc: float | None = None
    average_precision: float | None = None
    #: By the name of the number.
    intervals: dict[str, Interval] = {}


class Metrics(Record):
    """The numbers of one evaluation."""

    count: int
    correct: int
    accuracy: float
    #: Wilson's score interval of the accuracy.
    accuracy_interval: Interval
    balanced_accuracy: float
    macro_f1: float
    log_loss: float
    #: Expected calibration error of the top label, 15 bins of equal width.
    calibration_error: float
    classes: tuple[ClassScores, ...]
    #: Rows are the true labels, columns the predicted ones.
    confusion: tuple[tuple[int, ...], ...]
    #: How often the true label is among the first 3 or 5, where there are more labels than that.
    top_k_accuracy: dict[str, float] = {}
    #: Means over the classes that have pictures.
    macro_precision: float | None = None
    macro_recall: float | None = None
    macro_roc_auc: float | None = None
    macro_average_precision: float | None = None
    #: Over all pictures at once: of single labels these three are the accuracy.
    micro_precision: float | None = None
    micro_recall: float | None = None
    micro_f1: float | None = None
    #: Means over the classes, each as often as it has pictures.
    weighted_precision: float | None = None
    weighted_recall: float | None = None
    weighted_f1: float | None = None
    #: Agreement beyond that of chance (Cohen, 1960); None where chance agrees always.
    cohen_kappa: float | None = None
    #: Correlation of labels and predictions (Matthews, 1975; Gorodkin, 2004).
    matthews_correlation: float | None = None
    #: The fraction of wrong labels.
    hamming_loss: float | None = None
    #: Mean squared distance of the probabilities from the truth (Brier, 1950): 0 to 2.
    brier_score: float | None = None
    #: 95 % intervals by the name of the number.
    intervals: dict[str, Interval] = {}
    #: The bins of the calibration error that have pictures.
    reliability: tuple[Bin, ...] = ()


class SliceScores(Record):
    """How a model fares on a part of the pictures, against the rest of them."""

    #: Such as `dark: brightness below 31%`, `camera: Canon EOS 5D`.
    name: str
    count: int
    accuracy: float
    #: Wilson's interval.
    interval: Interval
    #: Accuracy on all other pictures.
    rest: float
    #: Whether the two differ by more than chance, all slices considered.
    distinct: bool


class Difference(Record):
    """A number of two models on the same pictures."""

    first: float
    second: float
    #: The second less the first.
    difference: float
    #: 95 % interval of the difference.
    interval: Interval


class Baseline(Record):
    """What is reached without fine-tuning."""

    name: str
    accuracy: float


class Mistake(Record):
    """A picture that the model got wrong, and how sure it was."""

    key: str
    digest: str
    label: str
    predicted: str
    probability: float


class Report(Record):
    """What evaluating one model on one split of one dataset gave."""

    parent: str | None
    #: Digests of the versions.
    model: str
    dataset: str
    #: Their names when the report was written.
    model_ref: str
    dataset_ref: str
    weights: str
    split: str
    labels: tuple[str, ...]
    #: Pictures left out because the model learned from them.
    seen: int
    #: What a reader should know before the numbers.
    notes: tuple[str, ...]
    metrics: Metrics
    baselines: tuple[Baseline, ...]
    #: The surest mistakes first.
    mistakes: tuple[Mistake, ...]
    learning: Learning | None
    training: Training | None = None
    board: Board | None = None
    lineage: Lineage | None
    #: Parts of the pictures, those first that fare worst against the rest.
    slices: tuple[SliceScores, ...] = ()
    #: Digest of the table of all predictions (Parquet).
    predictions: str
    #: Digest of the page (HTML); None until it is drawn.
    page: str | None

    @property
    def accuracy(self) -> float:
        """The fraction of pictures named rightly."""
        return self.metrics.accuracy


class RunRecord(Record):
    """One execution: what was asked, and what became of it."""

    id: str
    kind: Literal["finetune", "evaluate", "check"]
    status: Literal["running", "done", "failed", "interrupted", "stopped", "lost"]
    #: What the run needs to know: versions by digest, names of what it makes.
    inputs: dict[str, str]
    recipe: dict[str, Any]
    outputs: dict[str, str]
    #: Times in UTC, ISO 8601.
    started: str
    ended: str | None
    error: str | None
    host: str
    process: int
    #: When the process began, as the system counts it, so that another one with its number is not taken
    #: for it; empty where the system does not say.
    process_started: str


class RemoteFile(Record):
    """A file that can be downloaded, and how to know that it is the right one."""

    #: What it is called on disk.
    name: str
    #: The same bytes at each; tried in turn.
    urls: tuple[str, ...]
    #: In bytes; None where it is not known.
    size: int | None = None
    #: Digests in hexadecimal, empty where none is known.
    sha256: str = ""
    sha1: str = ""
    md5: str = ""


class Label(Record):
    """A label and its probability."""

    label: str
    probability: float


class Prediction(Record):
    """What a model says of one picture: the likeliest labels first, or why it says nothing."""

    picture: str
    top: tuple[Label, ...]
    error: str | None = None
    #: The distance of the picture's features from those that were learned from, over the distance above which
    #: a picture is unknown; None where the model does not know it.
    strangeness: float | None = None
    #: The labels among which the true one is, as often as was asked for; None where nothing was asked.
    labels: tuple[str, ...] | None = None

    @property
    def unknown(self) -> bool | None:
        """Whether the picture is like none that was learned from; None where that cannot be told."""
        return None if self.strangeness is None else self.strangeness > 1

    @property
    def label(self) -> str | None:
        """The likeliest label; None where the picture could not be read."""
        return self.top[0].label if self.top else None

    @property
    def probability(self) -> float | None:
        """The probability of the likeliest label."""
        return self.top[0].probability if self.top else None


class Suggestion(Record):
    """A picture whose label is likely wrong, and which one is likelier."""

    key: str
    digest: str
    split: str
    #: The label that it has, and how likely that is.
    label: str
    given: float
    suggested: str
    #: How likely the suggested label is.
    probability: float
    #: Who says so.
    reason: str


class Neighbour(Record):
    """A picture that a model learned from, and how like another one it is to the net."""

    key: str
    digest: str
    label: str
    #: Cosine of the angle between the features: 1 for the same picture.
    similarity: float
    #: Whether the two look like one photograph: scaled, turned, compressed anew.
    same: bool = False


class Explanation(Record):
    """Why a model says what it says of one picture."""

    prediction: Prediction
    #: The label that the heat is about; None where the picture could not be read.
    label: str | None
    #: How much each place of what the net sees speaks for the label, in rows, from 0 to 1; empty where the
    #: net has no map of places, or none speaks for it.
    heat: tuple[tuple[float, ...], ...]
    #: The most alike first.
    nearest: tuple[Neighbour, ...]
    #: What is odd about the picture among those that were learned from, such as `blurred`.
    flags: tuple[str, ...]
    #: What else a reader should know.
    notes: tuple[str, ...]


def canonical(document: Mapping[str, Any]) -> bytes:
    """Write a JSON object in its one canonical form: sorted keys, two spaces, UTF-8, a newline."""
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def encode(record: Record) -> bytes:
    """Write a record as canonical JSON."""
    return canonical(record.model_dump(mode="json"))


def decode(kind: type[T], data: bytes, *, where: str) -> T:
    """Read a record of one kind; `where` names the document in the error.

    Raises InvalidRecord.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRecord(
            f"{where} cannot be read: {first['msg']} at {place!r}.",
            hint="It was written by another version of Regraft, or changed by hand.",
            where=place,
        ) from error


def digest(data: bytes) -> str:
    """Return the sha256 of some bytes in hexadecimal."""
    return sha256(data).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A committed version: what it is called, its digest, and its manifest as it stands on disk."""

    kind: Kind
    name: str
    number: int
    digest: str
    data: bytes

    def __str__(self) -> str:
        """Write the version as a ref: `hotdog:v3`."""
        return f"{self.name}:v{self.number}"

    def __repr__(self) -> str:
        return f"<Version {self.kind}/{self} {self.digest[:12]}>"  # the manifest may be megabytes

    def read(self, kind: type[T]) -> T:
        """Decode the manifest; raises InvalidRecord."""
        return decode(kind, self.data, where=f"{self.kind}/{self.name}/v{self.number}.json")
