"""A report as Markdown, for a pull request or a wiki: the headline, the numbers, the classes."""

from __future__ import annotations

import re

from regraft.records import Report
from regraft.reports import measures, words

#: Classes and pairs that are listed.
_CLASSES = 50
_PAIRS = 10


def render(report: Report) -> str:
    """Return the report as GitHub's Markdown; names in it are shown as text, whatever they are."""
    metrics = report.metrics
    bounds = words.interval(metrics.accuracy_interval)
    parts = [
        f"# {text(report.model_ref)} on {text(report.dataset_ref)}",
        f"**{words.percent(metrics.accuracy)}** accuracy (95 % interval {bounds}): {metrics.correct:,} of "
        f"{words.pictures(metrics.count)} of split {text(report.split)}.",
    ]
    if report.baselines:
        each = (f"{text(one.name)} {words.percent(one.accuracy)}" for one in report.baselines)
        parts.append(f"Baselines: {', '.join(each)}.")
    parts += [words.looks(report.looks), *(text(note) for note in report.notes)]
    parts.append(
        _table(
            ("measure", "value", "95 % interval"),
            [
                (row.name, row.value, row.interval)
                for row in measures.rows(metrics, classes=max(len(report.labels), 1))
            ],
        )
    )
    parts.append(
        _table(
            ("class", "precision", "recall", "F1", "pictures"),
            [
                (
                    text(one.label),
                    words.percent(one.precision),
                    words.percent(one.recall),
                    words.decimal(one.f1),
                    str(one.support),
                )
                for one in metrics.classes[:_CLASSES]
            ],
        )
    )
    if pairs := _confused(report):
        parts.append(_table(("true", "called", "pictures"), pairs))
    if report.slices:
        parts.append(
            _table(
                ("pictures", "count", "accuracy", "all others"),
                [
                    (
                        text(one.name) + (" (differs)" if one.distinct else ""),
                        str(one.count),
                        words.percent(one.accuracy),
                        words.percent(one.rest),
                    )
                    for one in report.slices
                ],
            )
        )
    return "\n\n".join(parts) + "\n"


def text(value: str) -> str:
    """Return words as Markdown that shows them: nothing in them is markup, and they stay in their line."""
    plain = words.printable(value)
    return re.sub(r"([\\`*_{}\[\]()#+.!|<>~&$@-]|:(?=//))", r"\\\1", plain)


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _confused(report: Report) -> list[tuple[str, ...]]:
    pairs = [
        (count, text(report.labels[row]), text(report.labels[column]))
        for row, counts in enumerate(report.metrics.confusion)
        for column, count in enumerate(counts)
        if count and row != column
    ]
    pairs.sort(key=lambda pair: (-pair[0], *pair[1:]))
    return [(true, called, str(count)) for count, true, called in pairs[:_PAIRS]]
