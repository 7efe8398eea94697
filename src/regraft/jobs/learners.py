"""Which pictures a net learns from, and which of them it is chosen by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regraft.engine.probe import assign_folds
from regraft.records import Row

Places = npt.NDArray[np.int64]


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
    folds = assign_folds(targets[places], families, round(1 / holdout), seed=seed)
    return Learners(train=places[folds != 0], chosen_by=places[folds == 0])
