"""Two models on the same pictures: is one better, by more than chance?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from regraft.engine.intervals import interval, resamples
from regraft.engine.scoring import Scored
from regraft.records import Difference, Interval

#: A difference is called one where chance alone would show as large a one less often than this.
LEVEL = 0.05
#: Of numbers that are tested beside accuracy; so little that all together find no more than LEVEL by chance.
STRICT = 0.01
#: Those, which may tell models apart that are right about the same pictures.
_BESIDE = ("log_loss", "brier_score")

#: Random changes of signs, and how many are tried at once.
_FLIPS, _AT_ONCE = 20_000, 2_000

_COMPARED = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier_score", "calibration_error")


def probability(
    before: npt.NDArray[np.bool_] | npt.NDArray[np.float64],
    after: npt.NDArray[np.bool_] | npt.NDArray[np.float64],
    members: npt.NDArray[np.int64],
    *,
    seed: int = 0,
) -> float:
    """Return how often chance alone changes as much a number [n] of each picture, of some families [n].

    Two-sided. What a family gained or lost changes its sign as a whole. Of what is right or wrong of
    pictures that have nothing to do with each other it is McNemar's exact test (1947).
    """
    nets = np.bincount(members, weights=after.astype(float) - before)
    nets = nets[nets != 0]
    if not len(nets):
        return 1.0
    if (np.abs(nets) == 1).all():
        return float(binomtest(int((nets > 0).sum()), len(nets)).pvalue)
    seen, count = abs(nets.sum()), 0
    random = np.random.default_rng(seed)
    for _ in range(_FLIPS // _AT_ONCE):
        signs = 2.0 * random.integers(0, 2, (_AT_ONCE, len(nets)), dtype=np.int8) - 1
        count += int((np.abs(signs @ nets) >= seen - 1e-9).sum())
    return (1 + count) / (1 + _FLIPS)


def beside_accuracy(one: Scored, other: Scored, members: npt.NDArray[np.int64]) -> tuple[str, ...]:
    """Return in which other numbers two models differ, whose accuracy may be the same."""
    return tuple(name for name in _BESIDE if probability(one.each[name], other.each[name], members) < STRICT)


def differences(
    one: Scored, other: Scored, members: npt.NDArray[np.int64], *, seed: int = 0
) -> dict[str, Difference]:
    """Return by how much the second is above the first, with 95 % intervals of a paired bootstrap.

    Both measured the same pictures in the same order; those of a family are drawn together.
    """
    first, second = one.measure(ranked=False), other.measure(ranked=False)
    drawn: dict[str, list[npt.NDArray[np.float64]]] = {name: [] for name in _COMPARED}
    for weights in resamples(members, seed=seed):
        was, now = one.measure(weights, ranked=False), other.measure(weights, ranked=False)
        for name in _COMPARED:
            drawn[name].append(now.whole[name] - was.whole[name])
    found = {}
    for name, parts in drawn.items():
        a, b = float(first.whole[name][0]), float(second.whole[name][0])
        found[name] = Difference(
            first=a,
            second=b,
            difference=b - a,
            interval=interval(np.concatenate(parts), b - a) or Interval(low=b - a, high=b - a),
        )
    return found
