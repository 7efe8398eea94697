"""Confidence intervals: Wilson's for a proportion, a seeded bootstrap for every other number.

Pictures of one family (look-alikes, or what a person groups) tell less than as many that have nothing to do
with each other: a proportion counts as of fewer pictures then, and a resample draws whole families.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from regraft.engine.scoring import Scored
from regraft.records import Interval

#: Resamples of a bootstrap, and of one of so many pictures that a resample takes long.
RESAMPLES = 1000
FEWER = 200
MANY = 5000
#: Pictures times classes from which on there are fewer resamples, and areas under curves get no interval.
MANY_CELLS = 10**6
TOO_MANY = 5 * 10**6
#: Of fewer families than this a bootstrap says too little.
LEAST = 10
#: 97.5 % of a normal distribution lies below.
Z = 1.959963984540054


def wilson(successes: float, trials: float) -> Interval:
    """Return the 95 % score interval of a proportion (Wilson, 1927)."""
    share = successes / trials
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z / (1 + Z**2 / trials) * np.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    low = float(centre - half) if successes else 0.0  # exact where rounding is not
    high = float(centre + half) if successes < trials else 1.0
    return Interval(low=low, high=high)


def proportion(right: npt.NDArray[np.bool_], families: npt.NDArray[np.int64]) -> Interval:
    """Return Wilson's interval of how often [n] is right, of as many pictures as `families` [n] are worth.

    That is their number over the design effect, by the linearised variance between families, corrected for
    how few these are (Korn and Graubard, 1998; Dean and Pagano, 2015).
    """
    count = len(right)
    sizes = np.bincount(families)
    sizes = sizes[sizes > 0]
    if len(sizes) == count:
        return wilson(int(right.sum()), count)
    share = float(right.mean())
    worth = count**2 / float((sizes**2).sum())  # as if all of a family were right, or none
    if 0 < share < 1 and len(sizes) > 1:
        errors = np.bincount(families, weights=right - share)
        variance = len(sizes) / (len(sizes) - 1) * float((errors**2).sum()) / count**2
        worth = min(count, share * (1 - share) / variance) if variance else float(count)
        worth *= (Z / float(t.ppf(0.975, len(sizes) - 1))) ** 2
    worth = max(1.0, worth)
    return wilson(share * worth, worth) if 0 < share < 1 else wilson(share * round(worth), round(worth))


def number(families: Sequence[str]) -> npt.NDArray[np.int64]:
    """Return the families [n] as numbers from 0 on."""
    _, members = np.unique(np.asarray(families), return_inverse=True)
    return np.asarray(members, dtype=np.int64)


def resamples(
    members: npt.NDArray[np.int64], *, seed: int, count: int = RESAMPLES
) -> Iterator[npt.NDArray[np.float64]]:
    """Yield how often each picture counts in resamples [some, n], as many as `count` together.

    Pictures of one family, by its number [n], are drawn together (Field and Welsh, 2007: the cluster
    bootstrap).
    """
    groups = int(members.max()) + 1
    wanted = count if len(members) <= MANY else min(count, FEWER)
    random = np.random.default_rng(seed)
    step = max(1, 10**7 // len(members))
    for start in range(0, wanted, step):
        some = min(step, wanted - start)
        drawn = random.integers(0, groups, (some, groups)) + groups * np.arange(some)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=some * groups).reshape(some, groups)
        yield counts[:, members].astype(np.float64)


def bootstrap(
    scored: Scored, members: npt.NDArray[np.int64], *, seed: int = 0
) -> tuple[dict[str, Interval], list[dict[str, Interval]]]:
    """Return the 95 % intervals of all numbers by name, and of those of each class.

    They are percentiles, corrected for bias (Efron, 1981). A number has none that is not defined in half of
    the resamples or the same in all of them, and there are none at all of fewer than ten families: that
    nothing varied in a few pictures does not say that nothing would.
    """
    if members.max() + 1 < LEAST:
        return {}, [{} for _ in range(scored.class_count)]
    cells = scored.count * scored.class_count
    count = RESAMPLES if cells <= MANY_CELLS else FEWER
    ranked = cells <= TOO_MANY
    points = scored.measure(ranked=ranked)
    parts = [scored.measure(weights, ranked=ranked) for weights in resamples(members, seed=seed, count=count)]
    whole = {
        name: interval(np.concatenate([part.whole[name] for part in parts]), float(point[0]))
        for name, point in points.whole.items()
    }
    classes = {name: np.concatenate([part.classes[name] for part in parts]) for name in points.classes}
    return (
        {name: found for name, found in whole.items() if found is not None},
        [
            {
                name: found
                for name, values in classes.items()
                if (found := interval(values[:, label], float(points.classes[name][0, label]))) is not None
            }
            for label in range(scored.class_count)
        ],
    )


def interval(values: npt.NDArray[np.float64], point: float) -> Interval | None:
    """Return the bias-corrected 95 % interval of what resamples [b] gave, around a point; None of nothing."""
    known = values[~np.isnan(values)]
    if 2 * len(known) < len(values) or np.isnan(point) or not np.ptp(known) > 0:
        return None
    below = float((known < point).mean() + (known == point).mean() / 2)
    shift = float(norm.ppf(np.clip(below, 0.5 / len(known), 1 - 0.5 / len(known))))
    low, high = np.quantile(known, norm.cdf((2 * shift - Z, 2 * shift + Z)))
    return Interval(low=min(float(low), point), high=max(float(high), point))
