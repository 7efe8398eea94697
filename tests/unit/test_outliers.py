"""A picture unlike those that were learned from is told from them by its features alone."""

import numpy as np
import pytest
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score

from regraft.engine import outliers


def features(count, *, seed, turn=0, width=64):
    """Return features of pictures of one topic: they vary along eight directions, and a little along all."""
    axes = np.linalg.qr(np.random.default_rng(turn).normal(size=(width, width)))[0][:8]
    random = np.random.default_rng(seed)
    rows = random.normal(size=(count, 8)) @ axes + 0.1 * random.normal(size=(count, width)) + 3 * axes[0]
    return rows.astype(np.float32)


@pytest.mark.parametrize("count", [40, 300])
def test_the_distance_is_that_of_mahalanobis_with_a_shrunk_covariance(count):
    own, other = features(count, seed=1), features(20, seed=2, turn=1)

    found = outliers.learn(own).distances(other)

    fitted = LedoitWolf().fit(outliers.directions(own))
    expected = np.sqrt(fitted.mahalanobis(outliers.directions(other)) / own.shape[1])
    assert np.allclose(found, expected, rtol=1e-4)


def test_another_topic_is_far_away():
    own, same, other = features(200, seed=1), features(300, seed=2), features(300, seed=3, turn=1)

    distances = outliers.learn(own).distances(np.concatenate([same, other]))

    assert roc_auc_score([0] * 300 + [1] * 300, distances) >= 0.99


def test_about_one_in_fifty_of_the_same_topic_is_unknown():
    own, folds = features(500, seed=1), np.arange(500) % 5
    limit = outliers.threshold(outliers.out_of_fold(own, folds))

    distances = outliers.learn(own).distances(features(4000, seed=2))

    assert 0.005 <= (distances > limit).mean() <= 0.04


def test_how_long_features_are_says_nothing():
    own, other = features(100, seed=1), features(20, seed=2, turn=1)

    near, far = (outliers.learn(own).distances(scale * other) for scale in (1, 8))

    assert np.allclose(near, far, rtol=1e-5)


def test_what_is_stored_says_the_same_again():
    region, other = outliers.learn(features(300, seed=1, width=256)), features(20, seed=2, turn=1, width=256)

    again = outliers.Region.load(region.tensors() | {"scores": np.zeros(3, np.float32)})

    assert region.axes.shape == (outliers.AXES, 256)
    assert again.distances(other).tolist() == region.distances(other).tolist()


def test_the_farthest_of_a_few_pictures_is_the_limit_and_fewer_still_give_none():
    distances = np.arange(100) / 10

    limits = [outliers.threshold(distances[:count]) for count in (19, 20, 48, 99)]

    assert limits == [None, 1.9, 4.7, 9.7]


def test_pictures_that_are_never_held_out_have_no_distance():
    own = features(30, seed=1)

    found = outliers.out_of_fold(own, np.array([-1] * 10 + [0] * 10 + [1] * 10))

    assert found.shape == (20,)
    assert np.array_equal(found, np.sort(found))
    assert outliers.out_of_fold(own, np.full(30, -1)).tolist() == []


def test_pictures_that_are_all_the_same_make_anything_else_far_away():
    region = outliers.learn(np.ones((30, 8), np.float32))

    near, far = region.distances(np.stack([np.ones(8), np.arange(8)]).astype(np.float32)).tolist()

    assert near < 0.1
    assert np.isfinite(far)
    assert far > 1


def test_of_very_many_pictures_some_are_looked_at():
    rows = np.arange(3 * outliers.MOST)

    found = outliers.some(rows)

    assert (len(found), found[0], found[-1]) == (outliers.MOST, 0, rows[-1])
    assert outliers.some(rows[:7]).tolist() == rows[:7].tolist()
