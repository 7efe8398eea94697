"""How slices fare: the accuracy of each, and whether it differs from that of the rest by more than chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.stats import fisher_exact, t

from regraft.engine.intervals import proportion
from regraft.records import SliceScores

Marks = npt.NDArray[np.bool_]

#: A slice is told apart where nothing but chance would do so less often, for all slices together.
LEVEL = 0.05


def compare(
    slices: Sequence[tuple[str, Marks]], right: Marks, members: npt.NDArray[np.int64]
) -> tuple[SliceScores, ...]:
    """Return the scores of slices [n] of pictures that were named rightly or not [n], the worst first.

    Each is tested against the rest, corrected for their number (Holm, 1979): by Fisher's exact test, or where
    pictures belong to families [n], by the difference over its linearised deviation between families.
    """
    single = len(np.unique(members)) == len(members)
    tests = [_exact(marks, right) if single else _clustered(marks, right, members) for _, marks in slices]
    order = np.argsort(tests, kind="stable")
    told: set[int] = set()
    for rank, place in enumerate(order):
        if tests[place] > LEVEL / (len(tests) - rank):
            break
        told.add(int(place))
    found = [
        SliceScores(
            name=name,
            count=int(marks.sum()),
            accuracy=float(right[marks].mean()),
            interval=proportion(right[marks], members[marks]),
            rest=float(right[~marks].mean()),
            distinct=place in told,
        )
        for place, (name, marks) in enumerate(slices)
    ]
    return tuple(sorted(found, key=lambda one: (one.accuracy - one.rest, one.name)))


def _clustered(marks: Marks, right: Marks, members: npt.NDArray[np.int64]) -> float:
    within, rest = float(right[marks].mean()), float(right[~marks].mean())
    parts = np.where(marks, (right - within) / marks.sum(), -(right - rest) / (~marks).sum())
    sums = np.bincount(members, weights=parts)
    families = len(np.unique(members))
    if families < 2 or not (sums**2).sum() > 0:
        return 1.0  # nothing varies, so that nothing is known of chance
    deviation = float(np.sqrt(families / (families - 1) * (sums**2).sum()))
    return float(2 * t.sf(abs(within - rest) / deviation, families - 1))


def _exact(marks: Marks, right: Marks) -> float:
    table = [
        [int((right & marks).sum()), int((~right & marks).sum())],
        [int((right & ~marks).sum()), int((~right & ~marks).sum())],
    ]
    return float(fisher_exact(table).pvalue)
