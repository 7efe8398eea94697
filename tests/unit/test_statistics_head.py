"""Heads from statistics: what is joined is what would have been known at once."""

import numpy as np
import pytest

from regraft.engine import statistics_head
from regraft.engine.statistics_head import Statistics, gather, learn


def pictures(*, seed=0, classes=3, each=40):
    random = np.random.default_rng(seed)
    targets = np.repeat(np.arange(classes), each)
    mix = random.normal(0, 1, (12, 12))
    features = random.normal(0, 1.5, (classes, 12))[targets] + random.normal(0, 1, (len(targets), 12)) @ mix
    return features.astype(np.float32), targets, np.arange(len(targets)) % 5


def known(features, targets, folds, *, classes=3):
    return gather(features, targets, folds, classes=classes)


def silent(done, total):
    pass


def close(first, second):
    return all(
        np.allclose(getattr(first, name), getattr(second, name), atol=1e-8)
        for name in ("counts", "means", "products")
    )


def test_what_is_joined_is_what_would_have_been_known_at_once():
    features, targets, folds = pictures()
    first = np.arange(len(targets)) % 3 > 0

    joined = known(features[first], targets[first], folds[first]).joined(
        known(features[~first], targets[~first], folds[~first])
    )

    assert close(joined, known(features, targets, folds))


def test_what_is_taken_out_was_never_there():
    features, targets, folds = pictures()
    held = folds == 2

    left = known(features, targets, folds).without(features[held], targets[held])

    assert close(left, known(features[~held], targets[~held], folds[~held]))


def test_a_class_joins_others_at_its_place():
    features, targets, folds = pictures()
    old = targets != 1
    places = np.array([0, 2])

    renamed = np.searchsorted(places, targets[old])
    grown = (
        known(features[old], renamed, folds[old], classes=2)
        .spread_over(places, 3)
        .joined(known(features[~old], targets[~old], folds[~old]))
    )

    head, whole = learn(grown, step=silent), learn(known(features, targets, folds), step=silent)
    assert np.allclose(head.weight, whole.weight, atol=1e-5)
    assert np.allclose(head.bias, whole.bias, atol=1e-5)
    assert head.learning.pictures == 120


@pytest.mark.parametrize("kept", [1024, 30])
def test_statistics_come_back_as_they_were_stored(monkeypatch, kept):
    monkeypatch.setattr(statistics_head, "SAMPLE", kept)
    features, targets, folds = pictures()
    whole = known(features, targets, folds)

    stored = whole.tensors()
    again = Statistics.load(stored)

    assert ("products" in stored, len(again.sample)) == (kept < 120, min(kept, 120))
    assert again.counts.tolist() == [40, 40, 40]
    assert np.allclose(again.means, whole.means, atol=2e-3)
    assert np.allclose(again.products, whole.products, rtol=1e-2, atol=0.5)
    assert learn(again, step=silent).learning.pictures == 120


def test_features_that_are_large_are_stored_without_overflow():
    features, targets, folds = pictures()

    again = Statistics.load(known(features * 1e5, targets, folds).tensors())

    assert np.allclose(again.sample, features * 1e5, rtol=2e-3, atol=1e3)


def test_the_head_tells_the_classes_apart_and_says_so_of_pictures_it_has_not_seen():
    features, targets, folds = pictures()
    other, theirs, _ = pictures()

    head = learn(known(features, targets, folds), step=silent)

    right = (head.out_of_fold.argmax(axis=1) == targets).mean()
    assert head.learning.accuracy == pytest.approx(right)
    assert np.isfinite(head.out_of_fold).all()
    assert ((other @ head.weight.T + head.bias).argmax(axis=1) == theirs).mean() >= right > 0.6


def test_a_class_that_would_be_gone_is_not_held_out():
    features, targets, folds = pictures()
    folds[targets == 1] = 3

    head = learn(known(features, targets, folds), step=silent)

    assert np.isnan(head.out_of_fold[targets == 1]).all()
    assert np.isfinite(head.out_of_fold[targets != 1]).all()
