"""The numbers of an evaluation as functions of weighted pictures: one formula for points and resamples.

Every number equals scikit-learn's where all weights are 1; of equal scores the first class comes first, as
for the label that is named. A weight is how often a picture counts, so that a
bootstrap resample, a slice and the whole differ in their weights alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]

#: Bins of the calibration error and of the reliability diagram, of equal width.
BINS = 15
#: Of how many guesses the right one has to be among; those that the classes make trivial are left out.
TOPS = (3, 5)
#: Numbers in memory at once.
_ROOM = 2 * 10**7


@dataclass(frozen=True, kw_only=True)
class Numbers:
    """Numbers of some weightings [b], and of each class under them [b, classes]; NaN is not defined."""

    whole: dict[str, Floats]
    classes: dict[str, Floats]


class Scored:
    """Probabilities [n, classes] and what is in the pictures [n], ready to be measured many times."""

    def __init__(self, scores: npt.NDArray[np.floating], targets: Targets) -> None:
        self.scores = np.asarray(scores, dtype=np.float64)
        self.targets = targets
        self.predicted = self.scores.argmax(axis=1)
        self.count, self.class_count = self.scores.shape
        self._ranked: dict[int, tuple[Targets, Targets]] = {}

    def measure(self, weights: Floats | None = None, *, ranked: bool = True) -> Numbers:
        """Return the numbers under weights [b, n], each row with a sum above 0; by default all are 1.

        `ranked` includes what needs the pictures in the order of their scores: areas under curves.
        """
        if weights is None:
            weights = np.ones((1, self.count))
        step = max(1, _ROOM // (self.class_count**2 + 4 * self.count))
        parts = [
            self._measure(weights[start : start + step], ranked) for start in range(0, len(weights), step)
        ]
        return Numbers(
            whole={name: np.concatenate([part.whole[name] for part in parts]) for name in parts[0].whole},
            classes={
                name: np.concatenate([part.classes[name] for part in parts]) for name in parts[0].classes
            },
        )

    def _measure(self, weights: Floats, ranked: bool) -> Numbers:
        total = weights.sum(axis=1, keepdims=True)
        means = weights @ np.stack(list(self.each.values()), axis=1) / total
        whole = {name: means[:, place] for place, name in enumerate(self.each)}
        tables, classes = _from_confusion(self.confusion(weights))
        whole |= tables
        whole["calibration_error"] = self._calibration_error(weights / total)
        if ranked:
            for name in ("roc_auc", "average_precision"):
                classes[name] = np.full((len(weights), self.class_count), np.nan)
            for label in np.unique(self.targets).tolist():  # of a class without pictures there are none
                classes["roc_auc"][:, label], classes["average_precision"][:, label] = self._areas(
                    weights, label
                )
            for name in ("roc_auc", "average_precision"):
                whole[f"macro_{name}"] = _mean(classes[name])
        return Numbers(whole=whole, classes=classes)

    @cached_property
    def each(self) -> dict[str, Floats]:
        """What a number is the mean of, over the pictures."""
        own = self.scores[np.arange(self.count), self.targets]
        beaten = (self.scores > own[:, None]).sum(axis=1)
        earlier = np.arange(self.class_count) < self.targets[:, None]
        place = beaten + ((self.scores == own[:, None]) & earlier).sum(axis=1)
        right = (self.predicted == self.targets).astype(np.float64)
        tops = {f"top_{k}_accuracy": (place < k).astype(np.float64) for k in TOPS if k < self.class_count}
        return {
            "accuracy": right,
            **tops,
            "hamming_loss": 1 - right,
            "log_loss": -np.log(np.clip(own, 1e-15, 1)) + 0.0,  # never -0.0
            "brier_score": (self.scores**2).sum(axis=1) - 2 * own + 1,
        }

    def proportions(self) -> dict[str, npt.NDArray[np.bool_]]:
        """Return by name what is right of each picture [n], of the numbers that are such means."""
        names = [name for name in self.each if name.endswith("accuracy")]
        return {name: self.each[name] > 0 for name in names}

    def confusion(self, weights: Floats | None = None) -> Floats:
        """Return how often [b, classes, classes] a class in the rows was called one of the columns."""
        if weights is None:
            weights = np.ones((1, self.count))
        cells = self.targets * self.class_count + self.predicted
        result = np.zeros((len(weights), self.class_count**2))
        result[:, np.unique(cells)] = _sums(weights, cells)
        return result.reshape(-1, self.class_count, self.class_count)

    @cached_property
    def bins(self) -> Targets:
        """The bin of each picture's highest probability [n]."""
        places: Targets = np.minimum((self.scores.max(axis=1) * BINS).astype(np.int64), BINS - 1)
        return places

    def _calibration_error(self, shares: Floats) -> Floats:
        gaps = self.scores.max(axis=1) - (self.predicted == self.targets)
        result: Floats = np.abs(_sums(shares * gaps, self.bins)).sum(axis=1)
        return result

    def _areas(self, weights: Floats, label: int) -> tuple[Floats, Floats]:
        """Return the area under the ROC curve, and the average precision, of one class against the rest."""
        order, ends = self._ranks(label)
        there = (self.targets == label)[order]
        ranked = weights[:, order]
        hits = np.cumsum(ranked * there, axis=1)[:, ends]
        false = np.cumsum(ranked * ~there, axis=1)[:, ends]
        before = np.concatenate([np.zeros((len(weights), 1)), hits[:, :-1]], axis=1)
        positive, negative = hits[:, -1], false[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = np.diff(false, axis=1, prepend=0.0)
            roc = (steps * (hits + before) / 2).sum(axis=1) / (positive * negative)
            precision = np.where(hits + false > 0, hits / (hits + false), 0.0)
            average = ((hits - before) * precision).sum(axis=1) / positive
        roc[(positive == 0) | (negative == 0)] = np.nan
        average[positive == 0] = np.nan
        return roc, average

    def _ranks(self, label: int) -> tuple[Targets, Targets]:
        """Return the pictures from the highest score of a class down, and where each distinct score ends."""
        if label not in self._ranked:
            self._ranked[label] = self._rank(label)
        return self._ranked[label]

    def _rank(self, label: int) -> tuple[Targets, Targets]:
        column = self.scores[:, label]
        order = np.argsort(-column, kind="stable")
        ends = np.flatnonzero(np.diff(column[order], append=-np.inf))
        return order, ends

    def curves(self, label: int) -> tuple[Floats, Floats, Floats]:
        """Return the rates of false and of true positives and the precision [m] at each threshold of a class.

        The thresholds are the distinct scores from high to low. A rate is NaN where no picture counts for it.
        """
        order, ends = self._ranks(label)
        there = (self.targets == label)[order]
        hits, false = np.cumsum(there)[ends].astype(float), np.cumsum(~there)[ends].astype(float)
        with np.errstate(divide="ignore", invalid="ignore"):
            return false / false[-1], hits / hits[-1], hits / (hits + false)


def _sums(values: Floats, keys: Targets) -> Floats:
    """Add up values [b, n] by key [n]: [b, distinct keys in order]."""
    order = np.argsort(keys, kind="stable")
    starts = np.flatnonzero(np.diff(keys[order], prepend=-1))
    result: Floats = np.add.reduceat(values[:, order], starts, axis=1)
    return result


def _mean(values: Floats) -> Floats:
    """Average over the classes [b, classes] that a number is defined for."""
    known = ~np.isnan(values)
    counts = known.sum(axis=1)
    total = np.where(known, values, 0.0).sum(axis=1)
    return np.where(counts > 0, total / np.maximum(counts, 1), np.nan)


def _from_confusion(tables: Floats) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Return what follows from confusion matrices [b, classes, classes] alone."""
    hits = np.diagonal(tables, axis1=1, axis2=2)
    support, named = tables.sum(axis=2), tables.sum(axis=1)
    total = support.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = hits / named, hits / support  # NaN where nothing was named so, or is so
        f1 = np.where(support > 0, 2 * hits / (support + named), np.nan)
        there = support > 0
        # a class that is there and was never named has the precision 0, as scikit-learn has it
        filled = np.where(there & (named == 0), 0.0, np.where(there, precision, np.nan))
        share = support / total[:, None]
        expected = (support * named).sum(axis=1) / total**2
        agreed = hits.sum(axis=1) / total
        kappa = np.where(expected < 1, (agreed - expected) / (1 - expected), np.nan)
        spread = (total**2 - (support**2).sum(axis=1)) * (total**2 - (named**2).sum(axis=1))
        covariance = hits.sum(axis=1) * total - (support * named).sum(axis=1)
        matthews = np.where(spread > 0, covariance / np.sqrt(np.maximum(spread, 1e-300)), 0.0)
    whole = {
        "balanced_accuracy": _mean(recall),
        "macro_precision": _mean(filled),
        "macro_recall": _mean(recall),
        "macro_f1": _mean(f1),
        "micro_precision": agreed,  # of single labels all three are the accuracy
        "micro_recall": agreed,
        "micro_f1": agreed,
        "weighted_precision": np.nansum(np.where(there, filled, 0.0) * share, axis=1),
        "weighted_recall": agreed,
        "weighted_f1": np.nansum(np.where(there, f1, 0.0) * share, axis=1),
        "cohen_kappa": kappa,
        "matthews_correlation": matthews,
    }
    return whole, {"precision": precision, "recall": recall, "f1": f1}
