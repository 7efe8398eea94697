"""Explain what a model says of pictures: where it looks, what it knows that is like them, what is odd."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from regraft.data import facts, pictures
from regraft.data.assembly import open_rows
from regraft.data.checks import quality
from regraft.data.measured import Measured
from regraft.data.transforms import Prepared, prepare
from regraft.engine.outliers import directions
from regraft.engine.predict import Floats
from regraft.errors import InvalidError, NotFoundError, RegraftError, did_you_mean
from regraft.jobs import predict, trust
from regraft.jobs.features import features_of
from regraft.jobs.precision import fastest_precision
from regraft.jobs.preflight import check_classifier, own_rows
from regraft.progress import Progress
from regraft.records import DatasetVersion, Explanation, ModelVersion, Neighbour, Row, Version
from regraft.reports import explanation, gallery, heat
from regraft.store.opening import Store

#: What was measured of pictures [n].
Facts = npt.NDArray[np.void]

_BATCH = 32
#: Labels of each picture.
_SHOWN = 3
#: Pictures on one page, and pictures like them: more are more than anybody looks at.
MOST, MOST_NEAR = 32, 500
#: Long sides that pictures on the page may have, in pixels, the first that leaves room for the others.
_SIDES = (288, 216, 144, 72)
#: Long sides of the pictures that are like them.
_NEAR_SIDES = (224, 168, 112, 56)
#: Characters of all pictures on the page, and of all that are like them: it stays below 5 MB.
_ROOM, _NEAR_ROOM = 3_000_000, 1_500_000
_NO_MAP = "The net has no map of places, so that there is no heat."
_NOTHING_FOR = "No place speaks for the label more than for the others."
_NO_PICTURES = "The pictures that the model learned from are not in this workspace."


def explain(
    store: Store,
    model: Version,
    paths: Sequence[Path],
    *,
    label: str | None,
    coverage: float,
    nearest: int,
    progress: Progress,
) -> tuple[tuple[Explanation, ...], str]:
    """Return why a model says what it says of each picture, in order, and all of it as a page.

    The heat is about `label`, or else about the likeliest of each picture. A file that is not a picture has
    its reason in the prediction's `error`, and nothing else. Raises what `predict` does but where the model
    cannot tell sets, NotFoundError for a label that it does not know, and InvalidError for more pictures than
    a page holds.
    """
    net = check_classifier(model)
    if label is not None and label not in net.labels:
        raise NotFoundError(
            f"The model {str(model)!r} knows no label {label!r}.",
            hint=did_you_mean(label, net.labels, otherwise=f"It knows {len(net.labels):,} others."),
        )
    asked = coverage if net.trust is not None else None
    trust.check_coverage(net, asked)
    files = predict.find(paths)
    if len(files) > MOST:
        raise InvalidError(
            f"{len(files):,} pictures are too many to explain at once.",
            hint=f"Name {MOST} at the most: those that surprise you, of what `regraft predict` says of all.",
        )
    if len(files) * nearest > MOST_NEAR:
        raise InvalidError(
            f"{nearest:,} pictures like each of {len(files)} are too many for a page.",
            hint=f"Ask for {MOST_NEAR // len(files)} or fewer, or explain fewer pictures.",
            where="nearest",
        )
    seen = predict.see(store, model, files, progress=progress)
    told = predict.told(store, net, seen, top=_SHOWN, coverage=asked)
    good = [place for place in range(len(files)) if place not in seen.reasons]
    # one file at a time: all at once might not fit into memory
    measured = np.array([facts.measure(pictures.read_file(files[place])) for place in good], facts.FACTS)
    known = _Known(store, net, progress)
    near = known.nearest(seen.features, measured, nearest)
    maps = _Maps(store, net)
    every = ([] if known.rows else [_NO_PICTURES]) + list(filter(None, [trust.too_few(net, asked)]))
    result = [
        Explanation(prediction=item, label=None, heat=(), nearest=(), flags=(), notes=()) for item in told
    ]
    drawn = [explanation.Drawn()] * len(told)
    for number, place in enumerate(good):
        progress("Looking where the net looks", number + 1, len(good))
        about = label if label is not None else told[place].top[0].label
        shown = prepare(pictures.read_file(files[place]), net.input)
        found = maps.heat(shown, net.labels.index(about))
        missing = [] if found.any() else [_NOTHING_FOR if found.size else _NO_MAP]
        result[place] = Explanation(
            prediction=told[place],
            label=about,
            heat=_table(found),
            nearest=near[number],
            flags=known.flags(measured[number]),
            notes=(*missing, *every),
        )
        drawn[place] = explanation.Drawn(
            seen=_fitted(heat.picture(shown), _SIDES, _ROOM // (2 * len(good))),
            heat=_fitted(
                heat.overlay(shown, maps.enlarge(found, len(shown))), _SIDES, _ROOM // (2 * len(good))
            )
            if found.any()
            else "",
        )
    wanted = {item.digest for one in result for item in one.nearest}
    room = _NEAR_ROOM // max(1, sum(len(one.nearest) for one in result))
    thumbnails = {row.digest: _thumbnail(store, row, room) for row in known.rows if row.digest in wanted}
    return tuple(result), explanation.render(str(model), net, result, drawn, thumbnails, coverage=asked)


def _fitted(image: Image.Image, sides: Sequence[int], room: int) -> str:
    """Return an image as large as so many characters hold, in one of some sizes; empty where none does."""
    drawn = (gallery.encode(image, side=side) for side in sides)
    return next((text for text in drawn if len(text) <= room), "")


def _thumbnail(store: Store, row: Row, room: int) -> str:
    try:
        return _fitted(pictures.decode(store.packs.read(row), short_side=_NEAR_SIDES[0]), _NEAR_SIDES, room)
    except RegraftError:  # the page draws a grey box
        return ""


def _table(found: Floats) -> tuple[tuple[float, ...], ...]:
    if not found.any():
        return ()
    return tuple(tuple(round(float(value), 3) for value in row) for row in found)


class _Maps:
    """The net of a model, asked where it looks."""

    def __init__(self, store: Store, model: ModelVersion) -> None:
        from regraft.jobs import trunk  # torch and timm, after the arguments have been looked at

        self._net = trunk.load_net(store, model).requires_grad_(False)
        self._spec = model.input

    def heat(self, shown: Prepared, target: int) -> Floats:
        """Return how much each place [h, w] of a prepared picture speaks for a class."""
        import torch

        from regraft.data.loading import normalise
        from regraft.engine import cam

        return cam.heat(self._net, normalise(torch.from_numpy(shown.copy())[None], self._spec), target)

    def enlarge(self, map_of: Floats, size: int) -> Floats:
        """Return heat as large as the picture."""
        from regraft.engine import cam

        return cam.enlarge(map_of, size)


class _Known:
    """The pictures that a model learned from, as far as they are in this workspace."""

    def __init__(self, store: Store, model: ModelVersion, progress: Progress) -> None:
        self._store, self._model, self._progress = store, model, progress
        learned = {row.digest: row for row in own_rows(store, model) if row.split == "train"}
        self.rows: list[Row] = list(learned.values())
        self._facts: Facts = np.zeros(0, facts.FACTS)
        self._measured: Measured | None = None
        self._directions: npt.NDArray[np.float64] = np.zeros((0, model.num_features))
        version = model.lineage and store.catalog.find_digest("datasets", model.lineage.dataset)
        if not version or not self.rows:
            return
        try:
            self._directions = directions(
                features_of(
                    store,
                    model,
                    self.rows,
                    precision=model.precision or fastest_precision(store, model, progress),
                    batch_size=_BATCH,
                    progress=progress,
                )
            )
            self._measured = Measured(store, open_rows(store, version.read(DatasetVersion)), progress)
            self._facts = self._measured.facts()
        except RegraftError:  # the dataset was removed, and its pictures are gone: their table is not
            self.rows, self._measured = [], None

    def nearest(self, features: Floats, new: Facts, count: int) -> list[tuple[Neighbour, ...]]:
        """Return of each of some pictures, by features [n, d] and facts [n], the most alike."""
        if not self.rows:
            return [()] * len(new)
        likeness = directions(features) @ self._directions.T
        same = self._copies(new)
        orders = np.argsort(-likeness, axis=1, kind="stable")[:, :count]
        return [
            tuple(
                Neighbour(
                    key=row.key,
                    digest=row.digest,
                    label=row.label,
                    similarity=round(min(float(line[number]), 1.0), 4),
                    same=row.digest in same.get(place, ()),
                )
                for number, row in ((number, self.rows[number]) for number in order.tolist())
            )
            for place, (line, order) in enumerate(zip(likeness, orders, strict=True))
        ]

    def _copies(self, new: Facts) -> Mapping[int, set[str]]:
        """Return the digests of those that look like one photograph with each picture."""
        found: dict[int, set[str]] = {}
        if self._measured is not None:
            for place, row in self._measured.alike(new):
                found.setdefault(place, set()).add(row.digest)
        return found

    def flags(self, one: np.void) -> tuple[str, ...]:
        """Return what the doctor would say of a picture of such facts if it were one of them."""
        marks = quality.marks(np.append(self._facts, one))
        return tuple(name for name, marked in marks.items() if marked[-1])
