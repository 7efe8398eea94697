"""The numbers of an evaluation: scikit-learn underneath, intervals and calibration on top."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

from regraft.records import ClassScores, Interval, Metrics

Scores = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]

#: Bins of the calibration error.
BINS = 15


def measure(scores: Scores, targets: Targets, labels: tuple[str, ...]) -> Metrics:
    """Compare probabilities [n, classes] with targets [n] in the order of `labels`; n is at least 1."""
    predicted = scores.argmax(axis=1)
    correct = int((predicted == targets).sum())
    indices = np.arange(len(labels))
    precision, recall, f1, support = precision_recall_fscore_support(
        targets, predicted, labels=indices, zero_division=0
    )
    there = support > 0
    named = np.bincount(predicted, minlength=len(labels)) > 0
    return Metrics(
        count=len(targets),
        correct=correct,
        accuracy=correct / len(targets),
        accuracy_interval=wilson(correct, len(targets)),
        balanced_accuracy=float(recall[there].mean()),
        macro_f1=float(f1[there].mean()),
        log_loss=log_loss(scores, targets),
        calibration_error=calibration_error(scores, targets),
        classes=tuple(
            ClassScores(
                label=label,
                precision=float(precision[i]) if named[i] else None,
                recall=float(recall[i]) if there[i] else None,
                f1=float(f1[i]) if there[i] else None,
                support=int(support[i]),
            )
            for i, label in enumerate(labels)
        ),
        confusion=tuple(map(tuple, confusion_matrix(targets, predicted, labels=indices).tolist())),
    )


def wilson(successes: int, trials: int) -> Interval:
    """Return the 95 % score interval of a proportion (Wilson, 1927)."""
    z = 1.959963984540054
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    low = float(centre - half) if successes else 0.0  # exact where rounding is not
    high = float(centre + half) if successes < trials else 1.0
    return Interval(low=low, high=high)


def log_loss(scores: Scores, targets: Targets) -> float:
    """Return the mean negative logarithm of the probability of the true class, in nats."""
    true = np.clip(scores[np.arange(len(targets)), targets], 1e-15, 1)
    return float(-np.log(true).mean()) + 0.0  # never -0.0


def calibration_error(scores: Scores, targets: Targets) -> float:
    """Return the expected calibration error of the top label (Guo et al., 2017): 15 bins of equal width."""
    sure = scores.max(axis=1)
    right = scores.argmax(axis=1) == targets
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    error = 0.0
    for index in range(BINS):
        members = bins == index
        if members.any():
            error += members.mean() * abs(float(sure[members].mean()) - float(right[members].mean()))
    return float(error)


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
