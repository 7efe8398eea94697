"""The table of measures: what stands in it, and that no number of a record is left out."""

import numpy as np
import pytest

from regraft.engine import metrics
from regraft.records import Metrics
from regraft.reports import measures

#: What the headline says, and what other rows say with them: micro precision, recall and F1 are one row.
SAID = {"accuracy", "micro_precision", "micro_recall"}


@pytest.fixture
def found():
    """Numbers of six labels, one of which is rare."""
    random = np.random.default_rng(3)
    targets = random.choice(6, 120, p=[0.4, 0.25, 0.15, 0.1, 0.06, 0.04])
    logits = random.normal(size=(120, 6)) + 1.5 * np.eye(6)[targets]
    scores = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return metrics.measure(scores, targets, tuple("abcdef"))


def test_every_number_of_a_record_has_a_row(found):
    numbers = [name for name, value in found if isinstance(value, float) and name not in SAID]

    rows = measures.rows(found, classes=6)

    assert len(rows) == len(numbers) + len(found.top_k_accuracy)
    assert [row.name for row in rows] == [
        "Balanced accuracy",
        "Top-3 accuracy",
        "Top-5 accuracy",
        "Macro-F1",
        "Macro precision",
        "Macro recall",
        "Weighted F1",
        "Weighted precision",
        "Weighted recall",
        "Micro P, R, F1",
        "Hamming loss",
        "ROC AUC",
        "Average precision",
        "Cohen's kappa",
        "Matthews correlation",
        "Log-loss",
        "Brier score",
        "Calibration error",
    ]
    assert all(row.interval and row.words.endswith(".") for row in rows)


def test_what_is_the_accuracy_by_another_name_is_written_like_it(found):
    rows = {row.name: row for row in measures.rows(found, classes=6)}

    micro = found.micro_precision, found.micro_recall, found.micro_f1, found.weighted_recall
    assert micro == (found.accuracy,) * 4
    accuracy = f"{100 * found.accuracy:.1f} %"
    assert [rows[name].value for name in ("Micro P, R, F1", "Weighted recall")] == [accuracy] * 2
    assert rows["Macro recall"].value == rows["Balanced accuracy"].value != accuracy
    assert rows["Hamming loss"].value == f"{1 - found.accuracy:.3f}"
    low, high = found.accuracy_interval.low, found.accuracy_interval.high
    assert rows["Hamming loss"].interval == f"{1 - high:.3f} to {1 - low:.3f}"


def test_a_record_of_before_has_the_rows_that_it_has_numbers_for(found):
    old = {
        name: value
        for name, value in found.model_dump().items()
        if name in Metrics.model_fields and Metrics.model_fields[name].is_required()
    }

    rows = measures.rows(Metrics.model_validate(old), classes=6)

    assert [row.name for row in rows] == ["Balanced accuracy", "Macro-F1", "Log-loss", "Calibration error"]
