"""Change a dataset by hand: relabel, drop and move pictures; the files they came from are never touched."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from regraft.data import label_lists
from regraft.data.assembly import open_rows
from regraft.data.measured import Measured
from regraft.data.overlay import Overlay, corrections
from regraft.data.sources.readers import expand
from regraft.data.splits import ORDER
from regraft.errors import ConflictError, InvalidError
from regraft.progress import Progress, silent
from regraft.records import Correction, DatasetVersion, Row, Version
from regraft.store.leases import lease
from regraft.store.opening import Store


class Edit:
    """Changes to a dataset that are made together, when the block is left; see `edit`."""

    def __init__(self, store: Store, version: Version) -> None:
        self._store = store
        self._version = version
        self._overlay = Overlay(store, version)
        #: For each change of this block the rows that it changed, as they were before, by digest.
        self._steps: list[Mapping[str, Row]] = []
        #: The version that was made; None before the block is left, and where nothing changed.
        self.result: Version | None = None

    @property
    def base(self) -> Version:
        """The version whose rows are changed: the one that was opened or, after `undo`, one before it."""
        return self._overlay.version

    @property
    def changes(self) -> list[Correction]:
        """What will be done to the rows of `base`."""
        return corrections(self._overlay.changed())

    def relabel(self, picture: str | Row, label: str) -> None:
        """Give a picture, named by its key or its row, another label, which may be a new one.

        Raises NotFoundError with the closest key, InvalidError for an empty label.
        """
        row = self._overlay.find(picture)
        name = unicodedata.normalize("NFC", label).strip()
        if not name:
            raise InvalidError("A label cannot be empty.", hint="drop() takes a picture out.", where="label")
        if name != row.label:
            self._overlay.put({row.digest: replace(row, label=name)})
            self._steps.append({row.digest: row})

    def relabel_from(self, file: str | Path) -> None:
        """Give pictures the labels of a list with the columns `key` and `suggested`, such as suggestions.

        Raises InvalidError for what is no such list, or where a line's `digest` is not that of the picture.
        """
        path = expand(file)
        for line in label_lists.read(path):
            row = self._overlay.find(line.key)
            if line.digest not in ("", row.digest):
                raise InvalidError(
                    f"The picture {line.key!r} is another one than in line {line.number} of {str(path)!r}.",
                    hint="Suggest labels for this version, or take the line out.",
                    where=f"line {line.number}",
                )
            self.relabel(row.key, line.label)

    def drop(self, picture: str | Row) -> None:
        """Take a picture out; it stays out when its source is added again.

        Raises NotFoundError with the closest key.
        """
        row = self._overlay.find(picture)
        self._overlay.put({row.digest: None})
        self._steps.append({row.digest: row})

    def move(self, picture: str | Row, split: str) -> list[Row]:
        """Put a picture, and all its family, into `train`, `val` or `test`; return the rows that moved.

        Raises NotFoundError with the closest key, InvalidError for another split.
        """
        row = self._overlay.find(picture)
        if split not in ORDER:
            raise InvalidError(
                f"There is no split {split!r}.", hint="It is train, val or test.", where="split"
            )
        before = self._overlay.move(row, split)
        if before:
            self._steps.append(before)
        return [replace(one, split=split) for one in before.values()]

    def undo(self) -> None:
        """Take the last change of this block back; where there is none, what made the version itself.

        Then the rows and the corrections of the version before come back; raises ConflictError where that
        one is not here.
        """
        if self._steps:
            self._overlay.put(self._steps.pop())
            return
        parent = _parent(self._store, self.base)
        if parent is None:
            raise ConflictError(
                f"There is nothing to undo: no version before {str(self.base)!r} is here.",
                hint="Name another version.",
            )
        self._overlay = Overlay(self._store, parent)


@contextmanager
def edit(store: Store, version: Version, *, progress: Progress = silent) -> Iterator[Edit]:
    """Change a version by hand; leaving the block commits one new version, an exception does not.

    Where nothing changed there is no new version. What somebody else committed meanwhile stays: the changes
    are made to it too, and ConflictError is raised, and nothing committed, where both changed the same
    picture. If `version` is not the latest one, the new version has its rows with the changes, and comes
    after the latest: this is how one goes back. Raises InvalidError where no picture is left.
    """
    latest = store.catalog.latest("datasets", version.name)
    draft = Edit(store, version)
    yield draft
    if draft.changes or draft.base != version:
        draft.result = _commit(store, draft, version, follows=latest == version, progress=progress)


def _commit(
    store: Store, draft: Edit, version: Version, *, follows: bool, progress: Progress
) -> Version | None:
    """Publish the changes: if the draft `follows` the latest version, to whichever that is by now."""
    overlay = draft._overlay

    def build(parent: Version | None) -> DatasetVersion:
        nonlocal overlay
        overlay = draft._overlay
        if parent and follows and parent != version:
            if draft.base != version:
                raise ConflictError(
                    f"{str(parent)!r} was made meanwhile, and would be undone too.",
                    hint="Look at it, and undo again.",
                )
            overlay = Overlay(store, parent)
            overlay.replay(draft._overlay.changed())
        return overlay.write(parent.digest if parent else None)

    with lease(store.storage):
        made, new = store.catalog.commit("datasets", version.name, build)
        rows = open_rows(store, made.read(DatasetVersion))
        Measured(store, rows, progress).remember({}, overlay.rows)
    return made if new else None


def _parent(store: Store, version: Version) -> Version | None:
    """Return the version before, unless it was removed or is not in this store."""
    digest = version.read(DatasetVersion).parent
    found = store.catalog.find_digest("datasets", digest) if digest else None
    return found if found and found.number in store.catalog.numbers("datasets", found.name) else None
