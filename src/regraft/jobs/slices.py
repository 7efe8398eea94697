"""What is known of pictures besides their labels: slices that may fare otherwise, and what is odd."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from regraft.data import pictures, slicing
from regraft.data.assembly import open_rows
from regraft.data.checks import quality
from regraft.data.measured import Measured
from regraft.engine import slices
from regraft.progress import Progress
from regraft.records import DatasetVersion, Row, SliceScores
from regraft.store.opening import Store

#: Of more pictures than this the cameras are not read: it would mean reading every file once more.
CAMERAS = 5000


@dataclass(frozen=True, kw_only=True)
class Look:
    """What some pictures look like, whoever names them."""

    slices: list[tuple[str, slicing.Marks]]
    #: Of each picture, such as `dark` or `blurred`.
    flags: list[list[str]]
    #: How many look like pictures that are known.
    alike: int

    def names(self, count: int) -> list[list[str]]:
        """Return the names of the slices that each of so many pictures is in."""
        return [[name for name, marks in self.slices if marks[place]] for place in range(count)]

    def compare(self, right: slicing.Marks, members: npt.NDArray[np.int64]) -> tuple[SliceScores, ...]:
        """Return how each slice fares, where [n] pictures of some families [n] were named rightly or not."""
        return slices.compare(self.slices, right, members)


def look(
    store: Store,
    dataset: DatasetVersion,
    rows: Sequence[Row],
    progress: Progress,
    *,
    home: DatasetVersion | None = None,
    known: Container[str] = (),
) -> Look:
    """Return what some rows of a dataset look like; they stand in its order.

    They are compared with those pictures of another dataset, `home`, whose digests are `known`.
    """
    every = open_rows(store, dataset)
    wanted = {row.digest for row in rows}
    chosen = np.array([row.digest in wanted for row in every], dtype=bool)
    facts = Measured(store, every, progress).facts()[chosen]
    found = quality.marks(facts)
    return Look(
        slices=slicing.find(rows, facts, _cameras(store, rows)),
        flags=[[name for name, marks in found.items() if marks[place]] for place in range(len(rows))],
        alike=_count_alike(store, home, facts, known, progress) if home else 0,
    )


def _count_alike(
    store: Store,
    home: DatasetVersion,
    facts: npt.NDArray[np.void],
    known: Container[str],
    progress: Progress,
) -> int:
    measured = Measured(store, open_rows(store, home), progress)
    return len({place for place, row in measured.alike(facts) if row.digest in known})


def _cameras(store: Store, rows: Sequence[Row]) -> list[str]:
    if len(rows) > CAMERAS:
        return [""] * len(rows)
    return [pictures.camera(store.packs.read(row)) for row in rows]
