"""What a model knows of its own limits: found when it is made, stored with it, asked when it predicts.

Everything comes from pictures that the model had not learned from: of a fitted head what was said out of
fold, of a tuned net what it says of the pictures that it was chosen by.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load, save

from regraft.engine import conformal, outliers
from regraft.engine.held_out import HeldOut
from regraft.engine.predict import Doubles, Floats
from regraft.engine.scoring import Scored
from regraft.errors import InvalidError, MismatchError
from regraft.records import ModelVersion, Trust
from regraft.store.opening import Store

Targets = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a stored model is asked about single pictures."""

    labels: tuple[str, ...]
    region: outliers.Region
    #: Distance above which a picture is unknown; None where there were too few to tell.
    threshold: float | None
    #: Of `conformal.scores`, and of how many pictures these are.
    scores: Doubles
    pictures: int

    def strangeness(self, features: Floats) -> Doubles | None:
        """Return each picture's distance [n] over the one above which it is unknown."""
        return None if self.threshold is None else self.region.distances(features) / self.threshold

    def sets(self, probabilities: Doubles, coverage: float) -> list[tuple[str, ...]]:
        """Return the labels that belong to each picture's set, the likeliest first."""
        chosen = conformal.sets(probabilities, conformal.limit(self.scores, coverage, pictures=self.pictures))
        orders = np.argsort(-probabilities, axis=1, kind="stable")
        return [
            tuple(self.labels[place] for place in order if marks[place])
            for order, marks in zip(orders, chosen, strict=True)
        ]


def out_of_fold(
    store: Store, features: Floats, targets: Targets, held: HeldOut, folds: Targets
) -> Trust | None:
    """Return what is known of a head that was fitted on features [n, d]; the fold of a picture may be -1."""
    distances = outliers.out_of_fold(features, folds)
    said = held.said.astype(np.float64)
    return _stored(store, features, targets[held.rows], said, distances, pictures=held.pictures)


def held_out(
    store: Store, learned: Floats, features: Floats, targets: Targets, probabilities: Doubles
) -> Trust | None:
    """Return what is known of a net by pictures that it was chosen by.

    `learned` are the features of pictures that it learned from.
    """
    if len(learned) < 2:
        return None
    distances = np.sort(outliers.learn(learned).distances(features))
    return _stored(store, learned, targets, probabilities, distances, pictures=len(targets))


def _stored(
    store: Store, learned: Floats, targets: Targets, said: Doubles, distances: Doubles, *, pictures: int
) -> Trust | None:
    """Store what was said [m, classes] of so many `pictures`, of some perhaps several times."""
    if not pictures:
        return None
    numbers = Scored(said, targets).measure(ranked=False).whole
    tensors = outliers.learn(learned).tensors() | {
        "distances": distances.astype(np.float32),
        "scores": conformal.scores(said, targets).astype(np.float32),
    }
    return Trust(
        statistics=store.blobs.put(save(tensors)),
        pictures=pictures,
        accuracy=float(numbers["accuracy"][0]),
        log_loss=float(numbers["log_loss"][0]),
        calibration_error=float(numbers["calibration_error"][0]),
        threshold=outliers.threshold(distances),
    )


def limits(store: Store, model: ModelVersion) -> Limits | None:
    """Return what a model knows of its limits; None of a pretrained one, and of those made without it."""
    if model.trust is None:
        return None
    tensors = load(store.blobs.get(model.trust.statistics))
    return Limits(
        labels=model.labels,
        region=outliers.Region.load(tensors),
        threshold=model.trust.threshold,
        scores=tensors["scores"].astype(np.float64),
        pictures=model.trust.pictures,
    )


def check_coverage(model: ModelVersion, coverage: float | None) -> None:
    """Raise InvalidError for what is no coverage, MismatchError for a model that was not measured for it."""
    if coverage is None:
        return
    if not 0 < coverage < 1:
        raise InvalidError(
            f"The coverage is {coverage:g}.", hint="Take a fraction between 0 and 1, such as 0.95."
        )
    if model.trust is None:
        raise MismatchError(
            "The model does not know how often its labels are right.",
            hint="Fine-tune it: what comes out was measured on pictures that it had not learned from.",
        )


def too_few(model: ModelVersion, coverage: float | None) -> str:
    """Say that a set must hold all labels, because too few pictures were held out; else say nothing."""
    if coverage is None or model.trust is None or model.trust.pictures >= conformal.fewest(coverage):
        return ""
    return (
        f"A coverage of {coverage:g} takes {conformal.fewest(coverage):,} pictures that were held out, and "
        f"the model had {model.trust.pictures:,}: each set holds all labels."
    )
