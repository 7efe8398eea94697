"""Open the store of a workspace: one folder with all that Regraft keeps, or a bucket and a folder."""

from __future__ import annotations

import json
import os
import re
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from regraft import durable
from regraft.errors import (
    ConflictError,
    IntegrityError,
    InvalidError,
    InvalidRecord,
    MissingExtraError,
    StorageError,
)
from regraft.records import canonical
from regraft.store.blobs import Blobs
from regraft.store.catalog import Catalog
from regraft.store.journal import Journal
from regraft.store.packs import Packs
from regraft.store.storage import Folder, Storage

#: The layout on disk that this code reads and writes.
FORMAT = 1

_MARKER = "store.json"
_NEW = canonical({"format": FORMAT})
#: How an address begins that is no path; pathlib leaves one slash of two.
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


class Store:
    """The parts of a store: versions and bytes in a storage, runs and caches in a folder here."""

    def __init__(self, storage: Storage, root: Path, address: str) -> None:
        self.storage = storage
        self.root = root
        #: What opens the store again, on this machine or, where it is a URL, on another one.
        self.address = address
        self.blobs = Blobs(self.storage, "blobs")
        self.packs = Packs(self.storage)
        self.catalog = Catalog(self.storage)
        self.journal = Journal(root / "runs")
        #: May be deleted at any time.
        self.cache = root / "cache"
        #: What was measured on a machine, and has to stay as it was measured.
        self.machines = root / "machines"
        #: Whether nothing may be fetched.
        self.offline = False


def _check_empty(root: Path) -> None:
    """Refuse to begin a store among somebody's files; drafts are those of a process that does the same."""
    others = (
        [path.name for path in root.iterdir() if not path.name.startswith(durable.DRAFT)]
        if root.is_dir()
        else []
    )
    if others and not (root / _MARKER).exists():
        if "blobs" in others and {"datasets", "models"} & set(others):
            raise IntegrityError(
                f"The workspace {str(root)!r} has lost its marker {_MARKER!r}.",
                hint=f'If it was made by this version of Regraft, write {{"format": {FORMAT}}} into '
                f"{str(root / _MARKER)!r}.",
            )
        raise ConflictError(
            f"The folder {str(root)!r} is no workspace, and it is not empty.",
            hint="Give a workspace, or a folder that is empty or not there yet.",
        )


def open_store(address: Path | str) -> Store:
    """Open the store in a folder or at `s3://BUCKET/PREFIX`, and make it where there is none.

    Raises NotAllowedError or StorageError where the place cannot be used, IntegrityError where its marker
    is damaged, InvalidRecord where it was written by a later version of Regraft.
    """
    return _open_bucket(str(address)) if is_url(address) else _open_folder(Path(address))


def is_url(address: Path | str) -> bool:
    """Tell whether an address is a URL and not a path."""
    return bool(_SCHEME.match(str(address)))


def _open_folder(root: Path) -> Store:
    marker = root / _MARKER
    try:
        data = marker.read_bytes()
    except FileNotFoundError:
        _check_empty(root)
        data = _NEW
        with suppress(ConflictError):  # another process opened it at the same moment
            durable.put(marker, data, point="store.create")
    except NotADirectoryError:
        raise StorageError(
            f"The workspace {str(root)!r} is a file, or lies below one.",
            hint="Choose another place with --workspace DIR or REGRAFT_HOME.",
        ) from None
    except OSError as error:
        raise durable.unreadable(error, marker) from error
    _check_format(data, str(root), str(marker))
    return Store(Folder(root), root, str(root))


def _open_bucket(url: str) -> Store:
    if not url.startswith("s3://"):
        raise InvalidError(
            f"Regraft has no storage for {url!r}.",
            hint='Give a folder, or "s3://BUCKET/PREFIX" as text.',
            where=url,
        )
    try:
        from regraft.store.bucket import endpoint  # an extra of its own
        from regraft.store.objects import Objects
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"A workspace at {url!r} needs the 's3' extra.", hint="pip install 'regraft[s3]'"
        ) from error

    objects = Objects(url)
    data = objects.read(_MARKER)
    if data is None:
        if next(objects.list(""), None) and objects.find(_MARKER) is None:
            raise ConflictError(
                f"{objects.url!r} is no workspace, and it is not empty.",
                hint="Give a workspace, or a prefix that is not used yet.",
            )
        objects.probe()
        data = _NEW
        with suppress(ConflictError):
            objects.put(_MARKER, data, point="store.create")
    _check_format(data, objects.url, f"{objects.url}/{_MARKER}")
    # one bucket's name may stand for other buckets at other endpoints
    name = sha256(f"{endpoint()}\n{objects.url}".encode()).hexdigest()[:16]
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Store(objects, caches / "regraft" / name, objects.url)


def _check_format(data: bytes, place: str, marker: str) -> None:
    """Refuse a store that this version of Regraft cannot read."""
    try:
        found = json.loads(data)["format"]
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(
            f"The store's marker {marker!r} is damaged.",
            hint=f'If the store was made by this version of Regraft, write {{"format": {FORMAT}}} into it.',
        ) from None
    if found != FORMAT:
        raise InvalidRecord(
            f"The store {place!r} has format {found!r}; this version of Regraft reads format {FORMAT}.",
            hint="Update Regraft, or choose another store with --workspace.",
        )
