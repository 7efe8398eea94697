"""Likely wrong labels, by confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021).

A net that has not learned from a picture says how likely each class is. It is sure of a class where it gives
more than it gives, on average, to the pictures that bear that label. Counting what it is sure of next to what
the labels say estimates how many labels are wrong; that many, the least likely first, are shown.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from regraft.data.checks.patient import Numbers, Patient, finding, plural
from regraft.records import Finding

Floats = npt.NDArray[np.float64]

#: A label is not doubted where the net gives it more than this part of what it gives another one.
DOUBT = 0.1
#: Nor by a net that names fewer pictures as they are labelled.
RIGHT = 0.6
#: So large a part of a net's own slips are as sure as its right answers.
SURE_SLIPS = 0.05


def why_not(patient: Patient) -> str:
    """Return why labels cannot be doubted; empty where they can."""
    if patient.probabilities is None:
        return "No net has judged the pictures without learning from them."
    judged = _judged(patient)
    if not len(judged):
        return "No net has judged the pictures without learning from them."
    right = (patient.probabilities[judged].argmax(axis=1) == patient.targets[judged]).mean()
    if right < max(RIGHT, 1.5 / len(patient.labels)):
        return f"The net agrees with {right:.0%} of the labels, too few to doubt the others."
    return ""


def check_labels(patient: Patient) -> Iterator[Finding]:
    """Report pictures whose label a net doubts, the most doubtful first."""
    if patient.probabilities is None or why_not(patient):
        return
    judged = _judged(patient)
    likely, given = patient.probabilities[judged].astype(np.float64), patient.targets[judged]
    doubtful, suggested = find_issues(likely, given)
    if not len(doubtful):
        return
    grave = more_than_slips(likely, given)
    many = plural(len(doubtful), "label is", "labels are")
    yield finding(
        "wrong-labels",
        "warning" if grave else "note",
        f"{many} likely wrong." if grave else f"{many} doubtful, no more than the net's own slips explain.",
        count=len(doubtful),
        advice="Look at each: `regraft dataset edit NAME --relabel KEY=LABEL` mends it, `--drop KEY` "
        "leaves it out.",
        examples=(
            patient.show(
                int(judged[number]),
                words=f"labelled {patient.labels[given[number]]!r}, likelier {patient.labels[other]!r} "
                f"({likely[number, other]:.0%} to {likely[number, given[number]]:.0%})",
            )
            for number, other in zip(doubtful, suggested, strict=True)
        ),
    )


def find_issues(likely: Floats, given: Numbers) -> tuple[Numbers, Numbers]:
    """Return which labels are likely wrong, the likeliest first, and the labels that are likely right."""
    sure = _sure_of(likely, given)
    joint = _joint(sure, given, likely.shape[1])
    there = np.arange(len(given))
    mine = likely[there, given]
    found: list[tuple[float, int, int]] = []
    for label, other in np.argwhere(joint > 0):
        if label == other:
            continue
        members = np.flatnonzero((given == label) & (sure == other))
        members = members[mine[members] <= DOUBT * likely[members, other]]
        margins = likely[members, other] - mine[members]
        kept = np.argsort(-margins, kind="stable")[: round(joint[label, other])]
        found += [(-margins[number], int(members[number]), int(other)) for number in kept]
    found.sort()
    return (
        np.array([number for _, number, _ in found], np.int64),
        np.array([other for _, _, other in found], np.int64),
    )


def more_than_slips(likely: Floats, given: Numbers) -> bool:
    """Tell whether labels are wrong for certain, though it is not certain which.

    A net slips mostly where it is unsure. Wrong labels do not depend on how sure it is: of about half of them
    it is surer than it is, at the median, where it agrees.
    """
    named = likely.argmax(axis=1)
    agreed = named == given
    surest = likely.max(axis=1)
    usual = np.ones(likely.shape[1])
    for number in np.unique(named[agreed]):
        usual[number] = np.median(surest[agreed & (named == number)])
    slips = int((~agreed).sum())
    sure = int((~agreed & (surest >= usual[named])).sum())
    expected = SURE_SLIPS * slips
    return bool(sure > expected + 2 * expected**0.5)


def _judged(patient: Patient) -> Numbers:
    assert patient.probabilities is not None  # noqa: S101 (both callers have looked)
    return np.flatnonzero(np.isfinite(patient.probabilities).all(axis=1))


def _sure_of(likely: Floats, given: Numbers) -> Numbers:
    """Return the class that the net is sure of, the likeliest of several; -1 where it is sure of none."""
    counts = np.bincount(given, minlength=likely.shape[1])
    own = np.bincount(given, likely[np.arange(len(given)), given], minlength=likely.shape[1])
    thresholds = np.where(counts, own / np.maximum(counts, 1), np.inf)
    passed = np.where(likely >= thresholds - 1e-9, likely, -1.0)
    return np.where(passed.max(axis=1) >= 0, passed.argmax(axis=1), -1)


def _joint(sure: Numbers, given: Numbers, classes: int) -> Floats:
    """Return how many pictures bear each label and are of each class: [given, class], by estimate."""
    counted = np.zeros((classes, classes))
    np.add.at(counted, (given[sure >= 0], sure[sure >= 0]), 1)
    counts = np.bincount(given, minlength=classes).astype(np.float64)
    sums = counted.sum(axis=1)
    counted[sums == 0, sums == 0] = 1  # of a class that the net is never sure of, the labels stand
    return np.asarray(counted / counted.sum(axis=1, keepdims=True) * counts[:, None])
