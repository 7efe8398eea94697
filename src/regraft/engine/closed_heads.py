"""Linear heads that are computed in one stroke, from standardised features.

Ridge regression on the classes, its strength by the leave-one-out error, which has a closed form (Allen,
Technometrics 16, 1974); linear discriminant analysis with a shrunken covariance (Ledoit and Wolf, J.
Multivariate Analysis 88, 2004); and the nearest class mean. Where there are fewer pictures than features,
they solve for the pictures.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from regraft.engine.predict import Doubles
from regraft.engine.probe import Targets

#: Weight [classes, d] and bias [classes] of standardised features [n, d] and their targets.
Closed = Callable[[Doubles, Targets, int], tuple[Doubles, Doubles]]

#: Strengths of ridge regression, as parts of the largest eigenvalue.
_STRENGTHS = np.logspace(-4, 1, 16)
#: Of a covariance that is shrunk not at all, a little is, so that it can be inverted.
_LEAST_SHRINKAGE = 1e-3


def nearest_mean(features: Doubles, targets: Targets, classes: int) -> tuple[Doubles, Doubles]:
    """Return the head that names the class whose mean is nearest."""
    means = _means(features, targets, classes)
    # as if features varied together in part: a temperature does the rest
    width = _residuals(features, means, targets).var() * np.sqrt(features.shape[1]) or 1.0
    return means / width, -0.5 * (means**2).sum(axis=1) / width


def discriminant(features: Doubles, targets: Targets, classes: int) -> tuple[Doubles, Doubles]:
    """Return the head of classes that are normal with one covariance, shrunk towards a sphere."""
    means = _means(features, targets, classes)
    inner = _residuals(features, means, targets)
    count, width = inner.shape
    wide = width > count
    products = inner @ inner.T if wide else inner.T @ inner
    sphere = float(np.trace(products)) / count / width or 1.0
    part = max(_LEAST_SHRINKAGE, shrinkage(inner, products))
    if wide:  # Woodbury: (a I + b R'R)^-1 = (I - R' (a/b I + R R')^-1 R) / a
        a, b = part * sphere, (1 - part) / count
        weight = means
        if b > 0:
            core = cho_factor(products + a / b * np.eye(count))
            weight = means - cho_solve(core, inner @ means.T).T @ inner
        weight = weight / a
    else:
        covariance = (1 - part) * products / count + part * sphere * np.eye(width)
        weight = cho_solve(cho_factor(covariance), means.T).T
    prior = np.log(np.bincount(targets, minlength=classes) / count)
    return weight, prior - 0.5 * (weight * means).sum(axis=1)


def shrinkage(residuals: Doubles, products: Doubles) -> float:
    """Return how far the covariance of centred rows [n, d] is to be shrunk to a sphere: 0 to 1.

    `products` are those of their rows [n, n] or of their columns [d, d].
    """
    count, width = residuals.shape
    sphere = float(np.trace(products)) / count / width
    squares = float((products**2).sum()) / count**2 / width
    away = squares - sphere**2
    lengths = (residuals**2).sum(axis=1)
    noise = (float((lengths**2).sum()) / count / width - squares) / count
    return min(1.0, noise / away) if away > 0 else 1.0


def ridge_strength(features: Doubles, targets: Targets, classes: int) -> float:
    """Return the strength at which ridge regression errs least on pictures that are left out one by one."""
    count, width = features.shape
    centred = features - features.mean(axis=0)
    wanted = _indicators(targets, classes)
    if width > count:
        values, vectors = np.linalg.eigh(centred @ centred.T)
        values = np.maximum(values, 0)
        turned, squares = vectors.T @ wanted, vectors**2
    else:
        values, turn = np.linalg.eigh(centred.T @ centred)
        values = np.maximum(values, 0)
        projected = centred @ turn
    top = float(values[-1]) or 1.0
    errors = []
    for strength in _STRENGTHS * top:
        kept = strength / (values + strength)
        if width > count:
            rest, free = vectors @ (kept[:, None] * turned), squares @ kept - 1 / count
        else:
            scale = 1 / (values + strength)
            rest = wanted - projected @ (scale[:, None] * (projected.T @ wanted))
            free = 1 - (projected**2) @ scale - 1 / count
        errors.append(float(((rest / np.maximum(free, 1e-9)[:, None]) ** 2).sum()))
    return float(_STRENGTHS[int(np.argmin(errors))] * top)


def best_ridge(features: Doubles, targets: Targets, classes: int) -> tuple[Doubles, Doubles]:
    """Return the head of ridge regression whose strength these pictures choose, and no others."""
    return ridge(ridge_strength(features, targets, classes))(features, targets, classes)


def ridge(strength: float) -> Closed:
    """Return the fit of ridge regression of one strength on the classes."""

    def fit(features: Doubles, targets: Targets, classes: int) -> tuple[Doubles, Doubles]:
        centre = features.mean(axis=0)
        centred = features - centre
        wanted = _indicators(targets, classes)
        count, width = features.shape
        if width > count:
            core = cho_factor(centred @ centred.T + strength * np.eye(count))
            weight = cho_solve(core, wanted).T @ centred
        else:
            core = cho_factor(centred.T @ centred + strength * np.eye(width))
            weight = cho_solve(core, centred.T @ wanted).T
        shares = np.bincount(targets, minlength=classes) / count
        return weight, shares - weight @ centre

    return fit


def neighbours(
    known: Doubles, targets: Targets, classes: int, asked: Doubles, counts: tuple[int, ...]
) -> list[Doubles]:
    """Return what the k nearest by cosine say of other pictures, for each k: probabilities [n, classes]."""
    alike = _directions(asked) @ _directions(known).T
    near = np.argsort(-alike, axis=1, kind="stable")[:, : max(counts)]
    votes = np.eye(classes)[targets[near]]
    # as if each class had had half a vote before
    return [(votes[:, :k].sum(axis=1) + 0.5) / (min(k, near.shape[1]) + 0.5 * classes) for k in counts]


def _means(features: Doubles, targets: Targets, classes: int) -> Doubles:
    counts = np.bincount(targets, minlength=classes)
    return np.asarray(np.eye(classes)[targets].T @ features / counts[:, None])


def _residuals(features: Doubles, means: Doubles, targets: Targets) -> Doubles:
    return np.asarray(features - means[targets])


def _indicators(targets: Targets, classes: int) -> Doubles:
    wanted = np.eye(classes)[targets]
    return np.asarray(wanted - wanted.mean(axis=0))


def _directions(vectors: Doubles) -> Doubles:
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12))
