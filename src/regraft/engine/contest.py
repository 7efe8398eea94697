"""Heads of several kinds on the same features and folds, and which of them is taken.

The plain one, logistic regression, is taken unless another's loss out of fold is lower by more than one
standard error of the difference, picture by picture.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from regraft.engine import closed_heads, probe
from regraft.engine.held_out import HeldOut
from regraft.engine.predict import Doubles, Floats, softmax
from regraft.engine.probe import Head, Standardised, Targets, find_temperature
from regraft.engine.threads import side_by_side
from regraft.recipe import OptimSection

#: The kind that needs no reason.
PLAIN = "logistic"
#: Neighbours that are asked; the head of neighbours is shown for comparison, and never taken.
NEIGHBOURS = (1, 5, 20)
#: Where pictures and features both are more than this, heads in one stroke take longer than they are worth.
_WIDEST = 4096
#: With more pictures the nearest are not looked for.
_MOST_NEIGHBOURS = 10_000

Losses = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one kind of head did on pictures that were held out."""

    #: Such as `logistic` or `ridge`.
    kind: str
    accuracy: float
    log_loss: float
    seconds: float
    #: Of each picture; NaN for those that were never held out.
    losses: Losses


@dataclass(frozen=True, kw_only=True)
class Contest:
    """The head that is taken, and how all did."""

    #: All that could be taken, by their kinds.
    heads: Mapping[str, Head]
    #: The kind that is taken first, then the others from good to bad; empty where there are too few pictures.
    standings: tuple[Standing, ...]

    @property
    def head(self) -> Head:
        """The head that is taken."""
        return self.heads[self.standings[0].kind if self.standings else PLAIN]

    @property
    def losses(self) -> Losses:
        """The losses of the head that is taken; empty where there are too few pictures."""
        return self.standings[0].losses if self.standings else np.zeros(0)


def hold(
    features: Floats,
    targets: Targets,
    optim: OptimSection,
    *,
    families: Sequence[str],
    folds: int,
    seed: int,
    step: Callable[[int, int], None],
    views: Mapping[str, Floats] | None = None,
    rivals: bool = True,
) -> Contest:
    """Let the kinds of heads compete on features [n, d], by cross-validation with families kept together.

    `views` are features of the same pictures, changed in ways that a label does not mind, by what the
    pictures are then, such as `mirrored`: the plain head learns from all of them, and is measured on the
    pictures as they are. Without `rivals` it stands alone.
    """
    began = time.monotonic()
    head = probe.fit(features, targets, optim, families=families, folds=folds, seed=seed, step=step)
    if not head.learning.folds:
        return Contest(heads={PLAIN: head}, standings=())
    field = _Field(features, targets, probe.hold_out(targets, families, folds, seed=seed))
    entries = [(field.standing(PLAIN, head.held_out, began), head)]
    with threadpool_limits(1):
        if views:
            entries.append(field.viewed(head, views, optim))
        elif rivals:
            entries += field.closed(head)
    plain = entries[0][0]
    taken = best([standing for standing, _ in entries[1:]], against=plain) or plain
    others = sorted((one for one, _ in entries if one is not taken), key=lambda one: (one.log_loss, one.kind))
    few = not views and rivals and len(targets) <= _MOST_NEIGHBOURS
    near = [field.neighbours()] if few else []
    heads = {standing.kind: head for standing, head in entries}
    return Contest(heads=heads, standings=(taken, *others, *near))


def beats(old: Standing, new: Standing) -> bool:
    """Tell whether something is better beyond doubt: its loss by a standard error, its accuracy no worse."""
    return gain(old.losses, new.losses) > 1 and new.accuracy >= old.accuracy


def best(candidates: Sequence[Standing], *, against: Standing) -> Standing | None:
    """Return the one of lowest loss among those that beat another, beyond doubt; None where none does."""
    better = (one for one in candidates if beats(against, one))
    return min(better, key=lambda one: one.log_loss, default=None)


def gain(old: Losses, new: Losses) -> float:
    """Return by how many standard errors the new losses are lower, picture by picture.

    Pictures that either lacks are left out; 0 where there are not two that differ.
    """
    both = np.isfinite(old) & np.isfinite(new)
    if both.sum() < 2:
        return 0.0
    less = old[both] - new[both]
    error = less.std(ddof=1) / np.sqrt(len(less))
    return float(less.mean() / error) if error > 0 else 0.0


class _Field:
    """The pictures, and who is held out when."""

    def __init__(self, features: Floats, targets: Targets, held: list[npt.NDArray[np.int64]]) -> None:
        self._features = features
        self._targets = targets
        self._classes = int(targets.max()) + 1
        self._held = held
        self._rows = np.concatenate(held)

    def standing(self, kind: str, held: HeldOut, began: float) -> Standing:
        """Score what was said of the pictures that were held out."""
        losses = held.average(held.losses(self._targets))
        return Standing(
            kind=kind,
            accuracy=float((held.said.argmax(axis=1) == self._targets[held.rows]).mean()),
            log_loss=float(np.nanmean(losses)),
            seconds=time.monotonic() - began,
            losses=losses,
        )

    def _told(self, said: Doubles) -> HeldOut:
        return HeldOut(count=len(self._targets), rows=self._rows, said=said.astype(np.float32))

    def closed(self, plain: Head) -> list[tuple[Standing, Head]]:
        """Return the heads that are computed in one stroke."""
        if min(self._features.shape) > _WIDEST:
            return []
        began = time.monotonic()
        entries = []
        for kind, fit in (
            ("ridge", closed_heads.best_ridge),
            ("shrinkage LDA", closed_heads.discriminant),
            ("nearest mean", closed_heads.nearest_mean),
        ):
            entries.append(self._closed(kind, fit, plain, began))
            began = time.monotonic()
        return entries

    def _closed(
        self, kind: str, fit: closed_heads.Closed, plain: Head, began: float
    ) -> tuple[Standing, Head]:
        def learn(rows: npt.NDArray[np.int64]) -> tuple[Doubles, Doubles]:
            scaled, mean, spread = self._scaled(rows)
            weight, bias = fit(scaled, self._targets[rows], self._classes)
            weight = weight / spread
            return weight, bias - weight @ mean

        return self._head(kind, learn, plain, began, quick=True)

    def viewed(self, plain: Head, views: Mapping[str, Floats], optim: OptimSection) -> tuple[Standing, Head]:
        """Return the plain head that learns from other views of each picture too."""
        times = 1 + len(views)

        def learn(rows: npt.NDArray[np.int64]) -> tuple[Doubles, Doubles]:
            seen = np.concatenate([self._features[rows], *(view[rows] for view in views.values())])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # it is scored as it is
                model = Standardised(seen, np.concatenate([self._targets[rows]] * times))
                # C counts for each picture, of which there are so many times as many
                weight, bias = model.fit(plain.learning.C / times, optim)
            return weight.astype(np.float64), bias.astype(np.float64)

        return self._head(f"{PLAIN}, {' and '.join(views)} too", learn, plain, time.monotonic())

    def neighbours(self) -> Standing:
        """Return how the best number of nearest pictures does."""
        began = time.monotonic()
        parts = []
        with threadpool_limits(1):
            for held in self._held:
                rest = self._rest(held)
                scaled, mean, spread = self._scaled(rest)
                asked = (self._features[held] - mean) / spread
                parts.append(
                    closed_heads.neighbours(scaled, self._targets[rest], self._classes, asked, NEIGHBOURS)
                )
        found = [
            self.standing(f"{count} nearest", self._told(np.concatenate(said)), began)
            for count, said in zip(NEIGHBOURS, zip(*parts, strict=True), strict=True)
        ]
        return min(found, key=lambda one: one.log_loss)

    def _head(
        self,
        kind: str,
        learn: Callable[[npt.NDArray[np.int64]], tuple[Doubles, Doubles]],
        plain: Head,
        began: float,
        *,
        quick: bool = False,
    ) -> tuple[Standing, Head]:
        """Cross-validate a way to learn, and learn from everything by it; one that is `quick` in threads."""

        def said(held: npt.NDArray[np.int64]) -> Doubles:
            weight, bias = learn(self._rest(held))
            return self._features[held].astype(np.float64) @ weight.T + bias

        logits = np.concatenate(side_by_side(said, self._held) if quick else [*map(said, self._held)])
        scale = float(logits.std()) or 1.0  # regression says 0 or 1, a density anything
        pictures = len(np.unique(self._rows))
        temperature = scale * find_temperature(logits / scale, self._targets[self._rows], pictures=pictures)
        held_out = self._told(softmax(logits / temperature))
        standing = self.standing(kind, held_out, began)
        weight, bias = learn(np.arange(len(self._targets)))
        learning = plain.learning.model_copy(
            update={
                "kind": kind,
                "temperature": temperature,
                "accuracy": standing.accuracy,
                "log_loss": standing.log_loss,
            }
        )
        return standing, replace(
            plain,
            weight=weight.astype(np.float32),
            bias=bias.astype(np.float32),
            temperature=temperature,
            held_out=held_out,
            learning=learning,
        )

    def _rest(self, held: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        return np.setdiff1d(np.arange(len(self._targets)), held)

    def _scaled(self, rows: npt.NDArray[np.int64]) -> tuple[Doubles, Doubles, Doubles]:
        mean, spread = probe.scaling(self._features[rows])
        return (self._features[rows] - mean) / spread, mean, spread
