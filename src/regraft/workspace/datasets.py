"""Datasets: labelled pictures in numbered versions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from regraft.data import ingest, readers
from regraft.data.ingest import Added
from regraft.errors import InvalidError, InvalidRef, NotFoundError, did_you_mean
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import DatasetVersion, Refused, Row, SplitRule, Version
from regraft.refs import make_name, parse
from regraft.store.opening import Store
from regraft.store.tables import read_rows


class Dataset:
    """One version of a dataset: its facts, its rows by position, its pictures by row."""

    def __init__(self, store: Store, version: Version) -> None:
        self._store = store
        self.version = version
        self.record = version.read(DatasetVersion)

    def __len__(self) -> int:
        return self.record.count

    def __getitem__(self, position: int) -> Row:
        return self._rows[position]

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows)

    def read(self, row: Row) -> bytes:
        """Return the bytes of a row's picture, verified."""
        return self._store.packs.read(row)

    @property
    def refused(self) -> tuple[Refused, ...]:
        """The files that could not be used, with their reasons."""
        return ingest.read_refused(self._store, self.record)

    @cached_property
    def _rows(self) -> list[Row]:
        return list(read_rows(self._store.blobs, self.record.segments))


class Datasets:
    """The datasets of a workspace."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress

    def add(self, name: str, path: str | Path, *, recipe: Recipe | None = None) -> Added:
        """Store the pictures of a folder, or of a named set such as `digits`, as a new version of `name`.

        The folder is only read. Where nothing has changed there is no new version.
        """
        folder = readers.expand(path)
        named = None if readers.exists(folder) else readers.NAMED.get(str(path))
        listing = named() if named else readers.read_folder(folder)
        return ingest.add(self._store, name, listing, split_rule(recipe or Recipe()), self._progress)

    def resolve(self, words: str | Path, recipe: Recipe) -> tuple[Version, Added | None]:
        """Return the version that a ref or a path names; a folder is added first.

        A folder comes before a dataset of the same name, and that before a named set such as `digits`.
        Raises NotFoundError with the closest name.
        """
        if not str(words).strip():
            raise InvalidError("The dataset has no name.", hint="Give a folder of class folders, or a name.")
        path = readers.expand(words)
        looks_like_path = isinstance(words, Path) or ("/" in str(words) and "/version/" not in str(words))
        if readers.exists(path) or looks_like_path:
            added = self._add_by_path(path, recipe)
            return added.version, added
        try:
            ref = parse(str(words))
        except InvalidRef:
            ref = None
        if ref and not ref.source and self._store.catalog.numbers("datasets", ref.name):
            return self._store.catalog.find("datasets", ref), None
        if words in readers.NAMED:
            added = self.add(str(words), str(words), recipe=recipe)
            return added.version, added
        known = [*self._store.catalog.names("datasets"), *readers.NAMED, *_folders()]
        raise NotFoundError(
            f"There is no folder and no dataset {str(words)!r}.",
            hint=did_you_mean(
                str(words), known, otherwise="Give a folder of class folders, or see `regraft dataset list`."
            ),
        )

    def _add_by_path(self, path: Path, recipe: Recipe) -> Added:
        """Add a folder to the dataset of its own name, unless that is about other pictures."""
        name = make_name(path.resolve().name)
        listing = readers.read_folder(path)
        return ingest.add(self._store, name, listing, split_rule(recipe), self._progress, related=True)

    def list(self) -> list[Version]:
        """List the latest version of every dataset."""
        names = self._store.catalog.names("datasets")
        return [self._store.catalog.find("datasets", parse(name)) for name in names]

    def get(self, ref: str) -> Dataset:
        """Open a version of a dataset."""
        return Dataset(self._store, self._store.catalog.find("datasets", parse(ref)))

    def tag(self, ref: str, tag: str) -> Version:
        """Let a tag name a version; a tag that exists moves."""
        return self._store.catalog.tag("datasets", parse(ref), tag)


def split_rule(recipe: Recipe) -> SplitRule:
    """Return how a recipe wants pictures without a split to get one."""
    data = recipe.data
    train = round(1 - data.val_fraction - data.test_fraction, 9)
    fractions = {"train": train, "val": data.val_fraction, "test": data.test_fraction}
    return SplitRule(fractions=fractions, seed=recipe.train.seed)


def _folders() -> list[str]:
    return [path.name for path in Path().glob("*") if path.is_dir()]
