"""Measure a model on pictures that it has not learned from, and write the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from regraft.engine import metrics
from regraft.engine.intervals import number
from regraft.engine.predict import logits, softmax
from regraft.errors import InvalidError
from regraft.jobs import matching, page, predictions, slices, statistics
from regraft.jobs.check import doubts, examine
from regraft.jobs.features import features_of
from regraft.jobs.looks import count_looks
from regraft.jobs.precision import fastest_precision
from regraft.jobs.preflight import check_classifier, notes, own_rows, training_rows
from regraft.progress import Progress
from regraft.records import (
    Baseline,
    Checkup,
    DatasetVersion,
    Lineage,
    Mistake,
    ModelVersion,
    Precision,
    Report,
    Row,
    Version,
)
from regraft.reports import html
from regraft.store.opening import Store
from regraft.store.tables import read_rows, to_parquet

#: Mistakes that the report shows.
SHOWN = 24
#: Of a net; how many pictures it sees at once changes nothing but speed.
_BATCH = 32


def measure(
    store: Store,
    model: Version,
    dataset: Version,
    *,
    split: str,
    progress: Progress,
    renames: Mapping[str, str] | None = None,
    found: Checkup | None = None,
) -> Version:
    """Evaluate a model on one split (or on `all`) of a dataset, and publish the report.

    `renames` says which label of the model a label of the dataset is, where names do not. `found` is what
    the doctor says of the dataset, where that is known already.

    Pictures that the model learned from, and those whose labels it does not know, are left out and counted.
    Raises MismatchError where it knows none of the labels, InvalidError where no picture is left.
    """
    net = check_classifier(model)
    data = dataset.read(DatasetVersion)
    known = {row.digest: row for row in training_rows(store, net)}
    asked = [row for row in read_rows(store.blobs, data.segments) if split in ("all", row.split)]
    unseen = [row for row in asked if row.digest not in known]
    _check(unseen, asked=len(asked), split=split)
    matched = _match(unseen, data, net, renames or {})
    rows = [replace(row, label=matched.known[row.label]) for row in unseen if row.label in matched.known]
    index = {label: i for i, label in enumerate(net.labels)}
    targets = np.array([index[row.label] for row in rows])
    members = number([row.family for row in rows])
    precision = net.precision or fastest_precision(store, net, progress)
    features = features_of(
        store,
        net,
        rows,
        precision=precision,
        batch_size=_BATCH,
        progress=progress,
        logits=net.head_kind == "own",
    )
    head = load(store.blobs.get(net.head))
    probabilities = softmax(logits(net.head_kind, head, features) / net.temperature)
    baselines = _reached(store, net, rows, targets, precision, progress)
    at_home = net.lineage is not None and net.lineage.dataset == dataset.digest
    if at_home and found is None:
        found = examine(store, dataset, None, progress)
    was = [row for row in unseen if row.label in matched.known]  # under the names that their folders have
    home = None if at_home or net.lineage is None else _home(store, net.lineage)
    look = slices.look(store, data, was, progress, home=home, known=known)
    said = (
        *([_alike(look.alike, len(rows))] if look.alike else []),
        *statistics.notes(net, {row.label for row in rows}),
        *matched.notes,
        *(notes(data, split) if at_home and split != "all" else ()),
        *(doubts(found) if at_home and found is not None else ()),
    )

    looks = count_looks(store, dataset.name, split, net.weights)

    def build(parent: Version | None) -> Report:
        report = Report(
            parent=parent.digest if parent else None,
            model=model.digest,
            dataset=dataset.digest,
            model_ref=str(model),
            dataset_ref=str(dataset),
            weights=net.weights,
            split=split,
            labels=net.labels,
            seen=len(asked) - len(unseen),
            looks=looks,
            notes=said,
            metrics=metrics.measure(
                probabilities, targets, net.labels, families=[row.family for row in rows]
            ),
            slices=look.compare(probabilities.argmax(axis=1) == targets, members),
            baselines=baselines,
            mistakes=_mistakes(rows, probabilities, targets, net.labels),
            learning=net.learning,
            training=net.training,
            board=net.board,
            lineage=net.lineage,
            predictions=store.blobs.put(
                to_parquet(
                    predictions.table(
                        rows, probabilities, targets, net.labels, look.flags, look.names(len(rows))
                    )
                )
            ),
            page=None,
        )
        wanted = {mistake.digest for mistake in report.mistakes}
        drawn = html.render(
            report,
            page.thumbnails(store, [row for row in rows if row.digest in wanted]),
            page.extras(store, net, rows, probabilities, targets, found),
        )
        return report.model_copy(update={"page": store.blobs.put(drawn.encode())})

    version, _ = store.catalog.commit("reports", model.name, build)
    return version


def _home(store: Store, lineage: Lineage) -> DatasetVersion | None:
    """Return the dataset that a model was made from; None where it is gone."""
    version = store.catalog.find_digest("datasets", lineage.dataset)
    return version.read(DatasetVersion) if version else None


def _reached(
    store: Store,
    net: ModelVersion,
    rows: Sequence[Row],
    targets: npt.NDArray[np.int64],
    precision: Precision,
    progress: Progress,
) -> tuple[Baseline, ...]:
    """Return what is reached without fine-tuning, where the pictures that were learned from are there."""
    index = {label: i for i, label in enumerate(net.labels)}
    own = {row.digest: row for row in own_rows(store, net) if row.split == "train" and row.label in index}
    train = list(own.values())
    learned = np.array([index[row.label] for row in train])
    plain = _untuned(store, net)
    if len(set(learned)) < 2 or plain is None:
        return ()
    both = features_of(
        store, plain, [*train, *rows], precision=precision, batch_size=_BATCH, progress=progress
    )
    return _baselines(both[: len(train)], learned, both[len(train) :], targets)


def _alike(count: int, of: int) -> str:
    return (
        f"{count:,} of these {of:,} pictures look like ones that the model has learned from: "
        "the numbers flatter it."
    )


def _check(rows: Sequence[Row], *, asked: int, split: str) -> None:
    if not asked:
        raise InvalidError(f"The dataset has no pictures in split {split!r}.", where=split)
    if not rows:
        raise InvalidError(
            f"The model has learned from all {asked} pictures of split {split!r}: they measure nothing.",
            hint="Evaluate it on pictures that it has not seen.",
            where=split,
        )


def _match(
    rows: Sequence[Row], data: DatasetVersion, model: ModelVersion, renames: Mapping[str, str]
) -> matching.Matching:
    counts = Counter(row.label for row in rows)
    return matching.match(data.labels, model.labels, renames=renames, counts=counts)


def _untuned(store: Store, model: ModelVersion) -> ModelVersion | None:
    """Return the model whose features a net began with; None where it is gone."""
    if model.training is None:
        return model
    base = model.lineage and store.catalog.find_digest("models", model.lineage.model)
    if not base:
        return None
    return base.read(ModelVersion).model_copy(update={"input": model.input})


def _baselines(
    train: npt.NDArray[np.float32],
    train_targets: npt.NDArray[np.int64],
    test: npt.NDArray[np.float32],
    test_targets: npt.NDArray[np.int64],
) -> tuple[Baseline, ...]:
    return (
        Baseline(name="majority class", accuracy=metrics.majority(train_targets, test_targets)),
        Baseline(
            name="nearest class mean", accuracy=metrics.nearest_mean(train, train_targets, test, test_targets)
        ),
    )


def _mistakes(
    rows: Sequence[Row],
    probabilities: npt.NDArray[np.float64],
    targets: npt.NDArray[np.int64],
    labels: tuple[str, ...],
) -> tuple[Mistake, ...]:
    predicted, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != targets)
    order = sorted(map(int, wrong), key=lambda i: (-sure[i], rows[i].key))[:SHOWN]
    return tuple(
        Mistake(
            key=rows[i].key,
            digest=rows[i].digest,
            label=rows[i].label,
            predicted=labels[predicted[i]],
            probability=float(sure[i]),
        )
        for i in order
    )
