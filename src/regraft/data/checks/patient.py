"""What the doctor looks at: the rows of a dataset, what was measured of each, and what was refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from regraft.records import Example, Finding, Refused, Row, Severity

#: Examples of a finding.
MOST = 12

Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Patient:
    """A dataset that is to be examined."""

    rows: Sequence[Row]
    #: [n] of `facts.FACTS`, in the order of the rows.
    facts: npt.NDArray[np.void]
    refused: Sequence[Refused]
    labels: tuple[str, ...]
    #: Whether the source said which split each picture is in.
    given: bool
    #: [n, classes] by a net that has not learned from the picture, NaN where there are none; or None.
    probabilities: npt.NDArray[np.float32] | None

    @cached_property
    def targets(self) -> Numbers:
        """The label of each row, as an index into `labels`."""
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index[row.label] for row in self.rows], np.int64)

    @cached_property
    def splits(self) -> npt.NDArray[np.str_]:
        """The split of each row."""
        return np.array([row.split for row in self.rows], np.str_)

    @cached_property
    def short(self) -> Numbers:
        """The short side of each picture, in pixels."""
        return np.asarray(np.minimum(self.facts["width"], self.facts["height"]), np.int64)

    def table(self, values: Numbers) -> Numbers:
        """Count pictures by class and by value: [classes, values]."""
        width = int(values.max(initial=0)) + 1
        cells = np.bincount(self.targets * width + values, minlength=len(self.labels) * width)
        return cells.reshape(len(self.labels), width)

    def show(self, *numbers: int, words: str = "") -> Example:
        """Return some rows as one example."""
        rows = [self.rows[number] for number in numbers]
        return Example(
            keys=tuple(row.key for row in rows), digests=tuple(row.digest for row in rows), words=words
        )


def finding(
    code: str,
    severity: Severity,
    title: str,
    *,
    count: int,
    advice: str,
    examples: Iterable[Example] = (),
) -> Finding:
    """Make a finding, of which the first examples are kept."""
    kept = tuple(examples)[:MOST]
    return Finding(code=code, severity=severity, title=title, count=count, advice=advice, examples=kept)


def plural(count: int, one: str, many: str) -> str:
    """Write how many there are: `1 picture is`, `1,200 pictures are`."""
    return f"1 {one}" if count == 1 else f"{count:,} {many}"


def listed(words: Iterable[str]) -> str:
    """Write names in a sentence, the first few of many."""
    names = [repr(word) for word in words]
    if len(names) > 5:
        names = [*names[:4], f"{len(names) - 4} more"]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
