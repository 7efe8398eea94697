"""Prediction sets hold the true label as often as was asked for, and are small where they can be."""

import numpy as np
import pytest

from regraft.engine import conformal
from regraft.engine.predict import softmax


def told(count, *, classes, seed):
    """Return probabilities of a model that is sure without right, and what is in the pictures."""
    random = np.random.default_rng(seed)
    targets = random.integers(0, classes, count)
    logits = random.normal(0, 1, (count, classes))
    logits[np.arange(count), targets] += 2.5
    return softmax(1.7 * logits), targets


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("classes", [2, 6, 40])
def test_sets_hold_the_true_label_as_often_as_was_asked_for(classes, coverage):
    limit = conformal.limit(conformal.scores(*told(1000, classes=classes, seed=1)), coverage, pictures=1000)
    probabilities, targets = told(4000, classes=classes, seed=2)

    found = conformal.sets(probabilities, limit)

    right = probabilities.argmax(axis=1) == targets
    reached = found[np.arange(len(targets)), targets].mean()
    assert max(coverage, right.mean()) - 0.03 <= reached <= max(coverage, right.mean()) + 0.03


def test_a_picture_that_is_hard_gets_a_larger_set():
    probabilities = np.array([[0.97, 0.02, 0.01], [0.5, 0.45, 0.05]])

    found = conformal.sets(probabilities, 0.6)

    assert found.tolist() == [[True, False, False], [True, True, False]]


def test_the_likeliest_label_is_in_every_set():
    probabilities = np.array([[0.4, 0.35, 0.25]])

    found = conformal.sets(probabilities, 0.1)

    assert found.tolist() == [[True, False, False]]


def test_one_more_picture_than_there_are_is_covered():
    scores = np.arange(19) / 100

    limits = [conformal.limit(scores[:count], 0.95, pictures=count) for count in (18, 19)]

    assert limits == [np.inf, 0.18]
    assert [conformal.fewest(coverage) for coverage in (0.5, 0.9, 0.95, 0.99)] == [1, 9, 19, 99]


def test_too_few_pictures_leave_every_label_possible():
    limit = conformal.limit(np.zeros(3), 0.95, pictures=3)

    found = conformal.sets(np.array([[0.999, 0.001]]), limit)

    assert found.tolist() == [[True, True]]


def test_pictures_that_were_never_held_out_do_not_count():
    probabilities = np.array([[0.75, 0.25], [np.nan, np.nan], [0.5, 0.5]])

    scores = conformal.scores(probabilities, np.array([0, 0, 1]))

    assert scores.tolist() == [0.25, 0.5]


def test_scores_of_several_heads_are_no_further_pictures():
    scores = np.arange(60) / 60  # three of each of 20 pictures

    limits = [conformal.limit(scores, coverage, pictures=20) for coverage in (0.5, 0.9, 0.95, 0.96)]

    # of 21 pictures it takes 10.5, 18.9, 19.95 and more than there are
    assert limits == [scores[32], scores[56], scores[59], np.inf]
