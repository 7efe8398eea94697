"""How unlike a picture is to those that a model learned from: a distance between features, without labels.

Features are brought to length one. Those that were learned from span few directions, in which they vary much,
and hardly leave them; the distance of Mahalanobis counts a step in any direction in what is usual there. The
covariance is shrunk (Ledoit and Wolf, 2004), so that few pictures are enough, and all but its first principal
axes count as one, so that it takes kilobytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from regraft.engine.predict import Doubles, Floats
from regraft.engine.threads import side_by_side

T = TypeVar("T", bound=np.generic)

#: Principal axes that are kept.
AXES = 128
#: Pictures that are looked at, evenly chosen of more: what is usual shows in them.
MOST = 5000
#: With fewer distances of own pictures nothing is called unknown.
FEWEST = 20
#: So many of a model's own pictures are called unknown. One in a hundred would be few, but the limit would
#: be set by the oddest of them, and most of what is off-topic would pass.
RATE = 0.02

_SHORTEST = 1e-12
#: No direction counts as varying less: numbers of 32 bits do not say it.
_LEAST = 1e-8


@dataclass(frozen=True, kw_only=True, slots=True)
class Region:
    """Where the features of a model's own pictures lie."""

    #: [d]
    mean: Floats
    #: Orthogonal directions [r, d], and the variance along each [r].
    axes: Floats
    variances: Floats
    #: The variance along each of all other directions [1].
    rest: Floats

    def distances(self, features: Floats) -> Doubles:
        """Return how far each picture is away [n]: about 1 is usual."""
        steps = directions(features) - self.mean
        along = steps @ self.axes.T.astype(np.float64)
        beside = np.maximum((steps**2).sum(axis=1) - (along**2).sum(axis=1), 0)
        squares = (along**2 / self.variances).sum(axis=1) + beside / self.rest[0]
        return np.asarray(np.sqrt(squares / features.shape[1]))

    def tensors(self) -> dict[str, Floats]:
        """Return what the region is stored as."""
        named = {"mean": self.mean, "axes": self.axes, "variances": self.variances, "rest": self.rest}
        return {name: np.ascontiguousarray(values, dtype=np.float32) for name, values in named.items()}

    @classmethod
    def load(cls, tensors: Mapping[str, Floats]) -> Region:
        """Return the region that was stored."""
        return cls(**{name: tensors[name] for name in ("mean", "axes", "variances", "rest")})


def some(rows: npt.NDArray[T]) -> npt.NDArray[T]:
    """Return the rows of an array, or of many as many as are looked at, evenly chosen."""
    if len(rows) <= MOST:
        return rows
    return rows[np.linspace(0, len(rows) - 1, MOST).astype(np.int64)]


def learn(features: Floats) -> Region:
    """Return where features [n, d] of two pictures or more lie; the same on any number of threads."""
    found = directions(some(features))
    mean = found.mean(axis=0)
    steps = found - mean
    count, width = steps.shape
    with threadpool_limits(1):
        table = steps @ steps.T if count < width else steps.T @ steps
        values, vectors = np.linalg.eigh(table)
        kept = slice(-1, -1 - min(AXES, count - 1, width), -1)  # they rise
        values, vectors = values[kept], vectors[:, kept]
        axes = (steps.T @ vectors).T if count < width else vectors.T
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    real = lengths[:, 0] > 1e-9 * max(float(lengths.max(initial=0)), _SHORTEST)
    axes, variances = axes[real] / lengths[real], np.maximum(values[real], 0) / count
    even = max(float((steps**2).sum()) / (count * width), _LEAST)
    shrinkage = _shrinkage(steps, float((table**2).sum()) / count**2)
    variances = (1 - shrinkage) * variances + shrinkage * even
    others = width - len(variances)
    rest = (even * width - float(variances.sum())) / others if others else even
    # of pictures that are all but the same any step in another direction would be endless
    least = 1e-3 * even
    return Region(
        mean=mean.astype(np.float32),
        axes=axes.astype(np.float32),
        variances=np.maximum(variances, least).astype(np.float32),
        rest=np.array([max(rest, least)], dtype=np.float32),
    )


def _shrinkage(steps: Doubles, square: float) -> float:
    """Return how much of the covariance is to be that of even noise; `square` is the sum of its squares."""
    count, width = steps.shape
    lengths = (steps**2).sum(axis=1)
    apart = square - float(lengths.mean()) ** 2 / width
    doubt = (float((lengths**2).mean()) - square) / count
    return min(max(doubt / apart, 0.0), 1.0) if apart > 0 else 1.0


def out_of_fold(features: Floats, folds: npt.NDArray[np.int64]) -> Doubles:
    """Return the distance of each picture from where the pictures of the other folds lie, in rising order.

    Pictures of fold -1 are never held out.
    """
    parts = [folds == fold for fold in range(int(folds.max(initial=-1)) + 1)]
    parts = [held for held in parts if held.any() and (~held).sum() > 1]
    found = side_by_side(lambda held: learn(features[~held]).distances(some(features[held])), parts)
    return np.sort(np.concatenate(found)) if found else np.zeros(0)


def threshold(distances: Doubles) -> float | None:
    """Return the distance above which a picture is unknown, by own pictures' in rising order.

    One in fifty of these is farther away; of fewer than fifty none is. None where they are too few.
    """
    if len(distances) < FEWEST:
        return None
    place = min(ceil((len(distances) + 1) * (1 - RATE) - 1e-9), len(distances))
    return float(distances[place - 1])


def directions(vectors: Floats) -> Doubles:
    """Return vectors [n, d] at length one."""
    wide = vectors.astype(np.float64)
    return np.asarray(wide / np.maximum(np.linalg.norm(wide, axis=1, keepdims=True), _SHORTEST))
