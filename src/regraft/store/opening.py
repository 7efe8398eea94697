"""Open the store of a workspace: one folder with everything that Regraft keeps."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

from regraft import durable
from regraft.errors import ConflictError, IntegrityError, InvalidRecord, StorageError
from regraft.records import canonical
from regraft.store.blobs import Blobs
from regraft.store.catalog import Catalog
from regraft.store.journal import Journal
from regraft.store.packs import Packs

#: The layout on disk that this code reads and writes.
FORMAT = 1


class Store:
    """The parts of a store, each over its own folders below `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.blobs = Blobs(root / "blobs")
        self.packs = Packs(root / "packs")
        self.catalog = Catalog(root)
        self.journal = Journal(root / "runs")
        #: May be deleted at any time.
        self.cache = root / "cache"
        #: What was measured on a machine, and has to stay as it was measured.
        self.machines = root / "machines"


def _check_empty(root: Path) -> None:
    """Refuse to begin a store among somebody's files; drafts are those of a process that does the same."""
    others = (
        [path.name for path in root.iterdir() if not path.name.startswith(durable.DRAFT)]
        if root.is_dir()
        else []
    )
    if others and not (root / "store.json").exists():
        raise ConflictError(
            f"The folder {str(root)!r} is no workspace, and it is not empty.",
            hint="Give a workspace, or a folder that is empty or not there yet.",
        )


def open_store(root: Path) -> Store:
    """Open the store in a folder, and make it where there is none.

    Raises NotAllowedError or StorageError where the folder cannot be used, IntegrityError where its marker
    is damaged, InvalidRecord where it was written by a later version of Regraft.
    """
    marker = root / "store.json"
    try:
        data = marker.read_bytes()
    except FileNotFoundError:
        _check_empty(root)
        data = canonical({"format": FORMAT})
        with suppress(ConflictError):  # another process opened it at the same moment
            durable.put(marker, data, point="store.create")
    except NotADirectoryError:
        raise StorageError(
            f"The workspace {str(root)!r} is a file, or lies below one.",
            hint="Choose another place with --workspace DIR or REGRAFT_HOME.",
        ) from None
    except OSError as error:
        raise durable.unreadable(error, marker) from error
    try:
        found = json.loads(data)["format"]
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(
            f"The store's marker {str(marker)!r} is damaged.",
            hint=f'If the store was made by this version of Regraft, write {{"format": {FORMAT}}} into it.',
        ) from None
    if found != FORMAT:
        raise InvalidRecord(
            f"The store {str(root)!r} has format {found!r}; this version of Regraft reads format {FORMAT}.",
            hint="Update Regraft, or choose another store with --workspace.",
        )
    return Store(root)
