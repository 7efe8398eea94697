"""Fit a head on a frozen trunk, whose features are computed once for all pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from regraft.engine import probe
from regraft.engine.predict import Floats, scores
from regraft.jobs import statistics, trust
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
    families = [row.family for row in rows if row.split == "train"]
    head = probe.fit(
        features[train],
        targets[train],
        recipe.optim,
        families=families,
        folds=recipe.eval.folds,
        seed=recipe.train.seed,
        step=lambda done, total: progress("Fitting the head", done, total),
    )
    for candidate in head.learning.candidates:
        run.metric(C=candidate.C, log_loss=candidate.log_loss, standard_error=candidate.standard_error)
    fitted = with_head(store, model, head, features[train], targets[train], families, recipe)
    return fitted, unseen(head, features, train)


def with_head(
    store: Store,
    model: ModelVersion,
    head: probe.Head,
    features: Floats,
    targets: probe.Targets,
    families: Sequence[str],
    recipe: Recipe,
) -> ModelVersion:
    """Store a head, and return the model with it; features and the rest are those that it learned from."""
    parts = probe.assign_folds(targets, families, recipe.eval.folds, seed=recipe.train.seed)
    # safetensors writes the memory as it lies, so that a transposed array would come back scrambled
    weights = store.blobs.put(save({"weight": np.ascontiguousarray(head.weight), "bias": head.bias}))
    return model.model_copy(
        update={
            "head": weights,
            "head_kind": "linear",
            "temperature": head.temperature,
            "learning": head.learning,
            "trust": trust.out_of_fold(store, features, targets, head.held_out, parts),
            "statistics": statistics.remember(store, features, targets, parts),
        }
    )


def unseen(head: probe.Head, features: Floats, train: npt.NDArray[np.bool_]) -> Floats:
    """Return what is said of each picture by a head that has not learned from it [n, classes]."""
    said = scores(features, head.weight, head.bias, head.temperature).astype(np.float32)
    said[train] = head.out_of_fold
    return said
