"""Fit a head on a frozen trunk, whose features are computed once for all pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from regraft.engine import probe
from regraft.engine.predict import Floats, scores
from regraft.jobs.features import features_of
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import ModelVersion, Precision, Row
from regraft.store.journal import Run
from regraft.store.opening import Store


def fit(
    store: Store,
    run: Run,
    *,
    model: ModelVersion,
    labels: tuple[str, ...],
    rows: Sequence[Row],
    recipe: Recipe,
    precision: Precision,
    progress: Progress,
) -> tuple[ModelVersion, Floats]:
    """Return the model with a head of the new labels, and what is said of each row [n, classes].

    That is said by a head that has not learned from the picture.
    """
    run.log(f"features of {len(rows)} pictures: {model.architecture}, {precision}")
    features = features_of(
        store, model, rows, precision=precision, batch_size=recipe.train.batch_size, progress=progress
    )
    index = {label: i for i, label in enumerate(labels)}
    train = np.array([row.split == "train" for row in rows])
    targets = np.array([index[row.label] for row in rows])
    run.log(f"head on {train.sum()} pictures of {len(labels)} classes")
    head = probe.fit(
        features[train],
        targets[train],
        recipe.optim,
        families=[row.family for row in rows if row.split == "train"],
        folds=recipe.eval.folds,
        seed=recipe.train.seed,
        step=lambda done, total: progress("Fitting the head", done, total),
    )
    for candidate in head.learning.candidates:
        run.metric(C=candidate.C, log_loss=candidate.log_loss, standard_error=candidate.standard_error)
    # safetensors writes the memory as it lies, so that a transposed array would come back scrambled
    weights = store.blobs.put(save({"weight": np.ascontiguousarray(head.weight), "bias": head.bias}))
    fitted = model.model_copy(
        update={
            "head": weights,
            "head_kind": "linear",
            "temperature": head.temperature,
            "learning": head.learning,
        }
    )
    return fitted, _unseen(head, features, train)


def _unseen(head: probe.Head, features: Floats, train: npt.NDArray[np.bool_]) -> Floats:
    """Return what is said of each picture by a head that has not learned from it [n, classes]."""
    said = scores(features, head.weight, head.bias, head.temperature).astype(np.float32)
    said[train] = head.out_of_fold
    return said
