"""Heads that are computed in one stroke equal scikit-learn's."""

import numpy as np
import pytest
from sklearn.covariance import ledoit_wolf
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid

from regraft.engine import closed_heads


def clouds(width):
    """Return 90 standardised points of three classes in so many dimensions, and their targets."""
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [40, 30, 20])
    points = random.normal(size=(3, width))[targets] + random.normal(size=(90, width))
    return (points - points.mean(axis=0)) / points.std(axis=0), targets


#: Fewer features than pictures, and more.
WIDTHS = pytest.mark.parametrize("width", [12, 200])


@WIDTHS
def test_ridge_equals_scikit_learn(width):
    points, targets = clouds(width)

    weight, bias = closed_heads.ridge(3.0)(points, targets, 3)

    plain = Ridge(alpha=3.0).fit(points, np.eye(3)[targets])
    assert np.allclose(points @ weight.T + bias, plain.predict(points))


@WIDTHS
def test_the_strength_of_ridge_errs_least_when_each_picture_is_left_out_in_turn(width):
    points, targets = clouds(width)
    wanted = np.eye(3)[targets]

    found = closed_heads.ridge_strength(points, targets, 3)

    def error(strength):
        rows = np.arange(len(points))
        left_out = [
            Ridge(alpha=strength).fit(points[rows != row], wanted[rows != row]).predict(points[[row]])
            for row in rows
        ]
        return float(((np.concatenate(left_out) - wanted) ** 2).sum())

    assert error(found) <= min(error(found * 2.15), error(found / 2.15))


@WIDTHS
def test_the_discriminant_equals_scikit_learn_where_it_is_shrunk_alike(width):
    points, targets = clouds(width)

    weight, bias = closed_heads.discriminant(points, targets, 3)

    means = np.stack([points[targets == target].mean(axis=0) for target in range(3)])
    inner = points - means[targets]
    part = ledoit_wolf(inner, assume_centered=True)[1]
    plain = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=part).fit(points, targets)
    said, expected = points @ weight.T + bias, plain.decision_function(points)
    assert closed_heads.shrinkage(inner, inner.T @ inner) == pytest.approx(part)
    assert closed_heads.shrinkage(inner, inner @ inner.T) == pytest.approx(part)
    differences = said - said[:, :1]
    assert np.allclose(differences, expected - expected[:, :1], rtol=1e-6, atol=1e-6)


def test_the_nearest_mean_is_the_nearest_centroid():
    points, targets = clouds(12)

    weight, bias = closed_heads.nearest_mean(points, targets, 3)

    plain = NearestCentroid().fit(points, targets)
    assert (points @ weight.T + bias).argmax(axis=1).tolist() == plain.predict(points).tolist()


def test_the_nearest_by_cosine_vote():
    points, targets = clouds(12)

    one, five = closed_heads.neighbours(points[10:], targets[10:], 3, points[:10], (1, 5))

    plain = KNeighborsClassifier(5, metric="cosine").fit(points[10:], targets[10:])
    assert np.allclose(five, (plain.predict_proba(points[:10]) * 5 + 0.5) / 6.5)
    assert one.max(axis=1).tolist() == [1.5 / 2.5] * 10
