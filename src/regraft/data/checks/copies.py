"""Copies: the same picture twice, on both sides of a split, or under two labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from regraft.data import similar
from regraft.data.checks.patient import Patient, finding, listed, plural
from regraft.data.sources.arrange import SPLITS
from regraft.records import Example, Finding, Refused

Pairs = npt.NDArray[np.int32]

#: How `Refused.reason` begins where the file itself is sound.
SAME = "the same picture as "
LABELLED = "the same picture is labelled "


def check_exact_copies(patient: Patient) -> Iterator[Finding]:
    """Report files that ingest has left out because another one has the same bytes."""
    rows = {repr(row.key): row for row in patient.rows}
    examples: list[Example] = []
    across: list[Example] = []
    for item in patient.refused:
        if not item.reason.startswith(SAME):
            continue
        row = rows.get(item.reason.removeprefix(SAME))
        keys = (item.key, row.key) if row else (item.key,)
        split = _folder(item) if patient.given and row else ""
        far = bool(row and split and split != row.split)
        words = f"{split} and {row.split}" if row and far else ""
        example = Example(keys=keys, digests=(item.digest,) * len(keys), words=words)
        (across if far else examples).append(example)
    count = len(examples) + len(across)
    if count:
        title = plural(count, "file is the same as another one", "files are the same as another one")
        if across:
            title += f", {len(across):,} of them in another split"
        yield finding(
            "exact-duplicates",
            "warning" if across else "note",
            f"{title}.",
            count=count,
            advice="Regraft keeps one of each, held-out pictures first. Delete the others in the source: "
            "whoever reads it with another tool counts them twice.",
            examples=across + examples,
        )


def check_look_alikes(patient: Patient) -> Iterator[Finding]:
    """Report pictures that look alike: in one split, in two, and under two labels."""
    pairs = _pairs(patient)
    splits, targets = patient.splits[pairs], patient.targets[pairs]
    across, differ = splits[:, 0] != splits[:, 1], targets[:, 0] != targets[:, 1]
    yield from _conflicts(patient, pairs[differ])
    yield from _leaks(patient, pairs[across])
    yield from _repeats(patient, pairs[~across & ~differ])


def check_groups(patient: Patient) -> Iterator[Finding]:
    """Report groups that the source names and that stand in more than one split."""
    groups: dict[str, list[int]] = defaultdict(list)
    for number, row in enumerate(patient.rows):
        if row.group and not row.group.startswith("~"):
            groups[row.group].append(number)
    parted = {name: members for name, members in groups.items() if len(set(patient.splits[members])) > 1}
    if parted:
        yield finding(
            "parted-groups",
            "error",
            f"{plural(len(parted), 'group stands', 'groups stand')} in more than one split.",
            count=len(parted),
            advice="What belongs together is known from its other pictures: measured on these, a model looks "
            "better than it is. Put each group into one split: `regraft dataset edit NAME --move KEY=SPLIT`.",
            examples=(
                patient.show(
                    *members[:4], words=f"{name}: {listed(sorted({patient.rows[n].split for n in members}))}"
                )
                for name, members in parted.items()
            ),
        )


def _pairs(patient: Patient) -> Pairs:
    pairs = similar.near(patient.facts)
    blank = similar.flat(patient.facts["thumb"][pairs[:, 0]])
    return pairs[~blank]  # those are another finding


def _conflicts(patient: Patient, pairs: Pairs) -> Iterator[Finding]:
    copies: dict[str, list[Refused]] = defaultdict(list)
    for item in patient.refused:
        if item.reason.startswith(LABELLED):
            copies[item.digest].append(item)
    examples = [_conflict(equal) for equal in copies.values()]
    for one, other in pairs:
        labels = listed(patient.labels[patient.targets[number]] for number in (one, other))
        examples.append(patient.show(int(one), int(other), words=f"labelled {labels}"))
    if examples:
        yield finding(
            "conflicting-labels",
            "error",
            f"{plural(len(examples), 'picture stands', 'pictures stand')} under two labels.",
            count=len(examples),
            advice="Decide which label is right, and delete the other copy. Equal files are out till then.",
            examples=examples,
        )


def _conflict(copies: list[Refused]) -> Example:
    return Example(
        keys=tuple(item.key for item in copies),
        digests=tuple(item.digest for item in copies),
        words=copies[0].reason.removeprefix("the same picture is "),
    )


def _leaks(patient: Patient, pairs: Pairs) -> Iterator[Finding]:
    if not len(pairs):
        return
    order = {"test": 0, "val": 1}
    ranks = np.array([[order.get(split, 2) for split in splits] for splits in patient.splits[pairs]])
    pairs = np.take_along_axis(pairs, np.argsort(ranks, axis=1, kind="stable"), axis=1)
    pairs = pairs[np.argsort(ranks.min(axis=1), kind="stable")]
    held_out = len(np.unique(pairs[:, 0]))
    names = sorted(set(patient.splits[pairs[:, 0]]), key=lambda split: order.get(split, 2))
    yield finding(
        "leakage",
        "error",
        f"{plural(held_out, 'picture', 'pictures')} of {' and '.join(names)} "
        f"{'looks like one' if held_out == 1 else 'look like some'} of another split.",
        count=held_out,
        advice="A model that has learned from one knows the other: measured on these, it looks better than "
        "it is. Keep what looks alike in one split: `regraft dataset edit NAME --move KEY=SPLIT`, or "
        "`--drop KEY`.",
        examples=(
            patient.show(int(one), int(other), words=f"{patient.splits[one]} and {patient.splits[other]}")
            for one, other in pairs
        ),
    )


def _repeats(patient: Patient, pairs: Pairs) -> Iterator[Finding]:
    if not len(pairs):
        return
    clusters = similar.clusters(len(patient.rows), pairs)
    groups: dict[int, list[int]] = defaultdict(list)
    for number in np.unique(pairs):
        groups[int(clusters[number])].append(int(number))
    extra = len(np.unique(pairs)) - len(groups)
    held_out = np.unique(pairs)[patient.splits[np.unique(pairs)] != "train"]
    grave = len(held_out) > 0.05 * max(1, int((patient.splits != "train").sum()))
    yield finding(
        "near-duplicates",
        "warning" if grave else "note",
        f"{plural(extra, 'picture repeats', 'pictures repeat')} another one of its class and split: "
        "the same photograph, compressed, scaled or turned anew.",
        count=extra,
        advice="Each counts twice, in training and in scores. Drop the copies: "
        "`regraft dataset edit NAME --drop KEY`.",
        examples=(
            patient.show(*members, words=str(patient.splits[members[0]]))
            for members in sorted(groups.values(), key=len, reverse=True)
        ),
    )


def _folder(item: Refused) -> str:
    """Return the split that a file's place in its source says; empty where it says none."""
    return SPLITS.get(item.key.partition("/")[0].casefold(), "")
