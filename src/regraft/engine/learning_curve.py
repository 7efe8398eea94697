"""What more pictures would give: the head's accuracy when it learns from a half, a quarter, an eighth."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from regraft.engine.predict import Floats
from regraft.engine.probe import Standardised, Targets, each_log_loss, hold_out
from regraft.recipe import OptimSection
from regraft.records import CurvePoint

#: Parts of the pictures that are learned from; each part holds the smaller ones.
PARTS = (0.125, 0.25, 0.5, 1.0)
#: Of fewer pictures there is no curve.
LEAST = 40


def measure(
    features: Floats,
    targets: Targets,
    optim: OptimSection,
    *,
    C: float,  # noqa: N803 (what everybody calls it)
    families: Sequence[str],
    folds: int,
    seed: int,
    step: Callable[[int, int], None],
) -> tuple[CurvePoint, ...]:
    """Return the curve of the plain head at one strength; empty where there are too few pictures.

    Each part is measured on the same held-out pictures. A class keeps one picture at least.
    """
    held = hold_out(targets, families, folds, seed=seed)
    if len(targets) < LEAST or not held:
        return ()
    place = _places(targets, seed)
    points = []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it is scored as it is
        for done, part in enumerate(PARTS):
            right, losses, counts = [], [], []
            for rows in held:
                rest = np.setdiff1d(np.arange(len(targets)), rows)
                learned = rest[_first(targets[rest], place[rest], part)]
                weight, bias = Standardised(features[learned], targets[learned]).fit(C, optim)
                logits = features[rows].astype(np.float64) @ weight.astype(np.float64).T + bias
                right.append(logits.argmax(axis=1) == targets[rows])
                losses.append(each_log_loss(logits, targets[rows]))
                counts.append(len(learned))
            points.append(
                CurvePoint(
                    pictures=round(float(np.mean(counts))),
                    accuracy=float(np.concatenate(right).mean()),
                    log_loss=float(np.concatenate(losses).mean()),
                )
            )
            step(done + 1, len(PARTS))
    return tuple(points)


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What twice as many pictures may give, if the curve goes on as it went."""

    #: What the last doubling gave, as a fraction.
    last: float
    #: What the next one may give.
    next: float


def outlook(curve: Sequence[CurvePoint]) -> Outlook | None:
    """Carry a curve on by one doubling, with errors that fall by a power of the number of pictures.

    None where there are not three points.
    """
    if len(curve) < 3:
        return None
    sizes = np.log([point.pictures for point in curve])
    # half a picture wrong, where none is: a logarithm wants more than nothing
    errors = np.array([max(1 - point.accuracy, 0.5 / curve[-1].pictures) for point in curve])
    slope = min(0.0, float(np.polyfit(sizes, np.log(errors), 1)[0]))
    return Outlook(last=curve[-1].accuracy - curve[-2].accuracy, next=float(errors[-1] * (1 - 2.0**slope)))


def _places(targets: Targets, seed: int) -> npt.NDArray[np.int64]:
    """Return the place of each picture in an order by chance within its class."""
    random = np.random.default_rng(seed)
    place = np.zeros(len(targets), dtype=np.int64)
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        place[members] = random.permutation(len(members))
    return place


def _first(targets: Targets, place: npt.NDArray[np.int64], part: float) -> npt.NDArray[np.int64]:
    """Return the rows of the first part of each class, at least one of each."""
    kept = []
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        order = members[np.argsort(place[members], kind="stable")]
        kept.append(order[: max(1, round(part * len(members)))])
    return np.sort(np.concatenate(kept))
