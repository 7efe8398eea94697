"""The numbers of an evaluation, with their intervals, and what naive guessing reaches."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from regraft.engine.intervals import bootstrap, number, proportion
from regraft.engine.scoring import BINS, TOPS, Scored, Targets
from regraft.records import Bin, ClassScores, Interval, Metrics


def measure(
    scores: npt.NDArray[np.floating],
    targets: Targets,
    labels: tuple[str, ...],
    *,
    families: Sequence[str] | None = None,
    seed: int = 0,
) -> Metrics:
    """Compare probabilities [n, classes] with targets [n] in the order of `labels`; n is at least 1.

    Pictures of one of the n `families` say less together; without any, each is its own.
    """
    scored = Scored(scores, targets)
    found = scored.measure()
    whole = {name: _number(values[0]) for name, values in found.whole.items()}
    members = number(families) if families else np.arange(len(targets))
    intervals, of_classes = bootstrap(scored, members, seed=seed)
    correct = int((scored.predicted == targets).sum())
    for name, right in scored.proportions().items():
        intervals[name] = proportion(right, members)
    bounds = intervals["accuracy"]
    intervals |= dict.fromkeys(("micro_precision", "micro_recall", "micro_f1", "weighted_recall"), bounds)
    intervals["hamming_loss"] = Interval(low=1 - bounds.high, high=1 - bounds.low)
    table = scored.confusion()[0]
    tops = {k: whole.pop(f"top_{k}_accuracy") for k in TOPS if f"top_{k}_accuracy" in whole}
    return Metrics(
        count=len(targets),
        correct=correct,
        accuracy_interval=intervals["accuracy"],
        top_k_accuracy={str(k): value for k, value in tops.items() if value is not None},
        **whole,
        classes=tuple(
            ClassScores(
                label=label,
                support=int(table[place].sum()),
                **{name: _number(values[0, place]) for name, values in found.classes.items()},
                intervals=of_classes[place] | _of_proportions(scored, members, place),
            )
            for place, label in enumerate(labels)
        ),
        confusion=tuple(tuple(map(int, row)) for row in table),
        intervals=intervals,
        reliability=reliability(scored, members),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _of_proportions(scored: Scored, members: Targets, place: int) -> dict[str, Interval]:
    """Return Wilson's intervals of precision and recall of a class, where they are defined."""
    right = scored.predicted == scored.targets
    among = {"precision": scored.predicted == place, "recall": scored.targets == place}
    return {name: proportion(right[some], members[some]) for name, some in among.items() if some.any()}


def reliability(scored: Scored, members: Targets) -> tuple[Bin, ...]:
    """Return, of each bin of the highest probability that has pictures, how sure and how right it is."""
    sure, right = scored.scores.max(axis=1), scored.predicted == scored.targets
    bins = [scored.bins == place for place in range(BINS)]
    return tuple(
        Bin(
            low=place / BINS,
            high=(place + 1) / BINS,
            count=int(chosen.sum()),
            confidence=float(sure[chosen].mean()),
            accuracy=float(right[chosen].mean()),
            interval=proportion(right[chosen], members[chosen]),
        )
        for place, chosen in enumerate(bins)
        if chosen.any()
    )


def majority(train: Targets, test: Targets) -> float:
    """Return the accuracy on `test` of always naming the most frequent class of `train`."""
    return float((test == np.bincount(train).argmax()).mean())


def nearest_mean(
    train: npt.NDArray[np.float32],
    train_targets: Targets,
    test: npt.NDArray[np.float32],
    test_targets: Targets,
) -> float:
    """Return the accuracy of naming the class whose mean of standardised features is nearest (Euclid)."""
    mean, spread = train.mean(axis=0), train.std(axis=0)
    spread = np.where(spread > 1e-8, spread, 1)
    train, test = (train - mean) / spread, (test - mean) / spread
    classes = np.unique(train_targets)
    means = np.stack([train[train_targets == target].mean(axis=0) for target in classes])
    distances = (means**2).sum(axis=1) - 2 * test @ means.T
    return float((classes[distances.argmin(axis=1)] == test_targets).mean())
