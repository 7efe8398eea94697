"""Which pictures a net learns from, and which of them it is chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from regraft.engine.probe import assign_folds
from regraft.records import Row

Places = npt.NDArray[np.int64]

#: In at most so many parts train is divided, some of which are held out, unless less is wanted.
_FOLDS = 20


@dataclass(frozen=True, kw_only=True)
class Learners:
    """Places in a list of rows."""

    train: Places
    #: What epoch and temperature are chosen by; none of these is learned from or measured on.
    chosen_by: Places


def learners(rows: Sequence[Row], targets: Places, *, measured: str, holdout: float, seed: int) -> Learners:
    """Return the train pictures and those to choose by: `val`, or else a part of train, families together.

    `measured` is the split that the result is measured on; where that is `val`, a part of train is held out
    too. A class always keeps pictures to learn from.
    """
    train = np.array([row.split == "train" for row in rows])
    val = np.array([row.split == "val" for row in rows])
    if measured != "val" and val.any():
        return Learners(train=np.flatnonzero(train), chosen_by=np.flatnonzero(val))
    places = np.flatnonzero(train)
    if not holdout:
        return Learners(train=places, chosen_by=places[:0])
    families = [rows[place].family for place in places.tolist()]
    part = Fraction(holdout).limit_denominator(_FOLDS) or Fraction(1, round(1 / holdout))
    folds = assign_folds(targets[places], families, part.denominator, seed=seed)
    held = (folds >= 0) & (folds < part.numerator)
    for target in np.unique(targets[places]):
        if held[targets[places] == target].all():
            held[targets[places] == target] = False
    # a family of which a part stays to learn from stays as a whole
    staying = {family for family, out in zip(families, held.tolist(), strict=True) if not out}
    held &= np.array([family not in staying for family in families], dtype=bool)
    return Learners(train=places[~held], chosen_by=places[held])
