"""What a head was learned from, kept with the model so that the head can grow without the pictures."""

from __future__ import annotations

import numpy as np
from safetensors.numpy import load, save

from regraft.engine import probe, statistics_head
from regraft.engine.predict import Floats
from regraft.engine.probe import Targets
from regraft.engine.statistics_head import Statistics
from regraft.errors import InvalidError, MismatchError, RegraftError, listed
from regraft.jobs.features import features_of
from regraft.jobs.precision import fastest_precision
from regraft.jobs.preflight import own_rows
from regraft.progress import Progress
from regraft.records import ModelVersion, Row, Version
from regraft.store.opening import Store

_BATCH = 32
_FOLDS = 5


def remember(store: Store, features: Floats, targets: Targets, folds: Targets) -> str:
    """Store what is known of the pictures that a head learned from; return its digest."""
    known = statistics_head.gather(features, targets, folds, classes=int(targets.max()) + 1)
    return store.blobs.put(save(known.tensors()))


def recall(store: Store, model: Version, net: ModelVersion, progress: Progress) -> Statistics:
    """Return what a model's head was learned from: as it was stored, or else from the pictures.

    Raises MismatchError for a model that cannot grow.
    """
    again = f"regraft finetune DATASET --model {model} --strategy probe"
    if net.lineage is None:
        raise MismatchError(
            f"The model {str(model)!r} has learned from no dataset of yours.", hint=f"Fine-tune it: {again}"
        )
    if net.head_kind != "linear":
        raise MismatchError(
            f"The head of {str(model)!r} is of kind {net.head_kind!r}: only a linear one can grow.",
            hint=f"Fit a linear head on its net: {again}",
        )
    if net.training is not None:
        raise MismatchError(
            f"The net of {str(model)!r} was tuned on its pictures: how it sees them says little of new ones.",
            hint=f"Add yours to their dataset (dataset add --mode append), and tune it again, or: {again}",
        )
    if net.statistics is not None:
        return Statistics.load(load(store.blobs.get(net.statistics)))
    own = (row for row in own_rows(store, net) if row.split == "train" and row.label in net.labels)
    rows = {row.digest: row for row in own}
    try:
        if {row.label for row in rows.values()} != set(net.labels):
            raise InvalidError("The table of its pictures is not here.")
        features = features_of(
            store,
            net,
            list(rows.values()),
            precision=net.precision or fastest_precision(store, net, progress),
            batch_size=_BATCH,
            progress=progress,
        )
    except RegraftError as error:
        raise MismatchError(
            f"The model {str(model)!r} has kept no statistics, and its pictures are gone: {error}",
            hint="Fine-tune a model on all pictures.",
        ) from error
    return gather(features, list(rows.values()), net.labels)


def gather(features: Floats, rows: list[Row], labels: tuple[str, ...]) -> Statistics:
    """Return what is known of some rows by their features, where labels have these places."""
    targets = np.array([labels.index(row.label) for row in rows])
    # stratified by the classes that are there, which are numbered anew
    there = np.unique(targets, return_inverse=True)[1]
    folds = probe.assign_folds(there, [row.family for row in rows], _FOLDS, seed=0)
    return statistics_head.gather(features, targets, folds, classes=len(labels))


def notes(model: ModelVersion, measured: set[str]) -> tuple[str, ...]:
    """Say of a model that grew what it learned last, and of which labels nothing is measured."""
    growth = model.growth
    if growth is None:
        return ()
    what = f"new pictures of {listed(growth.classes)}" if growth.classes else "new pictures"
    said = f"The head grew: {growth.pictures:,} {what} joined what was known of {growth.known:,} others."
    rest = [label for label in model.labels if label not in measured]
    return (said, f"Not measured, for want of pictures: {listed(rest)}.") if rest else (said,)
