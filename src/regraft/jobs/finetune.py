"""Fine-tune: dataset, pretrained model and recipe in; a measured model out."""

from __future__ import annotations

from importlib.metadata import version
from typing import Literal

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save

from regraft.engine import probe
from regraft.engine.predict import Floats, scores
from regraft.jobs import check, evaluate, machine
from regraft.jobs.features import features_of
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import DatasetVersion, Lineage, ModelVersion, Precision, Version
from regraft.store.journal import Run
from regraft.store.opening import Store
from regraft.store.tables import read_rows


def finetune(
    store: Store,
    run: Run,
    *,
    model: Version,
    dataset: Version,
    recipe: Recipe,
    name: str,
    split: str,
    progress: Progress,
) -> tuple[Version, Version]:
    """Fit a head on the frozen trunk, publish the model, measure it; return the model and its report.

    `recipe` is resolved: nothing in it is left open.
    """
    base = model.read(ModelVersion)
    data = dataset.read(DatasetVersion)
    rows = list(read_rows(store.blobs, data.segments))
    precision = _resolved(recipe.train.precision)
    run.log(f"features of {len(rows)} pictures: {base.architecture}, {precision}")
    features = features_of(
        store, base, rows, precision=precision, batch_size=recipe.train.batch_size, progress=progress
    )
    index = {label: i for i, label in enumerate(data.labels)}
    train = np.array([row.split == "train" for row in rows])
    targets = np.array([index[row.label] for row in rows])
    run.log(f"head on {train.sum()} pictures of {len(data.labels)} classes")
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

    def build(parent: Version | None) -> ModelVersion:
        return base.model_copy(
            update={
                "parent": parent.digest if parent else None,
                "head": weights,
                "labels": data.labels,
                "temperature": head.temperature,
                "precision": precision,
                "learning": head.learning,
                "lineage": Lineage(
                    dataset=dataset.digest,
                    model=model.digest,
                    recipe=recipe.model_dump(mode="json"),
                    seed=recipe.train.seed,
                    code=version("regraft"),
                    environment=machine.environment(),
                ),
            }
        )

    tuned, _ = store.catalog.commit("models", name, build)
    run.log(f"model {tuned}, weights {tuned.read(ModelVersion).weights}")
    found = check.examine(store, dataset, _unseen(head, features, train), progress)
    check.write(store, run, found, dataset)
    report = evaluate.measure(store, tuned, dataset, split=split, progress=progress, found=found)
    return tuned, report


def _unseen(head: probe.Head, features: Floats, train: npt.NDArray[np.bool_]) -> Floats:
    """Return what is said of each picture by a head that has not learned from it [n, classes]."""
    said = scores(features, head.weight, head.bias, head.temperature).astype(np.float32)
    said[train] = head.out_of_fold
    return said


def _resolved(precision: Precision | Literal["auto", "exact"]) -> Precision:
    if precision in ("auto", "exact"):
        raise ValueError(f"the recipe is not resolved: precision is {precision!r}")
    return precision  # type: ignore[return-value]  # mypy does not narrow by `in`
