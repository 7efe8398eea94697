"""Classes: of few pictures, of unequal size, missing in a split, or under two names."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator

import numpy as np

from regraft.data.checks.patient import Patient, finding, listed, plural
from regraft.records import Example, Finding

#: A class that has fewer pictures to learn from is poorly known.
FEW = 10
#: How many times the largest class may be as large as the smallest.
UNEVEN, VERY_UNEVEN = 5, 20


def check_counts(patient: Patient) -> Iterator[Finding]:
    """Report classes of few pictures, and classes of unequal size."""
    counts = np.bincount(patient.targets, minlength=len(patient.labels))
    train = np.bincount(patient.targets[patient.splits == "train"], minlength=len(patient.labels))
    few = [int(n) for n in np.argsort(counts, kind="stable") if counts[n] <= 2 or 0 < train[n] < FEW]
    if few:
        names = listed(patient.labels[n] for n in few)
        yield finding(
            "few-pictures",
            "error" if counts[few].min() <= 2 else "warning",
            f"{plural(len(few), 'class has', 'classes have')} very few pictures: {names}.",
            count=len(few),
            advice="Add pictures, or drop the class: from two pictures one cannot both learn and measure.",
            examples=(
                _words(
                    f"{patient.labels[n]!r}: {plural(int(counts[n]), 'picture', 'pictures')}, "
                    f"{train[n]} of train"
                )
                for n in few
            ),
        )
    if len(patient.rows):
        yield from _check_balance(patient, counts)


def check_splits(patient: Patient) -> Iterator[Finding]:
    """Report classes that a split lacks."""
    have: dict[str, set[int]] = {
        str(split): set(patient.targets[patient.splits == split].tolist()) for split in set(patient.splits)
    }
    learned = have.get("train")
    if learned is None:  # a dataset to be evaluated on
        return
    held_out = [split for split in sorted(have) if split != "train"]
    missing = {split: sorted(learned - have[split]) for split in held_out}
    unknown = {split: sorted(have[split] - learned) for split in held_out}
    if count := len(set().union(*missing.values())):
        yield finding(
            "missing-in-split",
            "warning",
            f"{plural(count, 'class is', 'classes are')} not in every split.",
            count=count,
            advice="Scores on such a split say nothing of these classes: move some of their pictures there.",
            examples=_lacking(patient, missing, "{split} has no {labels}"),
        )
    if count := len(set().union(*unknown.values())):
        yield finding(
            "unknown-in-split",
            "error",
            f"{plural(count, 'class stands', 'classes stand')} only where nothing is learned.",
            count=count,
            advice="A model cannot name what it never learned: move pictures of these classes to train.",
            examples=_lacking(patient, unknown, "{split} has {labels}, train has not"),
        )


def check_names(patient: Patient) -> Iterator[Finding]:
    """Report classes whose names are the same word, written in two ways."""
    same: dict[str, list[str]] = defaultdict(list)
    for label in patient.labels:
        same[_word(label)].append(label)
    clashes = [labels for labels in same.values() if len(labels) > 1]
    if clashes:
        yield finding(
            "name-clash",
            "warning",
            f"{plural(len(clashes), 'word names', 'words name')} more than one class: "
            f"{'; '.join(listed(labels) for labels in clashes[:4])}.",
            count=len(clashes),
            advice="If they mean the same, join them: rename the folder and add it again, or "
            "`regraft dataset edit NAME --relabel KEY=LABEL`.",
            examples=(_words(listed(labels)) for labels in clashes),
        )


def _check_balance(patient: Patient, counts: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[Finding]:
    there = np.flatnonzero(counts)
    least, most = int(there[counts[there].argmin()]), int(counts.argmax())
    times = counts[most] / counts[least]
    if times >= UNEVEN:
        yield finding(
            "imbalance",
            "warning" if times >= VERY_UNEVEN else "note",
            f"There are {times:.0f} times as many pictures of {patient.labels[most]!r} as of "
            f"{patient.labels[least]!r}.",
            count=int((counts[there] * UNEVEN <= counts[most]).sum()),
            advice="Read the balanced accuracy and the scores by class; add pictures of the small classes.",
            examples=(
                _words(f"{patient.labels[n]!r}: {plural(int(counts[n]), 'picture', 'pictures')}")
                for n in there[np.argsort(counts[there], kind="stable")]
            ),
        )


def _word(label: str) -> str:
    """Return what two spellings of one word have in common: no case, accent form, spaces, or plural."""
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", label).casefold())
    text = re.sub(r"[\s_\-]+", " ", text).strip()
    if text.endswith("ies") and len(text) > 4:
        return f"{text[:-3]}y"
    if re.search(r"(ch|sh|x|ss)es$", text):
        return text[:-2]
    return (
        text[:-1] if len(text) > 3 and text.endswith("s") and not text.endswith(("ss", "us", "is")) else text
    )


def _lacking(patient: Patient, lacks: dict[str, list[int]], form: str) -> Iterator[Example]:
    for split, numbers in lacks.items():
        if numbers:
            yield _words(form.format(split=split, labels=listed(patient.labels[n] for n in numbers)))


def _words(text: str) -> Example:
    return Example(keys=(), digests=(), words=text)
