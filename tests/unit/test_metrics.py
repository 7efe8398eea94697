"""Metrics against scikit-learn and against figures that can be worked out by hand."""

import numpy as np
import pytest
import sklearn.metrics as reference

from regraft.engine import metrics
from regraft.engine.intervals import bootstrap, number, proportion, wilson
from regraft.engine.scoring import Scored


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

    def averaged(score, average):
        return score(targets, predicted, average=average, labels=[0, 1, 2], zero_division=0)

    expected = {
        "accuracy": reference.accuracy_score(targets, predicted),
        "balanced_accuracy": balanced,
        "log_loss": reference.log_loss(targets, scores, labels=[0, 1, 2, 3]),
        "cohen_kappa": reference.cohen_kappa_score(targets, predicted),
        "matthews_correlation": reference.matthews_corrcoef(targets, predicted),
        "hamming_loss": reference.hamming_loss(targets, predicted),
        "brier_score": reference.brier_score_loss(targets, scores, labels=range(4), scale_by_half=False),
        **{
            f"{average}_{name}": averaged(score, average)
            for average in ("macro", "weighted")
            for name, score in (
                ("precision", reference.precision_score),
                ("recall", reference.recall_score),
                ("f1", reference.f1_score),
            )
        },
    }
    assert result.model_dump(include=set(expected)) == pytest.approx(expected, abs=1e-9)
    assert result.micro_f1 == result.micro_precision == result.micro_recall == result.accuracy == 135 / 200
    assert result.top_k_accuracy == pytest.approx(
        {"3": reference.top_k_accuracy_score(targets, scores, k=3, labels=range(4))}, abs=1e-9
    )
    assert np.array_equal(result.confusion, reference.confusion_matrix(targets, predicted, labels=range(4)))


@pytest.mark.parametrize("digits", [1, 2, 16], ids=["many ties", "some ties", "no ties"])
def test_the_areas_of_every_class_equal_scikit_learn(evaluated, digits):
    scores, targets = evaluated[0].round(digits), evaluated[1]

    classes = metrics.measure(scores, targets, ("a", "b", "c", "d")).classes

    for label in range(3):
        expected = (
            reference.roc_auc_score(targets == label, scores[:, label]),
            reference.average_precision_score(targets == label, scores[:, label]),
        )
        found = classes[label]
        assert (found.roc_auc, found.average_precision) == pytest.approx(expected, abs=1e-9)
    assert (classes[3].roc_auc, classes[3].average_precision) == (None, None)


@pytest.mark.parametrize("classes", [4, 5, 6, 20])
def test_the_right_one_is_among_the_first_as_often_as_scikit_learn_says(classes):
    random = np.random.default_rng(classes)
    targets, scores = random.integers(0, classes, 300), random.dirichlet(np.ones(classes), 300)

    found = metrics.measure(scores, targets, tuple(map(str, range(classes)))).top_k_accuracy

    expected = {
        str(k): reference.top_k_accuracy_score(targets, scores, k=k, labels=range(classes))
        for k in (3, 5)
        if k < classes
    }
    assert found == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("digits", [1, 2, 16], ids=["many ties", "some ties", "no ties"])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_a_curve_has_the_points_of_scikit_learn(evaluated, label, digits):
    scores, targets = evaluated[0].round(digits), evaluated[1]

    false, true, precision = Scored(scores, targets).curves(label)

    there = targets == label
    rates = reference.roc_curve(there, scores[:, label], drop_intermediate=False)[:2]
    precise, recall, _ = reference.precision_recall_curve(there, scores[:, label])
    np.testing.assert_allclose([[0, *false], [0, *true]], rates, rtol=0, atol=1e-9)
    # there from the lowest threshold up, with a last point that no picture stands for
    points = [[1, *precision], [0, *true]]
    np.testing.assert_allclose(points, [precise[::-1], recall[::-1]], rtol=0, atol=1e-9)


def test_a_weight_is_how_often_a_picture_counts(evaluated):
    scores, targets = evaluated
    weights = np.random.default_rng(1).integers(0, 3, len(targets))

    weighted = Scored(scores, targets).measure(weights[None].astype(float))

    repeated = Scored(scores.repeat(weights, axis=0), targets.repeat(weights)).measure()
    assert {name: values[0] for name, values in weighted.whole.items()} == pytest.approx(
        {name: values[0] for name, values in repeated.whole.items()}, nan_ok=True
    )
    for name, values in repeated.classes.items():
        assert np.allclose(weighted.classes[name], values, equal_nan=True)


def test_every_number_that_is_defined_has_an_interval_around_it(evaluated):
    result = metrics.measure(*evaluated, ("a", "b", "c", "d"))

    values = result.model_dump()
    around = {
        name: interval.low <= values.get(name, 0.85) <= interval.high
        for name, interval in result.intervals.items()
        if not name.startswith("top_")
    }
    assert around == dict.fromkeys(around, True)
    assert {"accuracy", "top_3_accuracy", "macro_f1", "brier_score", "cohen_kappa"} < set(result.intervals)
    assert set(result.classes[0].intervals) == {"precision", "recall", "f1", "roc_auc", "average_precision"}
    assert set(result.classes[3].intervals) == {"precision"}


def test_the_bootstrap_of_the_same_pictures_gives_the_same_and_families_widen_it(evaluated):
    scores, targets = (np.concatenate([part] * 4) for part in evaluated)
    alone, together = np.arange(800), np.arange(800) % 200

    once, _ = bootstrap(Scored(scores, targets), alone)
    again, _ = bootstrap(Scored(scores, targets), alone)
    copies, _ = bootstrap(Scored(scores, targets), together)

    def width(found):
        return found["macro_f1"].high - found["macro_f1"].low

    assert once == again
    assert 1.6 < width(copies) / width(once) < 2.4  # four copies tell as much as one


def test_the_intervals_hold_the_truth_about_as_often_as_they_say():
    random = np.random.default_rng(7)
    held = []
    for _ in range(100):
        targets = random.integers(0, 2, 200)
        sure = np.clip(random.normal(0.3 + 0.4 * targets, 0.25), 0.01, 0.99)
        found, _ = bootstrap(Scored(np.stack([1 - sure, sure], axis=1), targets), np.arange(200))
        # the area under the curve of two normals 0.4 apart, each with a deviation of 0.25
        held.append(found["macro_roc_auc"].low <= 0.8711 <= found["macro_roc_auc"].high)

    assert 88 <= sum(held) <= 100


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
    interval = wilson(successes, trials)

    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-4)


def test_the_interval_ends_exactly_where_nothing_or_all_is_right():
    ends = {(wilson(0, n).low, wilson(n, n).high) for n in range(1, 501)}

    assert ends == {(0.0, 1.0)}


def test_the_log_loss_of_a_model_that_is_sure_and_right_is_nought_without_a_sign():
    loss = metrics.measure(np.array([[1.0, 0.0]] * 3), np.array([0, 0, 0]), ("a", "b")).log_loss

    assert str(loss) == "0.0"


@pytest.mark.parametrize("classes", [2, 6])
@pytest.mark.parametrize("spread", [0.05, 0.5, 5], ids=["sure", "less sure", "unsure"])
def test_the_calibration_error_is_what_its_definition_says(classes, spread):
    random = np.random.default_rng(classes)
    scores = random.dirichlet(np.full(classes, spread), 500)
    targets = np.where(random.random(500) < 0.3, random.integers(0, classes, 500), scores.argmax(axis=1))

    found = metrics.measure(scores, targets, tuple("abcdef"[:classes])).calibration_error

    assert found == pytest.approx(_expected_calibration_error(scores, targets, bins=15), abs=1e-9)


def test_the_calibration_error_of_a_model_that_is_sure_and_half_right_is_one_half():
    scores = np.array([[1.0, 0.0]] * 4)

    result = metrics.measure(scores, np.array([0, 0, 1, 1]), ("a", "b"))

    assert result.calibration_error == 0.5
    assert [found.model_dump(exclude={"interval"}) for found in result.reliability] == [
        {"low": 14 / 15, "high": 1.0, "count": 4, "confidence": 1.0, "accuracy": 0.5}
    ]


def test_the_baselines_are_what_their_names_say():
    train, targets = np.array([[0.0, 0], [0, 1], [9, 9]], np.float32), np.array([0, 0, 1])
    test, truth = np.array([[1.0, 1], [8, 8], [9, 7]], np.float32), np.array([0, 1, 1])

    result = metrics.majority(targets, truth), metrics.nearest_mean(train, targets, test, truth)

    assert result == (pytest.approx(1 / 3), 1.0)


def test_pictures_of_a_family_are_worth_fewer_and_the_interval_holds_the_truth():
    random = np.random.default_rng(5)
    members = np.repeat(np.arange(30), 8)
    held = naive = 0
    for _ in range(200):
        right = np.repeat(random.random(30) < 0.8, 8)
        held += (found := proportion(right, members)).low <= 0.8 <= found.high
        naive += (plain := wilson(int(right.sum()), 240)).low <= 0.8 <= plain.high

    assert held >= 184 > naive
    assert proportion(np.ones(240, bool), members) == wilson(30, 30)
    assert proportion(np.arange(240) < 200, np.arange(240)) == wilson(200, 240)


def test_what_did_not_vary_in_a_few_pictures_has_no_interval():
    perfect = metrics.measure(np.eye(2)[[0, 1] * 20] * 0.8 + 0.1, np.array([0, 1] * 20), ("a", "b"))
    few = metrics.measure(np.eye(2)[[0, 1] * 4] * 0.8 + 0.1, np.array([0, 1] * 3 + [1, 0]), ("a", "b"))

    assert "macro_f1" not in perfect.intervals
    assert perfect.intervals["accuracy"] == perfect.intervals["micro_f1"] == wilson(40, 40)
    assert set(few.intervals) == {
        "accuracy",
        "hamming_loss",
        "micro_f1",
        "micro_precision",
        "micro_recall",
        "weighted_recall",
    }
    assert number(["b", "a", "b"]).tolist() == [1, 0, 1]


def _expected_calibration_error(scores, targets, *, bins):
    """Add up, bin by bin, how far apart confidence and accuracy lie (Guo et al., 2017)."""
    sure, right = scores.max(axis=1), scores.argmax(axis=1) == targets
    total = 0.0
    for place in range(bins):
        inside = (sure > place / bins) & (sure <= (place + 1) / bins)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - sure[inside].mean())
    return total
