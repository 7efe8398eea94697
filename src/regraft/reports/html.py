"""A report as one self-contained page: no script, no outside host, the same bytes for the same report."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from regraft.records import Baseline, Checkup, ClassScores, Finding, Lineage, Metrics, Report, Trust
from regraft.reports import measures, model_card, toml
from regraft.reports.checkup import TYPED
from regraft.reports.curve import COLOURS
from regraft.reports.findings import gravest_first
from regraft.reports.templates import environment

#: With more classes the matrix is unreadable, and the most confused pairs stand in its place.
MATRIX_CLASSES = 40
#: Up to here the names over the matrix lie flat.
FLAT_CLASSES = 6
#: Up to here the cells of the matrix are roomy.
ROOMY_CLASSES = 16
PAIRS_SHOWN = 20
#: Classes in the table of scores; of more, the weakest.
CLASSES_SHOWN = 1000
#: Findings that are seen only by looking at pictures side by side, and how many of these are shown.
COPIES = ("leakage", "exact-duplicates", "near-duplicates", "conflicting-labels", "parted-groups")
EXAMPLES, TOGETHER = 2, 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A picture of a cell of the confusion matrix."""

    key: str
    #: As a `data:` URI.
    picture: str
    #: That the model gave to what it called the picture.
    probability: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What a page shows besides what its report holds."""

    #: Pictures by their true class and what they were called.
    cells: Mapping[tuple[str, str], Sequence[Shown]] = field(default_factory=dict)
    #: Of each class, by name: false positives over true ones, and recall over precision, as points.
    roc: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    precision_recall: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    #: What the doctor says of the dataset.
    checkup: Checkup | None = None
    #: Pictures of its findings by digest, as `data:` URIs; `pictured` says which are wanted.
    copies: Mapping[str, str] = field(default_factory=dict)
    #: What the model knows of its limits.
    trust: Trust | None = None
    #: What versions are called, by digest.
    names: Mapping[str, str] = field(default_factory=dict)
    #: Under which the pretrained weights may be used.
    licence: str = ""
    #: Where the pretrained weights came from.
    source: str = ""
    #: The first pictures as the net saw them when it learned, as a `data:` URI; empty of a head alone.
    batch: str = ""


def render(report: Report, thumbnails: Mapping[str, str], extras: Extras | None = None) -> str:
    """Draw the page of a report.

    `thumbnails` holds `data:` URIs by picture digest (`gallery.encode`); a mistake without one gets a grey
    box. Names in the report are hostile text: all of it is escaped.
    """
    extras = extras or Extras()
    metrics = report.metrics
    count = len(metrics.classes)
    matrix = count <= MATRIX_CLASSES
    return (
        environment()
        .get_template("page.html.j2")
        .render(
            report=report,
            metrics=metrics,
            classes=metrics.classes if matrix else _weakest_first(metrics)[:CLASSES_SHOWN],
            best=_best(report.baselines),
            matrix=_matrix(metrics) if matrix else [],
            look="" if count <= FLAT_CLASSES else " upright" if count <= ROOMY_CLASSES else " upright tight",
            pairs=[] if matrix else _confused(metrics),
            wrong=metrics.count - metrics.correct,
            mistakes=report.mistakes,
            thumbnails=thumbnails,
            measures=measures.rows(metrics, classes=max(len(report.labels), 1)),
            extras=extras,
            cells=_cells(extras, metrics) if matrix else [],
            drawn=_weakest_areas(metrics),
            told=_told(extras),
            typed=TYPED.split,
            doctor=_doctor(extras.checkup) if extras.checkup else "",
            card=model_card.facts(report, trust=extras.trust, source=extras.source, licence=extras.licence),
            names={report.dataset: report.dataset_ref, report.model: report.model_ref, **extras.names},
            learned=_learned(report.lineage, report, extras) if report.lineage else "",
            quoted=shlex.quote,
            recipe=toml.format_recipe(report.lineage.recipe) if report.lineage else "",
        )
    )


def pictured(checkup: Checkup) -> tuple[str, ...]:
    """Return the digests of the pictures of findings that a page draws, each once."""
    digests = (
        digest
        for finding in checkup.findings
        if finding.severity != "note" and finding.code in COPIES
        for example in finding.examples[:EXAMPLES]
        for digest in example.digests[:TOGETHER]
        if digest
    )
    return tuple(dict.fromkeys(digests))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Copies:
    """Pictures that are to be seen side by side."""

    words: str
    #: Each as a `data:` URI, with its names: one picture may have several.
    pictures: list[tuple[str, list[str]]]


def _told(extras: Extras) -> list[tuple[Finding, list[_Copies]]]:
    """Return what the doctor found, the gravest first, with the pictures that are there."""
    if extras.checkup is None:
        return []
    return [(finding, _copies(finding, extras.copies)) for finding in gravest_first(extras.checkup)]


def _copies(finding: Finding, drawn: Mapping[str, str]) -> list[_Copies]:
    if finding.severity == "note" or finding.code not in COPIES:
        return []
    found: list[_Copies] = []
    for example in finding.examples[:EXAMPLES]:
        names: dict[str, list[str]] = {}
        for key, digest in list(zip(example.keys, example.digests, strict=False))[:TOGETHER]:
            names.setdefault(digest, []).append(key)
        pictures = [(drawn[digest], keys) for digest, keys in names.items() if digest in drawn]
        if pictures:
            found.append(_Copies(words=example.words, pictures=pictures))
    return found


def _cells(extras: Extras, metrics: Metrics) -> list[tuple[str, str, str, Sequence[Shown], int]]:
    """Return cells with pictures to show: anchor, true class, what it was called, pictures, count."""
    place = {scores.label: number for number, scores in enumerate(metrics.classes)}
    return [
        (
            f"cell-{place[true]}-{place[called]}",
            true,
            called,
            shown,
            metrics.confusion[place[true]][place[called]],
        )
        for (true, called), shown in extras.cells.items()
        if shown
    ]


def _weakest_areas(metrics: Metrics) -> list[str]:
    """Return the classes whose curves are drawn: as many as lines have colours, the smallest areas first."""
    known = [scores for scores in metrics.classes if scores.roc_auc is not None]
    known = known[1:] if len(metrics.classes) == 2 else known  # the other curve is the same, mirrored
    return [scores.label for scores in sorted(known, key=lambda one: one.roc_auc or 0.0)[: len(COLOURS)]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cell:
    #: Where its pictures stand on the page; empty where none are shown.
    anchor: str
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
                _Cell(
                    anchor=f"cell-{row}-{column}" if n else "",
                    count=n,
                    share=n / max(sum(counts), 1),
                    right=row == column,
                    predicted=names[column],
                )
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


def _learned(lineage: Lineage, report: Report, extras: Extras) -> str:
    """Return what the dataset is called that the model learned from; empty where that is not known."""
    return report.dataset_ref if lineage.dataset == report.dataset else extras.names.get(lineage.dataset, "")


def _doctor(checkup: Checkup) -> str:
    return f"regraft dataset check {shlex.quote(checkup.dataset_ref)}"
