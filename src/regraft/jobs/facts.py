"""What a suggestion follows from: facts about a dataset, a model and this machine."""

from __future__ import annotations

import os

import numpy as np

from regraft.data.assembly import open_rows
from regraft.engine import device
from regraft.hub import nets
from regraft.jobs.preflight import held_out
from regraft.records import DatasetVersion, ModelVersion
from regraft.store.opening import Store
from regraft.suggest import Facts


def gather(store: Store, dataset: DatasetVersion, model: ModelVersion) -> Facts:
    """Look up what `suggest.advise` wants to know; nothing is computed, and no picture is read."""
    train = dataset.splits.get("train", {})
    chosen_by = dataset.splits.get("val", {}) if held_out(dataset) != "val" else {}
    sides = [
        np.stack([table[name].to_numpy() for name in ("width", "height")])
        for table in open_rows(store, dataset).tables(["width", "height"])
    ]
    shapes = np.concatenate(sides, axis=1) if sides else np.ones((2, 1), dtype=np.int64)
    short = np.maximum(shapes.min(axis=0), 1)
    return Facts(
        pictures=sum(train.values()),
        classes=len(dataset.labels),
        smallest=min(train.values(), default=0),
        largest=max(train.values(), default=0),
        validation=sum(chosen_by.values()),
        short_side=int(np.median(short)),
        proportions=round(float(np.median(shapes.max(axis=0) / short)), 2),
        size=model.input.size,
        parameters=sum(parameter.numel() for parameter in nets.outline(model.architecture).parameters()),
        accelerated=device.find_kind() != "cpu",
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
    )
