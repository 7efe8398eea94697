"""Whether a change of pictures would change their labels: does a head say of them what it said before?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from regraft.engine.predict import Floats
from regraft.engine.probe import Standardised, Targets, assign_folds
from regraft.recipe import OptimSection

#: A change is harmless where accuracy falls by no more than this, or than two standard errors.
_HARMLESS = 0.03


@dataclass(frozen=True, kw_only=True, slots=True)
class Agreement:
    """What a head that had not seen them says of pictures before and after a change."""

    pictures: int
    #: The fraction of which it says the same.
    same: float
    #: Accuracy before and after.
    before: float
    after: float
    #: Of the difference.
    standard_error: float

    @property
    def harmless(self) -> bool:
        """Whether the pictures can still be named after the change."""
        return self.before - self.after <= max(_HARMLESS, 2 * self.standard_error)


def measure(
    features: Floats,
    targets: Targets,
    optim: OptimSection,
    *,
    C: float,  # noqa: N803 (what everybody calls it)
    changed: Floats,
    of: npt.NDArray[np.int64],
    families: Sequence[str],
    folds: int,
    seed: int,
) -> Agreement | None:
    """Compare what is said of features [n, d] and of `changed` [m, d], whose pictures are the rows `of`.

    None where none of them is ever held out.
    """
    fold_of = assign_folds(targets, families, folds, seed=seed)
    same, before, after = [], [], []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it says what it says
        for fold in np.unique(fold_of[of][fold_of[of] >= 0]):
            asked = np.flatnonzero(fold_of[of] == fold)
            rest = fold_of != fold
            weight, bias = Standardised(features[rest], targets[rest]).fit(C, optim)
            plain = (features[of[asked]] @ weight.T + bias).argmax(axis=1)
            moved = (changed[asked] @ weight.T + bias).argmax(axis=1)
            wanted = targets[of[asked]]
            same.append(plain == moved)
            before.append(plain == wanted)
            after.append(moved == wanted)
    if not same:
        return None
    alike, right, still = (np.concatenate(parts).astype(float) for parts in (same, before, after))
    spread = (right - still).std(ddof=1) if len(right) > 1 else 0.0
    return Agreement(
        pictures=len(right),
        same=float(alike.mean()),
        before=float(right.mean()),
        after=float(still.mean()),
        standard_error=float(spread / np.sqrt(len(right))),
    )
