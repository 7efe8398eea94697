"""Suggest labels for pictures whose own is likely wrong, by nets that had not seen them when they judged."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from regraft import durable
from regraft.data.assembly import open_rows
from regraft.data.checks.labels import RIGHT
from regraft.engine import label_errors
from regraft.engine.label_errors import Doubts
from regraft.engine.predict import Floats
from regraft.engine.probe import Targets
from regraft.errors import MismatchError
from regraft.jobs.check import judge
from regraft.jobs.preflight import own_rows
from regraft.jobs.show import thumbnail
from regraft.progress import Progress
from regraft.records import Checkup, DatasetVersion, Example, Finding, ModelVersion, Row, Suggestion, Version
from regraft.reports import checkup as page
from regraft.reports import words
from regraft.store.opening import Store

#: Pictures that the page shows.
SHOWN = 200


@dataclass(frozen=True, kw_only=True)
class Suggested:
    """What is suggested, and why nothing is where nothing can be."""

    suggestions: tuple[Suggestion, ...]
    #: What a reader should know before the list.
    notes: tuple[str, ...]


def suggest(
    store: Store, dataset: Version, model: Version | None, *, least: float, progress: Progress
) -> Suggested:
    """Return the pictures of a dataset whose label is likely wrong, the likeliest first.

    `model` is the net that judges, by default that of the doctor. Only suggestions that are as likely as
    `least` are made. Raises MismatchError where the net has learned from these labels.
    """
    net = model.read(ModelVersion) if model else None
    record = dataset.read(DatasetVersion)
    rows = list(open_rows(store, record))
    if model and net:
        _check_new(store, model, net, rows)
    judged = judge(store, dataset, net, progress)
    if judged is None:
        return Suggested(suggestions=(), notes=("There are too few pictures to hold some of them out.",))
    features, head = judged
    index = {label: place for place, label in enumerate(record.labels)}
    targets = np.array([index[row.label] for row in rows])
    if said := _why_not(head.out_of_fold, targets):
        return Suggested(suggestions=(), notes=(said,))
    doubts = label_errors.doubt(features, targets, head.out_of_fold, [row.family for row in rows])
    found = _written(doubts, rows, record.labels, head.out_of_fold)
    return Suggested(suggestions=tuple(item for item in found if item.probability >= least), notes=())


def draw(store: Store, dataset: Version, suggested: Suggested) -> Path:
    """Draw the suggestions as a page in the cache, and return where it lies."""
    shown = suggested.suggestions[:SHOWN]
    count = len(suggested.suggestions)
    finding = Finding(
        code="wrong-labels",
        severity="warning",
        title=f"{words.number(count, 'label')} {'is' if count == 1 else 'are'} likely wrong.",
        count=count,
        advice=f"Look at each: `regraft dataset edit {dataset.name} --relabel KEY=LABEL` mends it. "
        f"Or write a list with `regraft dataset suggest-labels {dataset.name} -o labels.csv`, take out the "
        f"lines that are wrong, and say `regraft dataset edit {dataset.name} --from labels.csv`.",
        examples=tuple(
            Example(
                keys=(item.key,),
                digests=(item.digest,),
                words=f"labelled {item.label!r}, likelier {item.suggested!r}: {item.reason}",
            )
            for item in shown
        ),
    )
    checkup = Checkup(
        dataset_ref=str(dataset),
        dataset=dataset.digest,
        findings=(finding,) if count else (),
        checked=("wrong-labels",),
        skipped={},
    )
    record = dataset.read(DatasetVersion)
    pictures = open_rows(store, record).find("digest", [item.digest for item in shown])
    thumbnails = {row.digest: text for row in pictures if (text := thumbnail(store, row))}
    facts = [
        ("dataset", str(dataset)),
        ("digest", dataset.digest),
        ("pictures", f"{record.count:,} of {len(record.labels)} classes"),
        *(("note", note) for note in suggested.notes),
    ]
    text = page.render(checkup, thumbnails, facts=facts)
    path = store.cache / "pages" / f"labels-{sha256(text.encode()).hexdigest()[:16]}.html"
    durable.swap(path, text.encode(), point="page")
    return path


def _check_new(store: Store, model: Version, net: ModelVersion, rows: list[Row]) -> None:
    """Refuse a net that has learned from some of the labels: of a head on features nothing is asked."""
    here = {row.digest for row in rows}
    learned: set[str] = set()
    inner: ModelVersion | None = net
    while inner is not None:
        if inner.training is not None:
            learned |= here & {row.digest for row in own_rows(store, inner)}
        base = inner.lineage and store.catalog.find_digest("models", inner.lineage.model)
        inner = base.read(ModelVersion) if base else None
    if learned:
        raise MismatchError(
            f"The net of {str(model)!r} has learned from {len(learned):,} of these labels, wrong ones too.",
            hint="Leave --model out, or name a net that was not tuned on them.",
        )


def _why_not(said: Floats, targets: Targets) -> str:
    """Say why labels cannot be doubted; empty where they can."""
    told = np.isfinite(said).all(axis=1)
    if not told.any():
        return "There are too few pictures to hold some of them out."
    right = float((said[told].argmax(axis=1) == targets[told]).mean())
    if right < max(RIGHT, 1.5 / said.shape[1]):
        return f"The net agrees with {right:.0%} of the labels, too few to doubt the others."
    return ""


def _written(doubts: Doubts, rows: list[Row], labels: tuple[str, ...], said: Floats) -> list[Suggestion]:
    found = []
    for number, place in enumerate(doubts.places):
        row, other = rows[place], doubts.suggested[number]
        mine = said[place, labels.index(row.label)]
        found.append(
            Suggestion(
                key=row.key,
                digest=row.digest,
                split=row.split,
                label=row.label,
                given=round(float(doubts.given[number]), 4),
                suggested=labels[other],
                probability=round(float(doubts.likely[number]), 4),
                reason=f"{doubts.alike[number]} of the {doubts.asked} most alike bear it, "
                f"the net gives it {said[place, other]:.0%} and the label {mine:.0%}",
            )
        )
    return found
