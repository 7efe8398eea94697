"""Two runs beside each other: what was asked, on what, where, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft import durable
from regraft.data import diff
from regraft.errors import ConflictError, InvalidError, NotFoundError
from regraft.records import DatasetVersion, ModelVersion, Report, RunRecord, Version
from regraft.refs import parse
from regraft.reports import curve
from regraft.store.opening import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """Something that two runs do not share; None is what one of them lacks."""

    key: str
    first: str | None
    second: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class EpochPair:
    """Losses and accuracies of both after an epoch; None where one has none."""

    epoch: int
    first_loss: float | None
    second_loss: float | None
    first_accuracy: float | None
    second_accuracy: float | None


@dataclass(frozen=True, kw_only=True)
class RunComparison:
    """What differs between two runs."""

    first: str
    second: str
    #: Keys of the resolved recipes.
    recipe: tuple[Line, ...]
    #: What they learned from and began with.
    data: tuple[Line, ...]
    #: Python, libraries, processor, and the version of Regraft.
    environment: tuple[Line, ...]
    #: Weights, and the numbers of the reports.
    results: tuple[Line, ...]
    #: On the pictures that the epoch was chosen by; empty of heads alone.
    epochs: tuple[EpochPair, ...]
    #: The drawing, where one was asked for.
    plot: Path | None = None

    @property
    def same(self) -> bool:
        """Whether both gave the same."""
        return not self.results


def compare(store: Store, first: RunRecord, second: RunRecord, plot: Path | None = None) -> RunComparison:
    """Compare two runs that are done; `plot` is an SVG file to draw their losses into."""
    for record in (first, second):
        if record.status != "done":
            raise ConflictError(
                f"Run {record.id} is not done, but {record.status}.",
                hint=f"Wait for it (regraft run watch {record.id}) or resume it.",
            )
    models = [_model(store, record) for record in (first, second)]
    epochs = _epochs(*models)
    if plot is not None:
        if not any(pair.first_loss or pair.second_loss for pair in epochs):
            raise InvalidError(
                "There are no curves: neither run trained a net by epochs.", hint="Leave --plot out."
            )
        _draw(epochs, first.id, second.id, plot)
    environments = [
        {**model.lineage.environment, "regraft": model.lineage.code} if model and model.lineage else {}
        for model in models
    ]
    return RunComparison(
        first=first.id,
        second=second.id,
        recipe=_lines(*(_flat(record.recipe) for record in (first, second))),
        data=(*_lines(_inputs(first), _inputs(second)), *_pictures(store, first, second)),
        environment=_lines(*environments),
        results=_lines(*(_results(store, record) for record in (first, second))),
        epochs=epochs,
        plot=plot,
    )


def largest(found: RunComparison) -> float:
    """Return the largest difference between two numbers of a comparison; infinity where one is missing."""
    gaps = []
    for line in found.results:
        if line.key != "weights":
            values = [math.inf if value is None else float(value) for value in (line.first, line.second)]
            gaps.append(abs(values[0] - values[1]))
    return max(gaps, default=0.0)


def _lines(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[Line, ...]:
    return tuple(
        Line(key=key, first=_word(first.get(key)), second=_word(second.get(key)))
        for key in dict.fromkeys([*first, *second])
        if first.get(key) != second.get(key)
    )


def _word(value: object) -> str | None:
    return None if value is None else str(value)


def _flat(recipe: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": value for section, values in recipe.items() for key, value in values.items()}


def _inputs(record: RunRecord) -> dict[str, str]:
    return {key: value for key, value in record.inputs.items() if key not in ("name", "spent")}


def _pictures(store: Store, first: RunRecord, second: RunRecord) -> tuple[Line, ...]:
    """Say how many pictures two datasets do not share, where both are there."""
    found = [_dataset(store, record) for record in (first, second)]
    if found[0] is None or found[1] is None or found[0].digest == found[1].digest:
        return ()
    changes = diff.compare(store, found[0].read(DatasetVersion), found[1].read(DatasetVersion))
    counts = {
        "only in the first": len(changes.removed),
        "only in the second": len(changes.added),
        "relabelled": len(changes.relabelled),
        "in another split": len(changes.moved),
    }
    return tuple(
        Line(key=f"pictures {words}", first=None, second=str(count))
        for words, count in counts.items()
        if count
    )


def _dataset(store: Store, record: RunRecord) -> Version | None:
    return store.catalog.find_digest("datasets", record.inputs["dataset_digest"])


def _model(store: Store, record: RunRecord) -> ModelVersion | None:
    """Return the model that a run gave, or measured; None where it is gone."""
    ref = record.outputs.get("model", record.inputs.get("model"))
    try:
        return store.catalog.find("models", parse(ref)).read(ModelVersion) if ref else None
    except NotFoundError:
        return None


def _results(store: Store, record: RunRecord) -> dict[str, object]:
    try:
        report = store.catalog.find("reports", parse(record.outputs["report"])).read(Report)
    except (NotFoundError, KeyError):
        return {}
    numbers = {key: value for key, value in report.metrics if isinstance(value, int | float)}
    return {"weights": report.weights, **numbers}


def _epochs(first: ModelVersion | None, second: ModelVersion | None) -> tuple[EpochPair, ...]:
    one, two = (
        {epoch.epoch: epoch for epoch in model.training.epochs} if model and model.training else {}
        for model in (first, second)
    )
    return tuple(
        EpochPair(
            epoch=number,
            first_loss=one[number].loss if number in one else None,
            second_loss=two[number].loss if number in two else None,
            first_accuracy=one[number].accuracy if number in one else None,
            second_accuracy=two[number].accuracy if number in two else None,
        )
        for number in sorted({*one, *two})
    )


def _draw(epochs: tuple[EpochPair, ...], first: str, second: str, path: Path) -> None:
    lines = [
        curve.Line(
            name=name,
            points=tuple(
                (float(pair.epoch), loss) for pair in epochs if (loss := getattr(pair, field)) is not None
            ),
        )
        for name, field in ((first, "first_loss"), (second, "second_loss"))
    ]
    drawn = curve.draw(
        [line for line in lines if line.points], title="Validation loss", across="epoch", up="loss"
    )
    durable.swap(path, drawn.encode())
