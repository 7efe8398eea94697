"""The numbers of a report in the order of a table, each with its interval and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

from regraft.records import Metrics
from regraft.reports import words


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasureRow:
    """A number, ready to be read."""

    name: str
    value: str
    #: Empty where it has none.
    interval: str
    words: str


def rows(metrics: Metrics, *, classes: int) -> list[MeasureRow]:
    """Return the rows of all numbers that are defined; `classes` says what an even guess would give."""
    named: list[tuple[str, str, Callable[[float], str], str]] = [
        (
            "balanced_accuracy",
            "Balanced accuracy",
            words.percent,
            "The mean recall: every class counts the same, however many pictures it has.",
        ),
        *(
            (
                f"top_{k}_accuracy",
                f"Top-{k} accuracy",
                words.percent,
                f"The true name is among the first {k}.",
            )
            for k in metrics.top_k_accuracy
        ),
        (
            "macro_f1",
            "Macro-F1",
            words.decimal,
            "The mean over the classes of F1, which joins precision and recall; 1 is best.",
        ),
        ("macro_precision", "Macro precision", words.percent, "Of what is called so, how much is so."),
        ("macro_recall", "Macro recall", words.percent, "The balanced accuracy, by its other name."),
        (
            "weighted_f1",
            "Weighted F1",
            words.decimal,
            "The mean of F1 in which each class counts as often as it has pictures.",
        ),
        ("weighted_precision", "Weighted precision", words.percent, "The same mean of precision."),
        ("weighted_recall", "Weighted recall", words.percent, "The same mean of recall: the accuracy."),
        (
            "micro_f1",
            "Micro P, R, F1",
            words.percent,
            "Precision, recall and F1 over all pictures: each is the accuracy, as a picture has one label.",
        ),
        ("hamming_loss", "Hamming loss", words.decimal, "How much is named wrongly: 1 less the accuracy."),
        (
            "macro_roc_auc",
            "ROC AUC",
            words.decimal,
            "Mean over the classes, each against the rest; 0.5 is chance.",
        ),
        (
            "macro_average_precision",
            "Average precision",
            words.decimal,
            "The area under precision over recall, mean over the classes; 1 is best.",
        ),
        (
            "cohen_kappa",
            "Cohen's kappa",
            words.decimal,
            "Agreement beyond that of chance; 0 is chance, 1 is best.",
        ),
        (
            "matthews_correlation",
            "Matthews correlation",
            words.decimal,
            "Between labels and predictions; 0 is chance, 1 is best.",
        ),
        (
            "log_loss",
            "Log-loss",
            words.decimal,
            f"How surprised the model was by the true names, in nats; 0 is best, an even guess gives "
            f"{words.decimal(log(classes))}.",
        ),
        (
            "brier_score",
            "Brier score",
            words.decimal,
            "Squared distance of the probabilities from the truth, 0 to 2.",
        ),
        (
            "calibration_error",
            "Calibration error",
            words.decimal,
            "How far the stated probabilities lie from how often they are right (ECE, 15 bins); 0 is best.",
        ),
    ]
    return [
        MeasureRow(name=name, value=write(value), interval=_interval(metrics, key, write), words=said)
        for key, name, write, said in named
        if (value := _value(metrics, key)) is not None
    ]


def _value(metrics: Metrics, key: str) -> float | None:
    top = key.removeprefix("top_").removesuffix("_accuracy")
    found: float | None = metrics.top_k_accuracy.get(top) if key.startswith("top_") else getattr(metrics, key)
    return found


def _interval(metrics: Metrics, key: str, write: Callable[[float], str]) -> str:
    found = metrics.intervals.get(key)
    return "" if found is None else f"{write(found.low)} to {write(found.high)}"
