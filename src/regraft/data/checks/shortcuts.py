"""Shortcuts: classes that can be told apart without looking at what the pictures show.

How much a property of the file says of the class is Cramer's V with the bias correction of Bergsma (2013):
0 where it says nothing, however few the pictures are, 1 where it says all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from regraft.data.checks.patient import Numbers, Patient, finding, listed, plural
from regraft.data.pictures import FORMATS
from regraft.records import Example, Finding

#: From here on a property is said to give the class away.
STRONG = 0.4
#: Classes with fewer pictures are left out: of so few nothing is said for certain.
LEAST = 5
#: Pictures whose colours are on average closer to grey, from 0 to 1, count as grey.
GREY = 0.008

_MIXED = "Take pictures of every class in the same way, or store all of them alike, and evaluate on others."


def check_grey(patient: Patient) -> Iterator[Finding]:
    """Report a class that is grey while the others are in colour, and a class that alone is in colour."""
    table = patient.table((patient.facts["chroma"] < GREY).astype(np.int64))
    counts = table.sum(axis=1)
    used = counts >= LEAST
    if used.sum() < 2 or table.shape[1] < 2:
        return
    share = table[:, 1] / np.maximum(counts, 1)
    others = (table[used, 1].sum() - table[:, 1]) / np.maximum(counts[used].sum() - counts, 1)
    odd = np.flatnonzero(used & (((share > 0.9) & (others < 0.3)) | ((share < 0.1) & (others > 0.9))))
    if len(odd):
        names = [patient.labels[number] for number in odd]
        yield finding(
            "grey-only-class",
            "warning",
            f"{plural(len(odd), 'class', 'classes')} can be told by colour or grey alone: {listed(names)}.",
            count=len(odd),
            advice="Add pictures of the other kind to each class, or make all of them grey.",
            examples=(
                _of_class(
                    patient, int(number), f"{share[number]:.0%} grey; {others[number]:.0%} of the others"
                )
                for number in odd
            ),
        )


def check_files(patient: Patient) -> Iterator[Finding]:
    """Report classes that can be told by size or format, and pictures that cameras have turned by EXIF."""
    yield from _shortcut(patient, "size-correlated", "size", *_sizes(patient))
    formats = patient.facts["format"].astype(np.int64)
    yield from _shortcut(patient, "format-correlated", "file format", formats, FORMATS)
    yield from _check_orientation(patient)


def association(table: Numbers) -> float:
    """Return the bias-corrected Cramer's V of a table of counts."""
    table = table[table.sum(axis=1) > 0][:, table.sum(axis=0) > 0]
    count, (rows, columns) = table.sum(), table.shape
    if rows < 2 or columns < 2 or count < 2:
        return 0.0
    expected = np.outer(table.sum(axis=1), table.sum(axis=0)) / count
    phi = float(((table - expected) ** 2 / expected).sum() / count)
    phi = max(0.0, phi - (rows - 1) * (columns - 1) / (count - 1))
    rows_, columns_ = rows - (rows - 1) ** 2 / (count - 1), columns - (columns - 1) ** 2 / (count - 1)
    least = min(rows_ - 1, columns_ - 1)
    return float(np.sqrt(min(1.0, phi / least))) if least > 0 else 0.0


def _check_orientation(patient: Patient) -> Iterator[Finding]:
    turned = patient.facts["orientation"] != 1
    count = int(turned.sum())
    if not count:
        return
    strength = association(_known(patient.table(turned.astype(np.int64))))
    by_class = strength >= STRONG and count >= LEAST
    yield finding(
        "orientation",
        "warning" if by_class else "note",
        f"{plural(count, 'picture is', 'pictures are')} stored turned, with an EXIF note that says how"
        f"{', and mostly in some classes' if by_class else ''}.",
        count=count,
        advice="Regraft turns them upright. Tools that pass over EXIF show them lying: store them upright.",
        examples=(
            patient.show(int(number), words=f"EXIF orientation {patient.facts['orientation'][number]}")
            for number in np.flatnonzero(turned)
        ),
    )


def _sizes(patient: Patient) -> tuple[Numbers, list[str]]:
    """Sort the pictures by size: the commonest sizes by themselves, the others by area, in quarters."""
    width, height = patient.facts["width"].astype(np.int64), patient.facts["height"].astype(np.int64)
    sizes, index, counts = np.unique(width << 32 | height, return_inverse=True, return_counts=True)
    common = [
        int(n) for n in np.argsort(-counts, kind="stable")[:8] if counts[n] >= max(LEAST, len(width) / 20)
    ]
    names = [f"{sizes[n] >> 32} x {sizes[n] & 0xFFFFFFFF}" for n in common]
    values = np.full(len(width), -1)
    for number, size in enumerate(common):
        values[index == size] = number
    rest = values < 0
    if rest.any():
        area = (width * height)[rest]
        quarters = np.unique(np.quantile(area, [0.25, 0.5, 0.75]))
        values[rest] = len(common) + np.searchsorted(quarters, area, side="left")
        edges = [f"{edge / 1e6:.2f}" for edge in quarters]
        names += [
            f"{low} to {high} megapixels" for low, high in zip(["0", *edges], [*edges, "more"], strict=True)
        ]
    return values, names


def _shortcut(
    patient: Patient, code: str, what: str, values: Numbers, names: Sequence[str]
) -> Iterator[Finding]:
    if not len(values):
        return
    table = _known(patient.table(values))
    strength = association(table)
    if strength < STRONG:
        return
    count = int(table.sum())
    guessed, chance = table.max(axis=0).sum() / count, table.sum(axis=1).max() / count
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    rest = (table.sum(axis=0) - table) / np.maximum(count - table.sum(axis=1, keepdims=True), 1)
    odd = np.argsort(-np.abs(shares - rest).max(axis=1), kind="stable")
    examples = []
    for number in odd[: int((np.abs(shares - rest).max(axis=1) >= STRONG).sum())]:
        value = int(np.abs(shares - rest)[number].argmax())
        words = f"{shares[number, value]:.0%} are {names[value]}; {rest[number, value]:.0%} of the others"
        examples.append(_of_class(patient, int(number), words))
    yield finding(
        code,
        "warning",
        f"The {what} of a picture says much of its class: by it alone {guessed:.0%} can be named rightly, "
        f"by chance {chance:.0%}.",
        count=max(1, len(examples)),
        advice=f"A net can learn this instead of what is to be seen. {_MIXED}",
        examples=examples,
    )


def _known(table: Numbers) -> Numbers:
    """Leave out classes of which there are too few pictures."""
    return np.where(table.sum(axis=1, keepdims=True) >= LEAST, table, 0)


def _of_class(patient: Patient, number: int, words: str) -> Example:
    """Show a few pictures of a class."""
    members = np.flatnonzero(patient.targets == number)[:3]
    return patient.show(*(int(n) for n in members), words=f"{patient.labels[number]!r}: {words}")
