"""Measure a model on pictures that it has not learned from, and write the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from safetensors.numpy import load

from regraft.data import pictures
from regraft.data.parallel import ordered
from regraft.engine import metrics
from regraft.engine.predict import logits, softmax
from regraft.errors import InvalidError, MismatchError
from regraft.jobs.check import doubts, examine
from regraft.jobs.features import features_of
from regraft.jobs.precision import fastest_precision
from regraft.jobs.preflight import check_classifier, notes, own_rows, training_rows
from regraft.progress import Progress
from regraft.records import Baseline, Checkup, DatasetVersion, Mistake, ModelVersion, Report, Row, Version
from regraft.reports import gallery, html
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
    found: Checkup | None = None,
) -> Version:
    """Evaluate a model on one split (or on `all`) of a dataset, and publish the report.

    `found` is what the doctor says of the dataset, where that is known already.

    Pictures that the model learned from are left out and counted. Raises MismatchError where the dataset
    has labels that the model does not know, InvalidError where no picture is left.
    """
    net = check_classifier(model)
    data = dataset.read(DatasetVersion)
    known = {row.digest: row for row in training_rows(store, net)}
    asked = [row for row in read_rows(store.blobs, data.segments) if split in ("all", row.split)]
    rows = [row for row in asked if row.digest not in known]
    _check(rows, net, asked=len(asked), split=split)
    index = {label: i for i, label in enumerate(net.labels)}
    targets = np.array([index[row.label] for row in rows])
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
    baselines: tuple[Baseline, ...] = ()
    if plain := _untuned(store, net):
        own = {row.digest: row for row in own_rows(store, net) if row.split == "train"}
        train = list(own.values())
        both = features_of(
            store, plain, [*train, *rows], precision=precision, batch_size=_BATCH, progress=progress
        )
        learned = np.array([index[row.label] for row in train])
        baselines = _baselines(both[: len(train)], learned, both[len(train) :], targets) if train else ()
    said: tuple[str, ...] = ()
    if (
        net.lineage is not None and net.lineage.dataset == dataset.digest
    ):  # of another dataset nothing is known
        found = found or examine(store, dataset, None, progress)
        said = (*(notes(data, split) if split != "all" else ()), *doubts(found))

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
            seen=len(asked) - len(rows),
            notes=said,
            metrics=metrics.measure(probabilities, targets, net.labels),
            baselines=baselines,
            mistakes=_mistakes(rows, probabilities, targets, net.labels),
            learning=net.learning,
            training=net.training,
            lineage=net.lineage,
            predictions=store.blobs.put(to_parquet(_table(rows, probabilities, net.labels))),
            page=None,
        )
        page = html.render(report, _thumbnails(store, rows, report.mistakes))
        return report.model_copy(update={"page": store.blobs.put(page.encode())})

    version, _ = store.catalog.commit("reports", model.name, build)
    return version


def _check(rows: Sequence[Row], model: ModelVersion, *, asked: int, split: str) -> None:
    if not asked:
        raise InvalidError(f"The dataset has no pictures in split {split!r}.", where=split)
    if not rows:
        raise InvalidError(
            f"The model has learned from all {asked} pictures of split {split!r}: they measure nothing.",
            hint="Evaluate it on pictures that it has not seen.",
            where=split,
        )
    unknown = sorted({row.label for row in rows} - set(model.labels))
    if unknown:
        names = ", ".join(map(repr, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise MismatchError(
            f"The dataset has {len(unknown)} labels that the model does not know: {names}.",
            hint=f"The model knows {', '.join(map(repr, model.labels[:10]))}; labels are matched by name.",
        )


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


def _table(rows: Sequence[Row], probabilities: npt.NDArray[np.float64], labels: tuple[str, ...]) -> pa.Table:
    predicted = probabilities.argmax(axis=1)
    return pa.table(
        {
            "key": [row.key for row in rows],
            "digest": [row.digest for row in rows],
            "label": [row.label for row in rows],
            "predicted": [labels[i] for i in predicted],
            "probability": probabilities.max(axis=1),
            "probabilities": pa.array(list(probabilities.astype(np.float32)), type=pa.list_(pa.float32())),
        }
    )


def _thumbnails(store: Store, rows: Sequence[Row], mistakes: Sequence[Mistake]) -> Mapping[str, str]:
    wanted = {mistake.digest for mistake in mistakes}
    shown = [row for row in rows if row.digest in wanted]

    def draw(row: Row) -> str:
        return gallery.encode(pictures.decode(store.packs.read(row), short_side=224))

    with pictures.quiet():
        return dict(zip((row.digest for row in shown), ordered(draw, shown), strict=True))
