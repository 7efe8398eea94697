"""Metrics against scikit-learn and against figures that can be worked out by hand."""

import numpy as np
import pytest
import sklearn.metrics as reference

from regraft.engine import metrics


@pytest.fixture
def evaluated():
    """Probabilities [200, 4] and targets, with class 3 never true."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 200)
    logits = random.normal(size=(200, 4)) + 1.5 * np.eye(4)[targets]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), targets


def test_the_numbers_equal_scikit_learn(evaluated):
    scores, targets = evaluated

    result = metrics.measure(scores, targets, ("a", "b", "c", "d"))

    predicted = scores.argmax(axis=1)
    with pytest.warns(UserWarning, match="not in y_true"):
        balanced = reference.balanced_accuracy_score(targets, predicted)
    expected = {
        "accuracy": reference.accuracy_score(targets, predicted),
        "balanced_accuracy": balanced,
        "macro_f1": reference.f1_score(targets, predicted, average="macro", labels=[0, 1, 2]),
        "log_loss": reference.log_loss(targets, scores, labels=[0, 1, 2, 3]),
    }
    assert result.model_dump(include=set(expected)) == pytest.approx(expected, abs=1e-9)
    assert np.array_equal(result.confusion, reference.confusion_matrix(targets, predicted, labels=range(4)))


def test_a_class_without_pictures_has_no_recall(evaluated):
    scores, targets = evaluated

    last = metrics.measure(scores, targets, ("a", "b", "c", "d")).classes[3]

    assert (last.label, last.recall, last.f1, last.support) == ("d", None, None, 0)
    assert last.precision == 0.0


def test_a_class_that_is_never_named_has_no_precision():
    scores = np.array([[0.9, 0.1], [0.8, 0.2]])

    second = metrics.measure(scores, np.array([0, 1]), ("a", "b")).classes[1]

    assert (second.precision, second.recall, second.f1, second.support) == (None, 0.0, 0.0, 1)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (131, 140, 0.8823, 0.9658), (50, 100, 0.4038, 0.5962)],
)
def test_the_interval_is_wilsons(successes, trials, low, high):
    interval = metrics.wilson(successes, trials)

    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_the_interval_ends_exactly_where_nothing_or_all_is_right():
    ends = {(metrics.wilson(0, n).low, metrics.wilson(n, n).high) for n in range(1, 501)}

    assert ends == {(0.0, 1.0)}


def test_the_log_loss_of_a_model_that_is_sure_and_right_is_nought_without_a_sign():
    loss = metrics.log_loss(np.array([[1.0, 0.0]] * 3), np.array([0, 0, 0]))

    assert str(loss) == "0.0"


def test_the_calibration_error_of_a_model_that_is_sure_and_half_right_is_one_half():
    scores = np.array([[1.0, 0.0]] * 4)

    error = metrics.calibration_error(scores, np.array([0, 0, 1, 1]))

    assert error == 0.5


def test_the_baselines_are_what_their_names_say():
    train, targets = np.array([[0.0, 0], [0, 1], [9, 9]], np.float32), np.array([0, 0, 1])
    test, truth = np.array([[1.0, 1], [8, 8], [9, 7]], np.float32), np.array([0, 1, 1])

    result = metrics.majority(targets, truth), metrics.nearest_mean(train, targets, test, truth)

    assert result == (pytest.approx(1 / 3), 1.0)
