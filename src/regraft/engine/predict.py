"""Scores of pictures from their features: the same code for evaluation and prediction, without torch.

It computes what the heads of `regraft.hub.heads` compute, in float64, so that the number of pictures in a
batch does not show in the result.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from regraft.records import HeadKind

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: No vector counts as shorter than this when it is brought to length one; torch's own bound.
_SHORTEST = 1e-12


def logits(kind: HeadKind, head: Mapping[str, Floats], features: Floats) -> Doubles:
    """Return the logits [n, classes] that a head gives to features [n, d]; `head` is its tensors by name.

    Of a head that is the net's own the features are the logits already.
    """
    inner = features.astype(np.float64)
    if kind == "own":
        return inner
    wide = {name: values.astype(np.float64) for name, values in head.items()}
    if kind == "cosine":
        return np.asarray(_directions(inner) @ _directions(wide["weight"]).T * wide["scale"])
    if kind == "mlp":
        inner = np.maximum(inner @ wide["hidden.weight"].T + wide["hidden.bias"], 0)
    return np.asarray(inner @ wide["weight"].T + wide["bias"])


def scores(features: Floats, weight: Floats, bias: Floats, temperature: float) -> Doubles:
    """Return the probabilities [n, classes] that a linear head gives to features [n, d]."""
    return softmax(logits("linear", {"weight": weight, "bias": bias}, features) / temperature)


def softmax(logits: Doubles) -> Doubles:
    """Return probabilities [n, classes] of logits [n, classes]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _directions(vectors: Doubles) -> Doubles:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, _SHORTEST))
