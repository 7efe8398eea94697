"""A head from statistics that add up: what is learned of more pictures joins what is known of the old ones.

Means of the classes and the products of what is left around them are all that linear discriminant analysis
needs, and they are sums: more pictures, or a class that is new, are added, and nobody looks at an old picture
again. Some of the features are kept beside them. Taken out of the sums, a fold at a time, they are pictures
that the head has not seen: they choose how far its covariance is shrunk, and its temperature.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve
from threadpoolctl import threadpool_limits

from regraft.engine.held_out import HeldOut
from regraft.engine.predict import Doubles, Floats, softmax
from regraft.engine.probe import LEAST_SPREAD, Head, Targets, each_log_loss, find_temperature
from regraft.records import Candidate, Learning

#: Features that are kept, evenly chosen of more. Of no more pictures than this they are all there is to keep.
SAMPLE = 1024
#: What kind of head this is, in a model's record.
KIND = "shrinkage LDA, grown"

#: How far the covariance is shrunk to a sphere, from much to little.
_PARTS = (0.95, 0.85, 0.75, 0.6, 0.45, 0.3, 0.2, 0.1, 0.05, 0.02)
#: Half-precision numbers are taken for features that are no larger than this.
_LARGEST = 1024.0

_Arrays = Mapping[str, npt.NDArray[np.generic]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Statistics:
    """What is known of the pictures that a head was learned from."""

    #: Pictures of each class [k], and the means of their features [k, d].
    counts: Targets
    means: Doubles
    #: Sum of the products [d, d] of what features are away from the mean of their class.
    products: Doubles
    #: Features [m, d] of some of these pictures, their classes, and who are held out together; -1 is nobody.
    sample: Floats
    targets: Targets
    folds: Targets

    def without(self, features: Floats, targets: Targets) -> Statistics:
        """Return what would be known without some of the pictures."""
        left = self.counts - np.bincount(targets, minlength=len(self.counts))
        means, products = self.means.copy(), self.products.copy()
        for label in np.unique(targets):
            rows = features[targets == label].astype(np.float64)
            steps = rows - self.means[label]
            products -= steps.T @ steps
            if left[label]:
                away = steps.sum(axis=0)
                means[label] -= away / left[label]
                products -= np.outer(away, away) / left[label]
        return replace(self, counts=left, means=means, products=products)

    def spread_over(self, places: Targets, classes: int) -> Statistics:
        """Return the same, where each class has its place among more of them."""
        counts, means = np.zeros(classes, np.int64), np.zeros((classes, self.means.shape[1]))
        counts[places], means[places] = self.counts, self.means
        return replace(self, counts=counts, means=means, targets=places[self.targets])

    def joined(self, other: Statistics) -> Statistics:
        """Return what is known of both; classes have the same places."""
        counts = self.counts + other.counts
        part = (other.counts / np.maximum(counts, 1))[:, None]
        away = other.means - self.means
        weight = (self.counts * other.counts / np.maximum(counts, 1))[:, None]
        return _thinned(
            Statistics(
                counts=counts,
                means=self.means + part * away,
                products=self.products + other.products + (weight * away).T @ away,
                sample=np.concatenate([self.sample, other.sample]),
                targets=np.concatenate([self.targets, other.targets]),
                folds=np.concatenate([self.folds, other.folds]),
            )
        )

    def tensors(self) -> dict[str, npt.NDArray[np.generic]]:
        """Return what the statistics are stored as: half of the products, and none that the sample gives."""
        scale = max(1.0, float(np.abs(self.sample).max(initial=0)) / _LARGEST)
        stored: dict[str, npt.NDArray[np.generic]] = {
            "counts": self.counts,
            "means": self.means.astype(np.float32),
            "sample": (self.sample / scale).astype(np.float16),
            "scale": np.array([scale], np.float32),
            "targets": self.targets.astype(np.int32),
            "folds": self.folds.astype(np.int8),
        }
        if self.counts.sum() > len(self.sample):
            stored["products"] = self.products[np.triu_indices(len(self.products))].astype(np.float32)
        return stored

    @classmethod
    def load(cls, stored: _Arrays) -> Statistics:
        """Return the statistics that were stored."""
        sample = stored["sample"].astype(np.float32) * stored["scale"].astype(np.float32)
        targets, folds = stored["targets"].astype(np.int64), stored["folds"].astype(np.int64)
        counts = stored["counts"].astype(np.int64)
        if "products" not in stored:
            return gather(sample, targets, folds, classes=len(counts))
        width = sample.shape[1]
        products = np.zeros((width, width))
        products[np.triu_indices(width)] = stored["products"]
        products += np.triu(products, 1).T
        means = stored["means"].astype(np.float64)
        return cls(counts=counts, means=means, products=products, sample=sample, targets=targets, folds=folds)


def gather(features: Floats, targets: Targets, folds: Targets, *, classes: int) -> Statistics:
    """Return what is known of pictures with features [n, d], held out by folds, where -1 never is."""
    counts = np.bincount(targets, minlength=classes)
    means = np.zeros((classes, features.shape[1]))
    for label in np.flatnonzero(counts):
        means[label] = features[targets == label].mean(axis=0, dtype=np.float64)
    products = np.zeros((features.shape[1], features.shape[1]))
    with threadpool_limits(1):
        for start in range(0, len(features), SAMPLE):
            part = slice(start, start + SAMPLE)
            steps = features[part] - means[targets[part]]
            products += steps.T @ steps
    return _thinned(
        Statistics(
            counts=counts, means=means, products=products, sample=features, targets=targets, folds=folds
        )
    )


def learn(known: Statistics, *, step: Callable[[int, int], None]) -> Head:
    """Fit a head on all that is known; `held_out` is said of the sample.

    `step` hears how many of how many fits are done.
    """
    with threadpool_limits(1):
        folds = [_Fold(known, number) for number in range(int(known.folds.max(initial=-1)) + 1)]
        folds = [fold for fold in folds if len(fold.rows)]
        chosen, candidates, logits = _search(folds, step)
        weight, bias = _fit(known, chosen)
    rows = np.concatenate([fold.rows for fold in folds]) if folds else np.zeros(0, np.int64)
    targets = known.targets[rows]
    said = np.zeros((0, len(known.counts)))
    temperature, accuracy, loss = 1.0, None, None
    if len(rows):
        scale = float(logits.std()) or 1.0  # a density says anything
        temperature = scale * find_temperature(logits / scale, targets)
        said = softmax(logits / temperature)
        accuracy = float((logits.argmax(axis=1) == targets).mean())
        loss = float(each_log_loss(logits / temperature, targets).mean())
    return Head(
        weight=weight.astype(np.float32),
        bias=bias.astype(np.float32),
        temperature=temperature,
        held_out=HeldOut(count=len(known.sample), rows=rows, said=said.astype(np.float32)),
        learning=Learning(
            pictures=int(known.counts.sum()),
            num_features=known.means.shape[1],
            folds=len(folds),
            candidates=candidates,
            C=1 / chosen,
            temperature=temperature,
            accuracy=accuracy,
            log_loss=loss,
            kind=KIND,
        ),
    )


class _Fold:
    """Pictures of the sample that are held out together, and heads that have not seen them."""

    def __init__(self, known: Statistics, number: int) -> None:
        held = known.folds == number
        taken = np.bincount(known.targets[held], minlength=len(known.counts))
        # a class that would be gone is not held out
        stay = (taken >= known.counts)[known.targets]
        self.rows = np.flatnonzero(held & ~stay)
        self._features, self.targets = known.sample[self.rows], known.targets[self.rows]
        self._rest = known.without(self._features, self.targets)

    def logits(self, part: float) -> Doubles:
        """Return what a head of one strength says of them."""
        weight, bias = _fit(self._rest, part)
        return np.asarray(self._features.astype(np.float64) @ weight.T + bias)


def _search(
    folds: list[_Fold], step: Callable[[int, int], None]
) -> tuple[float, tuple[Candidate, ...], Doubles]:
    """Return the strength of the least log-loss, all that were tried, and what is said with it."""
    if not folds:
        return _PARTS[3], (), np.zeros((0, 0))
    targets = np.concatenate([fold.targets for fold in folds])
    found: list[tuple[Candidate, Doubles]] = []
    for done, part in enumerate(_PARTS, start=1):
        logits = np.concatenate([fold.logits(part) for fold in folds])
        scale = float(logits.std()) or 1.0
        losses = each_log_loss(logits / scale / find_temperature(logits / scale, targets), targets)
        error = float(losses.std() / np.sqrt(len(losses)))
        found.append((Candidate(C=1 / part, log_loss=float(losses.mean()), standard_error=error), logits))
        step(done, len(_PARTS))
        if len(found) > 1 and found[-1][0].log_loss > found[-2][0].log_loss:
            break  # along the path it has one minimum
    step(len(_PARTS), len(_PARTS))
    best, logits = min(found, key=lambda one: one[0].log_loss)
    return 1 / best.C, tuple(candidate for candidate, _ in found), logits


def _fit(known: Statistics, part: float) -> tuple[Doubles, Doubles]:
    """Return weight [k, d] and bias [k] of the head whose covariance is shrunk so far."""
    count = int(known.counts.sum())
    shares = known.counts / count
    centre = shares @ known.means
    away = known.means - centre
    spread = np.sqrt((np.diag(known.products) + known.counts @ away**2).clip(min=0) / count)
    spread = np.maximum(spread, LEAST_SPREAD * np.median(spread))
    spread = np.where(spread > 1e-8, spread, 1.0)
    covariance = known.products / np.outer(spread, spread) / count
    sphere = float(np.trace(covariance)) / len(covariance) or 1.0
    covariance *= 1 - part
    covariance[np.diag_indices(len(covariance))] += part * sphere
    means = away / spread
    weight = cho_solve(cho_factor(covariance, overwrite_a=True), means.T).T
    bias = np.log(shares) - 0.5 * (weight * means).sum(axis=1)
    weight = weight / spread
    return weight, bias - weight @ centre


def _thinned(known: Statistics) -> Statistics:
    """Keep no more of the features than is meant to be kept, evenly of all classes."""
    if len(known.sample) <= SAMPLE:
        return known
    order = np.argsort(known.targets, kind="stable")
    kept = np.sort(order[np.linspace(0, len(order) - 1, SAMPLE).astype(np.int64)])
    return replace(known, sample=known.sample[kept], targets=known.targets[kept], folds=known.folds[kept])
