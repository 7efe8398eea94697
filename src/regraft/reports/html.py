"""A report as one self-contained page: no script, no outside host, the same bytes for the same report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from math import log

from regraft.records import Baseline, ClassScores, Lineage, Metrics, Report
from regraft.reports import toml
from regraft.reports.templates import environment

#: With more classes the matrix is unreadable, and the most confused pairs stand in its place.
MATRIX_CLASSES = 40
#: Up to here the names over the matrix lie flat.
FLAT_CLASSES = 6
#: Up to here the cells of the matrix are roomy.
ROOMY_CLASSES = 16
PAIRS_SHOWN = 20


def render(report: Report, thumbnails: Mapping[str, str]) -> str:
    """Draw the page of a report.

    `thumbnails` holds `data:` URIs by picture digest (`gallery.encode`); a mistake without one gets a grey
    box. Names in the report are hostile text: all of it is escaped.
    """
    metrics = report.metrics
    count = len(metrics.classes)
    matrix = count <= MATRIX_CLASSES
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            metrics=metrics,
            classes=metrics.classes if matrix else _weakest_first(metrics),
            best=_best(report.baselines),
            even_loss=log(max(len(report.labels), 1)),
            matrix=_matrix(metrics) if matrix else [],
            look="" if count <= FLAT_CLASSES else " upright" if count <= ROOMY_CLASSES else " upright tight",
            pairs=[] if matrix else _confused(metrics),
            wrong=metrics.count - metrics.correct,
            mistakes=report.mistakes,
            thumbnails=thumbnails,
            command=_command(report.lineage, report) if report.lineage else "",
            recipe=toml.format_recipe(report.lineage.recipe) if report.lineage else "",
        )
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    count: int
    #: The part of the pictures of the true class, from 0 to 1.
    share: float
    right: bool
    predicted: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    label: str
    predicted: str
    count: int
    #: The part of the pictures of the true class, from 0 to 1.
    share: float


def _matrix(metrics: Metrics) -> list[tuple[str, list[_Cell]]]:
    names = [scores.label for scores in metrics.classes]
    return [
        (
            names[row],
            [
                _Cell(count=n, share=n / max(sum(counts), 1), right=row == column, predicted=names[column])
                for column, n in enumerate(counts)
            ],
        )
        for row, counts in enumerate(metrics.confusion)
    ]


def _confused(metrics: Metrics) -> list[_Pair]:
    pairs = [
        _Pair(label=label, predicted=cell.predicted, count=cell.count, share=cell.share)
        for label, cells in _matrix(metrics)
        for cell in cells
        if cell.count and not cell.right
    ]
    return sorted(pairs, key=lambda pair: (-pair.count, -pair.share))[:PAIRS_SHOWN]


def _weakest_first(metrics: Metrics) -> list[ClassScores]:
    return sorted(metrics.classes, key=lambda scores: 2.0 if scores.recall is None else scores.recall)


def _best(baselines: tuple[Baseline, ...]) -> Baseline | None:
    return max(baselines, key=lambda baseline: baseline.accuracy, default=None)


def _command(lineage: Lineage, report: Report) -> str:
    """Write what repeats the fine-tune; the dataset has a known name only where it is the report's own."""
    dataset = shlex.quote(report.dataset_ref) if lineage.dataset == report.dataset else "DATASET"
    return f"regraft finetune {dataset} --recipe recipe.toml"
