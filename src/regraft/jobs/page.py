"""What a page shows besides its report: pictures of each confusion, curves, what the doctor found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from regraft.data import pictures
from regraft.data.assembly import open_rows
from regraft.data.parallel import ordered
from regraft.engine.scoring import Scored
from regraft.records import Checkup, DatasetVersion, ModelVersion, Row
from regraft.reports import gallery
from regraft.reports.html import MATRIX_CLASSES, Extras, Shown, pictured
from regraft.store.opening import Store

#: Pictures of one cell of the matrix, and of all of them together: a page should stay small.
PER_CELL = 6
PICTURES = 120
#: Side of such a picture in pixels.
SIDE = 128
#: Points of a drawn curve.
_POINTS = 120

Floats = npt.NDArray[np.float64]
Targets = npt.NDArray[np.int64]


def extras(
    store: Store,
    model: ModelVersion,
    rows: Sequence[Row],
    probabilities: Floats,
    targets: Targets,
    found: Checkup | None,
) -> Extras:
    """Return what the page of an evaluation shows besides its numbers."""
    scored = Scored(probabilities, targets)
    few = len(model.labels) <= MATRIX_CLASSES
    curves = {label: scored.curves(place) for place, label in enumerate(model.labels)} if few else {}
    return Extras(
        cells=_cells(store, rows, scored, model.labels) if few else {},
        roc={label: _thin(false, true) for label, (false, true, _) in curves.items()},
        precision_recall={label: _thin(true, right) for label, (_, true, right) in curves.items()},
        checkup=found,
        copies=_copies(store, found) if found else {},
        trust=model.trust,
        names=_names(store, model),
        licence=model.licence,
        source=model.source,
        batch=gallery.uri(store.blobs.get(model.training.batch))
        if model.training and model.training.batch
        else "",
    )


def thumbnails(store: Store, rows: Sequence[Row], *, side: int = gallery.SIDE) -> dict[str, str]:
    """Return small pictures of some rows by digest, for a page."""

    def draw(row: Row) -> str:
        return gallery.encode(pictures.decode(store.packs.read(row), short_side=side), side=side)

    with pictures.quiet():
        return dict(zip((row.digest for row in rows), ordered(draw, rows), strict=True))


def _cells(
    store: Store, rows: Sequence[Row], scored: Scored, labels: Sequence[str]
) -> Mapping[tuple[str, str], Sequence[Shown]]:
    """Choose pictures of each cell: mistakes first; of what is right, those that were nearly wrong."""
    sure = scored.scores.max(axis=1)
    cells: dict[tuple[int, int], list[int]] = {}
    for place in np.lexsort((sure, scored.predicted == scored.targets)):
        cells.setdefault((int(scored.targets[place]), int(scored.predicted[place])), []).append(int(place))
    ranked: list[tuple[int, bool, int, tuple[int, int], int]] = []
    for cell, members in cells.items():
        right = cell[0] == cell[1]
        some = (members if right else members[::-1])[:PER_CELL]
        ranked += [(turn, right, -len(members), cell, place) for turn, place in enumerate(some)]
    chosen: dict[tuple[int, int], list[int]] = {}
    for _, _, _, cell, place in sorted(ranked)[:PICTURES]:  # one of each cell before a second of any
        chosen.setdefault(cell, []).append(place)
    drawn = thumbnails(store, [rows[place] for some in chosen.values() for place in some], side=SIDE)
    return {
        (labels[true], labels[called]): [
            Shown(
                key=rows[place].key,
                picture=drawn[rows[place].digest],
                probability=float(sure[place]),
            )
            for place in some
        ]
        for (true, called), some in sorted(chosen.items())
    }


def _copies(store: Store, found: Checkup) -> dict[str, str]:
    """Draw the pictures of findings that a page shows, by digest."""
    version = store.catalog.find_digest("datasets", found.dataset)
    wanted = pictured(found)
    if version is None or not wanted:
        return {}
    rows = open_rows(store, version.read(DatasetVersion)).find("digest", wanted)
    return thumbnails(store, rows, side=SIDE)


def _names(store: Store, model: ModelVersion) -> dict[str, str]:
    """Return what the versions are called that a model was made from, by digest."""
    if model.lineage is None:
        return {}
    dataset = store.catalog.find_digest("datasets", model.lineage.dataset)
    base = store.catalog.find_digest("models", model.lineage.model)
    return {version.digest: str(version) for version in (dataset, base) if version}


def _thin(across: Floats, up: Floats) -> list[tuple[float, float]]:
    """Return the points of a curve from its beginning, few enough to draw; none where it is not defined."""
    if np.isnan(across).any() or np.isnan(up).any():
        return []
    places = np.unique(np.linspace(0, len(across) - 1, _POINTS).round().astype(int))
    first = (0.0, float(up[0]) if up[0] > up[-1] else 0.0)
    return [first, *((float(across[place]), float(up[place])) for place in places)]
