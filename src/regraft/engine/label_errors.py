"""Doubtful labels: two opinions of each picture, by a head and by its neighbours, which have not seen it.

A head draws one boundary for all pictures, and is sure of itself far away from it; neighbours see what lies
around, and hardly mind one wrong label among them. The geometric mean of what both say ranks wrong labels
better than either does alone. They are ranked by the odds of another label to the given one, which does
better than the given one's probability, and than the margin between the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from regraft.engine.outliers import directions
from regraft.engine.predict import Doubles, Floats
from regraft.engine.probe import Targets, scaling

#: A label is doubted where another one is so many times as likely.
ODDS = 3.0
#: So many of the nearest pictures are asked.
NEIGHBOURS = 20

#: A picture whose cosine is less by this has an e-th of the weight.
_WIDTH = 0.1
#: What each label has before anybody is asked, as a part of all votes.
_PRIOR = 0.02
#: Likenesses of so many pictures to all others are held in memory at once.
_AT_ONCE = 512
_LEAST = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubts:
    """Pictures whose label is likely wrong, the likeliest first, by their places [m]."""

    places: Targets
    #: The label that is likelier, how likely it is, and how likely the given one is.
    suggested: Targets
    likely: Doubles
    given: Doubles
    #: How many of the nearest pictures bear the suggested label, and how many were asked.
    alike: Targets
    asked: int


def doubt(features: Floats, targets: Targets, said: Floats, families: Sequence[str]) -> Doubts:
    """Doubt the labels of pictures with features [n, d].

    `said` [n, classes] are the probabilities by a head that had not seen the picture's family; they are NaN
    where there is no such head, and then the picture is not doubted.
    """
    around, votes, asked = _neighbours(features, targets, said.shape[1], families)
    told = np.flatnonzero(np.isfinite(said).all(axis=1))
    both = np.exp(_logs(said[told]) / 2 + _logs(around[told]) / 2)
    both /= both.sum(axis=1, keepdims=True)
    there, labels = np.arange(len(told)), targets[told]
    given = both[there, labels].copy()
    both[there, labels] = -1
    other = both.argmax(axis=1)
    likely = both[there, other]
    order = np.lexsort((told, -likely / given))
    order = order[likely[order] >= ODDS * given[order]]
    return Doubts(
        places=told[order],
        suggested=other[order],
        likely=likely[order],
        given=given[order],
        alike=votes[told[order], other[order]],
        asked=asked,
    )


def _neighbours(
    features: Floats, targets: Targets, classes: int, families: Sequence[str]
) -> tuple[Doubles, Targets, int]:
    """Return what the nearest pictures of other families say, and how many of how many bear each label."""
    mean, spread = scaling(features)
    away = directions(((features - mean) / spread).astype(np.float32)).astype(np.float32)
    _, family = np.unique(np.array(families), return_inverse=True)
    asked = min(NEIGHBOURS, len(targets) - 1)
    said, votes = np.zeros((len(targets), classes)), np.zeros((len(targets), classes), np.int64)
    with threadpool_limits(1):
        for start in range(0, len(targets), _AT_ONCE):
            part = np.arange(start, min(start + _AT_ONCE, len(targets)))
            alike = away[part] @ away.T
            alike[family[part][:, None] == family[None]] = -np.inf
            near = np.argsort(-alike, axis=1, kind="stable")[:, :asked]
            weights = np.exp(np.take_along_axis(alike, near, axis=1).astype(np.float64) / _WIDTH)
            for place in range(asked):
                known = np.isfinite(np.take_along_axis(alike, near[:, [place]], axis=1)[:, 0])
                label = targets[near[known, place]]
                said[part[known], label] += weights[known, place]
                votes[part[known], label] += 1
    said /= np.maximum(said.sum(axis=1, keepdims=True), 1e-300)
    return (said + _PRIOR) / (1 + _PRIOR * classes), votes, asked


def _logs(probabilities: Floats | Doubles) -> Doubles:
    return np.log(np.clip(probabilities.astype(np.float64), _LEAST, 1))
