"""Prediction sets: as many labels as it takes for the true one to be among them as often as was asked for.

What a model gave the true label of pictures that it had not learned from tells how low that probability goes:
every label above it is in the set (Sadinle et al., Least Ambiguous Set-Valued Classifiers with Bounded Error
Levels, 2019). Of the scores that were tried (adaptive sets, with and without a penalty for their size) this
one comes as near to the coverage with the smallest sets.
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt

from regraft.engine.predict import Doubles

Marks = npt.NDArray[np.bool_]


def scores(probabilities: Doubles, targets: npt.NDArray[np.int64]) -> Doubles:
    """Return how little each picture's true label was expected, in rising order: 0 is fully, 1 not at all.

    The probabilities [n, classes] are those of a model that has not learned from the pictures; rows without
    any, which are NaN, are left out.
    """
    given = probabilities[np.arange(len(targets)), targets].astype(np.float64)
    return np.sort(1 - given[~np.isnan(given)])


def limit(scores: Doubles, coverage: float, *, pictures: int) -> float:
    """Return the score up to which a label belongs to a set; infinity where the pictures are too few.

    It is the smallest score that covers the fraction of the pictures and of one more, which is to come.
    Several scores of one picture are no further pictures.
    """
    place = ceil((pictures + 1) * coverage - 1e-9)  # 0.95 of 20 is 19, and not a bit more
    return float(scores[ceil(place * len(scores) / pictures) - 1]) if place <= pictures else np.inf


def fewest(coverage: float) -> int:
    """Return how many pictures a coverage takes at least, to say more than that it may be any label."""
    return ceil(coverage / (1 - coverage) - 1e-9)


def sets(probabilities: Doubles, limit: float) -> Marks:
    """Tell which labels belong to the set of each picture [n, classes]; the likeliest always does."""
    found = 1 - probabilities <= limit
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return np.asarray(found)
