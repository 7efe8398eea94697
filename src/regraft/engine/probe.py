"""Fit a linear head on the features of a frozen trunk: convex, so that there is one answer.

Features are standardised; multinomial logistic regression is fitted by L-BFGS (scikit-learn); the strength
of regularisation is the strongest whose cross-validated log-loss is within one standard error of the best
(Breiman et al., Classification and Regression Trees, 1984, section 3.4.3); the logits are divided by a
temperature fitted out of fold (Guo et al., On Calibration of Modern Neural Networks, 2017).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize_scalar
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from regraft.engine.held_out import HeldOut, mean_by
from regraft.engine.predict import Floats, softmax
from regraft.recipe import OptimSection
from regraft.records import Candidate, Learning

Targets = npt.NDArray[np.int64]
Logits = npt.NDArray[np.float64]

#: No feature is scaled as if it varied less than this part of the median feature.
LEAST_SPREAD = 0.1
#: The search ends when the log-loss has risen this many times in a row: along the path it has one minimum.
_PATIENCE = 1
#: Fewer pictures than this are parted into folds several times, up to so many.
ENOUGH = 200
_MOST_REPEATS = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """A linear head for features as the trunk gives them: the standardisation is folded in."""

    #: [classes, features]
    weight: Floats
    #: [classes]
    bias: Floats
    temperature: float
    held_out: HeldOut
    learning: Learning

    @property
    def out_of_fold(self) -> Floats:
        """What is said of each picture on average [n, classes]; NaN of those that were never held out."""
        return self.held_out.average(self.held_out.said).astype(np.float32)


def fit(
    features: Floats,
    targets: Targets,
    optim: OptimSection,
    *,
    families: Sequence[str] | None = None,
    folds: int,
    seed: int,
    step: Callable[[int, int], None],
) -> Head:
    """Fit a head on features [n, d] and targets [n], which are 0 to classes - 1, each there at least once.

    Pictures of one of the n `families` are held out together; without any, each by itself. `step` hears how
    many of how many fits are done. One thread computes: the problems are small, and the result is the same on
    a busy machine.
    """
    families = families or [str(number) for number in range(len(targets))]
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # an unfinished candidate is scored as it is
        held = hold_out(targets, families, folds, seed=seed)
        search = _Search(features, targets, optim, held)
        search.run(step)
        weight, bias = Standardised(features, targets).fit(search.chosen, optim)
    pictures = len(np.unique(search.rows))
    temperature = find_temperature(search.logits, search.targets, pictures=pictures) if pictures else 1.0
    learning = Learning(
        pictures=len(targets),
        num_features=features.shape[1],
        folds=folds if len(search.targets) else 0,
        repeats=repeats(len(targets)),
        candidates=tuple(search.candidates),
        C=search.chosen,
        temperature=temperature,
        accuracy=search.accuracy,
        log_loss=_log_losses(search.logits / temperature, search.targets) if len(search.targets) else None,
    )
    said = softmax(search.logits / temperature) if pictures else np.zeros((0, len(weight)))
    return Head(
        weight=weight,
        bias=bias,
        temperature=temperature,
        held_out=HeldOut(count=len(targets), rows=search.rows, said=said.astype(np.float32)),
        learning=learning,
    )


def repeats(pictures: int) -> int:
    """Return how many partitions into folds so many pictures are worth: one of few says too little."""
    return min(_MOST_REPEATS, -(-ENOUGH // max(pictures, 1)))


def hold_out(
    targets: Targets, families: Sequence[str], folds: int, *, seed: int
) -> list[npt.NDArray[np.int64]]:
    """Return which pictures are held out together: the folds of one partition, of few pictures of several.

    Those that are never held out are in none (see `assign_folds`).
    """
    held = []
    for number in range(repeats(len(targets))):
        fold_of = assign_folds(targets, families, folds, seed=seed + number)
        parts = (np.flatnonzero(fold_of == fold) for fold in range(int(fold_of.max()) + 1))
        held += [rows for rows in parts if len(rows)]
    return held


def assign_folds(
    targets: Targets, families: Sequence[str], folds: int, *, seed: int
) -> npt.NDArray[np.int64]:
    """Return the fold of each picture, stratified, families together.

    It is -1, never held out, for the pictures of a class that would be gone from the rest.
    """
    result = np.full(len(targets), -1)
    random = np.random.default_rng(seed)
    chosen: dict[str, int] = {}
    start = 0
    for target in range(int(targets.max()) + 1):
        members = random.permutation(np.flatnonzero(targets == target))
        names = [families[member] for member in members]
        if len(set(names)) > 1:
            for name in dict.fromkeys(names):
                if name not in chosen:
                    chosen[name] = start % folds
                    start += 1
            found = [chosen[name] for name in names]
            result[members] = found if len(set(found)) > 1 else -1
    return result


def find_temperature(logits: Logits, targets: Targets, *, pictures: int | None = None) -> float:
    """Return the temperature between 1/20 and 20 that the logits call for.

    It makes their log-loss smallest, held towards 1 as if its logarithm were normal with a deviation of
    1/2: a handful of pictures is no reason to be sure. There are as many `pictures` as logits, unless several
    are of one.
    """
    count = pictures or len(targets)
    result = minimize_scalar(
        lambda log_t: _log_losses(logits / np.exp(log_t), targets) + 2 * log_t**2 / count,
        bounds=(-np.log(20), np.log(20)),
        method="bounded",
    )
    return float(np.exp(result.x))


class _Search:
    """The search for C over a grid, from strong to weak regularisation, by cross-validation."""

    def __init__(
        self, features: Floats, targets: Targets, optim: OptimSection, held: list[npt.NDArray[np.int64]]
    ) -> None:
        self._optim = optim
        self._held = held
        #: The pictures that are held out, in the order of `targets` and `logits`: each in every partition.
        self.rows = np.concatenate(self._held) if self._held else np.zeros(0, dtype=np.int64)
        self._parts = [
            Standardised(np.delete(features, rows, axis=0), np.delete(targets, rows)) for rows in self._held
        ]
        self._features = [features[rows] for rows in self._held]
        self.targets = np.concatenate([targets[rows] for rows in self._held]) if self._held else targets[:0]
        self.candidates: list[Candidate] = []
        self._logits: dict[float, Logits] = {}
        self.chosen = optim.C[0]  # where there are too few pictures for folds
        self.logits = np.zeros((0, 0))
        self.accuracy: float | None = None

    def run(self, step: Callable[[int, int], None]) -> None:
        grid = self._optim.C if self._held else ()
        for done, C in enumerate(grid, start=1):  # noqa: N806 (C is what everybody calls it)
            parts = []
            for part, held in zip(self._parts, self._features, strict=True):
                weight, bias = part.fit(C, self._optim)
                parts.append(held.astype(np.float64) @ weight.astype(np.float64).T + bias)
            logits = np.concatenate(parts)
            losses = each_log_loss(logits, self.targets)
            self._logits[C] = logits
            self.candidates.append(
                Candidate(
                    C=C,
                    log_loss=float(losses.mean()),
                    standard_error=self._error(losses),
                )
            )
            step(done, len(grid))
            if self._risen():
                break
        step(len(grid), len(grid))
        if self.candidates:
            self._choose()

    def _error(self, losses: npt.NDArray[np.float64]) -> float:
        """Return the standard error of the mean loss; a picture that was held out twice counts once."""
        each = mean_by(self.rows, losses, int(self.rows.max()) + 1)
        known = each[~np.isnan(each)]
        return float(known.std() / np.sqrt(len(known)))

    def _risen(self) -> bool:
        losses = [candidate.log_loss for candidate in self.candidates]
        return len(losses) > _PATIENCE and int(np.argmin(losses)) < len(losses) - _PATIENCE

    def _choose(self) -> None:
        best = min(self.candidates, key=lambda candidate: candidate.log_loss)
        limit = best.log_loss + best.standard_error
        self.chosen = min(candidate.C for candidate in self.candidates if candidate.log_loss <= limit)
        self.logits = self._logits[self.chosen]
        self.accuracy = float((self.logits.argmax(axis=1) == self.targets).mean())


class Standardised:
    """Features of zero mean and unit variance, and the fit on them; warm from one C to the next."""

    def __init__(self, features: Floats, targets: Targets) -> None:
        self._mean, self._spread = scaling(features)
        self._features = features - self._mean.astype(np.float32)
        self._features /= self._spread.astype(np.float32)
        self._targets = targets
        self._model = LogisticRegression(warm_start=True)

    def fit(self, C: float, optim: OptimSection) -> tuple[Floats, Floats]:  # noqa: N803
        """Return weight and bias for features as they came."""
        self._model.set_params(C=C, max_iter=optim.max_iterations, tol=optim.tolerance)
        self._model.fit(self._features, self._targets)
        weight = self._model.coef_.astype(np.float64)
        bias = self._model.intercept_.astype(np.float64)
        if len(weight) == 1:  # of two classes scikit-learn gives the difference
            weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
        weight = weight / self._spread
        return weight.astype(np.float32), (bias - weight @ self._mean).astype(np.float32)


def scaling(features: Floats) -> tuple[Logits, Logits]:
    """Return the mean and the spread [d] by which features are standardised."""
    spread = features.std(axis=0, dtype=np.float64)
    # what hardly varies is not blown up: over few pictures that would be noise
    spread = np.maximum(spread, LEAST_SPREAD * np.median(spread))
    return features.mean(axis=0, dtype=np.float64), np.where(spread > 1e-8, spread, 1.0)


def each_log_loss(logits: Logits, targets: Targets) -> npt.NDArray[np.float64]:
    """Return the loss of each picture [n]."""
    probabilities = softmax(logits)[np.arange(len(targets)), targets]
    return np.asarray(-np.log(np.clip(probabilities, 1e-15, 1)))


def _log_losses(logits: Logits, targets: Targets) -> float:
    return float(each_log_loss(logits, targets).mean())
