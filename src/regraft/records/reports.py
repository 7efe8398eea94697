"""What is stored of a measurement."""

from __future__ import annotations

from pydantic import Field

from regraft.records.base import Record
from regraft.records.models import Board, Learning, Lineage, Training


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
    intervals: dict[str, Interval] = Field(default_factory=dict)


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
    top_k_accuracy: dict[str, float] = Field(default_factory=dict)
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
    intervals: dict[str, Interval] = Field(default_factory=dict)
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
    #: Models that had been measured on this split when the report was written, this one included.
    looks: int = 1
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
