"""The table of what a model said of each picture: written with a report, and read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from regraft.engine.scoring import Scored
from regraft.records import Report, Row
from regraft.store.opening import Store


@dataclass(frozen=True, kw_only=True)
class Said:
    """What a model said of some pictures, in the order of their digests."""

    keys: tuple[str, ...]
    digests: tuple[str, ...]
    families: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    #: The names of the slices that each is in.
    slices: tuple[tuple[str, ...], ...]
    #: [n, classes] in the order of the report's labels.
    probabilities: npt.NDArray[np.float64]


def table(
    rows: Sequence[Row],
    probabilities: npt.NDArray[np.float64],
    targets: npt.NDArray[np.int64],
    labels: tuple[str, ...],
    flags: Sequence[Sequence[str]],
    slices: Sequence[Sequence[str]],
) -> pa.Table:
    """Return a row for each picture: what it is, what was said, the loss in nats, what is odd, its slices."""
    predicted = probabilities.argmax(axis=1)
    true = probabilities[np.arange(len(rows)), targets]
    return pa.table(
        {
            "key": [row.key for row in rows],
            "digest": [row.digest for row in rows],
            "family": [row.family for row in rows],
            "label": [row.label for row in rows],
            "predicted": [labels[i] for i in predicted],
            "probability": probabilities.max(axis=1),
            "loss": -np.log(np.clip(true, 1e-15, 1)) + 0.0,
            "flags": [", ".join(some) for some in flags],
            "slices": pa.array([list(some) for some in slices], type=pa.list_(pa.string())),
            "probabilities": pa.array(list(probabilities.astype(np.float32)), type=pa.list_(pa.float32())),
        }
    )


def as_csv(store: Store, report: Report) -> bytes:
    """Return a report's table as CSV: each class has a column of its own."""
    found = pq.read_table(pa.BufferReader(store.blobs.get(report.predictions)))
    scores = np.array(found.column("probabilities").to_pylist(), dtype=np.float64)
    plain = found.drop_columns(["probabilities", *({"slices"} & {*found.column_names})])
    for place, label in enumerate(report.labels):
        plain = plain.append_column(f"probability of {label}", pa.array(scores[:, place]))
    sink = pa.BufferOutputStream()
    pacsv.write_csv(plain, sink)
    return bytes(sink.getvalue())


def read(store: Store, report: Report) -> Said:
    """Return what a report's model said of each picture."""
    found = pq.read_table(pa.BufferReader(store.blobs.get(report.predictions)))
    found = found.sort_by("digest")
    columns = {name: tuple(found.column(name).to_pylist()) for name in found.column_names}
    return Said(
        keys=columns["key"],
        digests=columns["digest"],
        families=columns.get("family", columns["digest"]),
        labels=columns["label"],
        predicted=columns["predicted"],
        slices=tuple(map(tuple, columns.get("slices", [()] * len(columns["key"])))),
        probabilities=np.array(columns["probabilities"], dtype=np.float64),
    )


def scored(said: Said, labels: Sequence[str], where: Sequence[int]) -> Scored:
    """Return some pictures of a table ready to be measured."""
    index = {label: place for place, label in enumerate(labels)}
    chosen = np.asarray(where)
    targets = np.array([index[said.labels[place]] for place in where], dtype=np.int64)
    return Scored(said.probabilities[chosen], targets)
