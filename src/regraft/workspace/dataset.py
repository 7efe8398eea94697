"""One version of a dataset, as a program sees it: rows, pictures, folds, and a dataset for torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, overload

from PIL import Image

from regraft.data import pictures, splits
from regraft.data.assembly import open_rows, read_refused
from regraft.data.choosing import choose
from regraft.data.splits import Unplaced
from regraft.errors import InvalidError
from regraft.jobs import machine
from regraft.progress import silent
from regraft.records import DatasetVersion, InputSpec, Refused, Row, Version
from regraft.registry import Entry
from regraft.reports.words import classes as classes_text
from regraft.reports.words import pictures as pictures_text
from regraft.store.opening import Store, is_url
from regraft.store.tables import rows_of

if TYPE_CHECKING:
    from regraft.data.batches import Batches
    from regraft.data.torch_view import TorchView


class Dataset:
    """The rows of one version, in stored order, by position and by key; tables are read when asked for.

    It may be pickled, shared between threads, and used after a fork (one in a bucket may not be forked).
    """

    def __init__(self, store: Store, version: Version) -> None:
        self._store = store
        self.version = version
        self.record = version.read(DatasetVersion)
        self._rows = open_rows(store, self.record)

    def __repr__(self) -> str:
        return f"<Dataset {self.version}: {pictures_text(len(self))} of {classes_text(len(self.labels))}>"

    def __len__(self) -> int:
        return self.record.count

    def __contains__(self, item: object) -> bool:
        """Tell whether a key, or a row, is one of this version."""
        if isinstance(item, Row):
            return item in self._rows.find("key", [item.key])
        return isinstance(item, str) and bool(self._rows.find("key", [item]))

    @overload
    def __getitem__(self, place: int | str) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | str | slice) -> Row | list[Row]:
        """Return a row by its position or key, or some rows; raises IndexError or NotFoundError."""
        if isinstance(place, slice):
            return self._rows.part(range(*place.indices(len(self))))
        return self._rows.by_key(place) if isinstance(place, str) else self._rows.at(place)

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the classes; a net's outputs are in this order."""
        return self.record.labels

    @property
    def refused(self) -> tuple[Refused, ...]:
        """The files that could not be used, with their reasons."""
        return read_refused(self._store, self.record)

    def rows(self, *, split: str | None = None, label: str | None = None) -> Iterator[Row]:
        """Return the rows of a split, or of a label, or of both; raises InvalidError where there is none."""
        tables = choose(self._rows, self.record, split=split, label=label)
        return (row for table in tables for row in rows_of(table))

    def read(self, row: Row) -> bytes:
        """Return the bytes of a row's picture, verified."""
        return self._store.packs.read(row)

    def read_all(self, rows: Iterable[Row] | None = None) -> Iterator[tuple[Row, bytes]]:
        """Yield all rows, or some, with the bytes of their pictures, verified; the fastest way to see many.

        In stored order about a MiB is read at once, ahead; in another order picture by picture.
        """
        return self._store.packs.read_all(self if rows is None else rows)

    def image(self, row: Row) -> Image.Image:
        """Return a row's picture as RGB, upright."""
        with pictures.quiet():
            return pictures.decode(self.read(row))

    def folds(self, k: int, *, seed: int = 0) -> list[tuple[list[Row], list[Row]]]:
        """Return k pairs of rows to learn from and rows held out, of everything that is not in `test`.

        Every row is held out once. Classes are spread evenly, families stay together, and nothing is stored.
        Raises InvalidError where there are fewer families than folds.
        """
        rows = [row for row in self if row.split != "test"]
        families = len({row.family for row in rows})
        if not 2 <= k <= families:
            raise InvalidError(
                f"There are no {k} folds of {families} pictures or families outside of 'test'.",
                hint="Take at least 2, and at most as many as there are families.",
                where="k",
            )
        unplaced = (Unplaced(digest=row.digest, label=row.label, family=row.family) for row in rows)
        fold = splits.folds(unplaced, k, seed=seed)
        return [
            (
                [row for row in rows if fold[row.digest] != number],
                [row for row in rows if fold[row.digest] == number],
            )
            for number in range(k)
        ]

    def to_torch(
        self, transform: Callable[[Image.Image], object] | None = None, *, split: str | None = None
    ) -> TorchView:
        """Return the pictures, or those of a split, as a dataset for torch; see TorchView."""
        from regraft.data.torch_view import TorchView  # torch is slow to import

        tables = choose(self._rows, self.record, split=split, label=None)
        forks = not is_url(self._store.address)
        return TorchView(self._store.packs, tables, self.labels, transform, forks=forks)

    def batches(
        self,
        augment: Sequence[Entry],
        *,
        size: int,
        batch_size: int,
        split: str | None = None,
        rows: Sequence[Row] | None = None,
        spec: InputSpec | None = None,
        shuffle: bool = True,
        seed: int = 0,
        side: int = 0,
        mixup: float = 0.0,
        cutmix: float = 0.0,
        workers: int = 2,
    ) -> Batches:
        """Return batches to learn from, made as a run makes them of `data.augment`.

        Pictures, or those of a split, or some `rows`, are decoded once and kept with a short side of `side`
        pixels, by default an eighth longer than `size`. `batches.epoch(0)` yields bytes [n, 3, size, size],
        which `data.loading.normalise_batch` turns into a net's input; order and changes follow from the seed,
        the epoch and the picture. Where `augment` does not choose which part of a picture is seen, a `spec`
        does, as in evaluation. Raises InvalidRecipe for a step that is not known.
        """
        from regraft.data.augment import pipeline  # torch is slow to import
        from regraft.data.batches import Batches
        from regraft.data.draws import identities
        from regraft.data.pixels import PixelKey, open_pixels

        rows = list(self.rows(split=split) if rows is None else rows)
        index = {label: number for number, label in enumerate(self.labels)}
        libraries = machine.libraries("pillow")
        if spec is None or pipeline.chooses(augment, where="augment"):
            key = PixelKey.whole(side or int(size / 0.875), libraries)
        else:
            key = PixelKey.prepared(spec, libraries)
        return Batches(
            open_pixels(self._store.cache, key, rows, self.read, silent),
            pipeline.build(augment, size=size, resize="squash", where="augment"),
            [index[row.label] for row in rows],
            identities([row.digest for row in rows]),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            mixup=mixup,
            cutmix=cutmix,
            workers=workers,
        )
