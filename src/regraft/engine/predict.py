"""Scores of pictures from their features: the same code for evaluation and prediction."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def scores(features: Floats, weight: Floats, bias: Floats, temperature: float) -> npt.NDArray[np.float64]:
    """Return the probabilities [n, classes] that a linear head gives to features [n, d].

    Computed in float64, so that the number of pictures in a batch does not show in the result.
    """
    logits = features.astype(np.float64) @ weight.astype(np.float64).T + bias
    return softmax(logits / temperature)


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return probabilities [n, classes] of logits [n, classes]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
