"""Collect garbage: take away the blobs and packs that no version needs any more.

The docstring of `leases` says how a writer and a collector keep out of each other's way; several collectors
at once are safe too. Nobody who reads waits for one.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from regraft import durable
from regraft.errors import IntegrityError
from regraft.progress import Progress, silent
from regraft.records import DatasetVersion, Segment
from regraft.store.leases import condemn, oldest
from regraft.store.opening import Store
from regraft.store.references import Held, held, is_object, mentioned
from regraft.store.storage import Folder, Found
from regraft.store.tables import read_table

#: What is younger is not collected, in seconds.
GRACE = 24 * 3600.0
#: A draft that is younger may be one of somebody who writes without a lease, such as a tag; in seconds.
_STALE = 3600.0
_TASK = "Collecting garbage"


@dataclass(frozen=True, kw_only=True, slots=True)
class Removed:
    """A file that was taken away."""

    name: str
    kind: Literal["blob", "pack"]
    #: In bytes.
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Collected:
    """What was taken away, or would be, and what no version needs and stays for now."""

    #: Whether nothing was really taken away.
    dry_run: bool
    removed: tuple[Removed, ...]
    #: Bytes of all that was removed.
    freed: int
    #: Files that no version needs, and that are too young.
    kept_young: int
    #: Files that no version needs, and that somebody who writes now may rely on.
    kept_by_lease: int
    #: What writers left behind who were killed.
    drafts: int
    #: Bytes of pictures that no version needs, in packs that are needed for others; None where a row table
    #: cannot be read.
    wasted: int | None


def collect(
    store: Store, *, grace: float = GRACE, dry_run: bool = False, progress: Progress = silent
) -> Collected:
    """Take away what no version needs, and what was left behind by writers who were killed.

    What is younger than `grace` seconds stays, and what belongs to a version that was removed since then.
    Raises IntegrityError, InvalidRecord or NotAllowedError, and takes nothing away, where a version or a run
    cannot be read.
    """
    before = time.time() - grace
    storage = store.storage
    found = [file for folder in ("blobs", "packs") for file in storage.list(folder) if is_object(file.name)]
    limit = _limit(oldest(storage), before)
    versions = held(store, removed_after=before)
    needed = _names(store, versions)
    spare = [file for file in found if file.name not in needed]
    condemned = {file.name for file in spare if file.modified < limit}
    removed: list[Removed] = []
    if dry_run:
        removed = [_removed(file) for file in spare if file.name in condemned]
    elif condemned:
        with condemn(storage, condemned):
            removed = _remove(store, condemned, before, progress)
    gone = {file.name for file in removed}
    rest = [file for file in spare if file.name not in gone]
    young = sum(file.modified >= before for file in rest)
    return Collected(
        dry_run=dry_run,
        removed=tuple(removed),
        freed=sum(file.size for file in removed),
        kept_young=young,
        kept_by_lease=len(rest) - young,
        drafts=_remove_drafts(store, min(limit, time.time() - _STALE), dry_run=dry_run),
        wasted=_wasted(store, versions, {file.name: file.size for file in found}),
    )


def _remove(store: Store, condemned: Iterable[str], before: float, progress: Progress) -> list[Removed]:
    """Look again, and remove what is still not needed.

    The leases are read first: who wrote under one that is gone by now has published a version, which is seen;
    who has taken one since then sees what is condemned.
    """
    names = sorted(condemned)
    limit = _limit(oldest(store.storage), before)
    needed = _names(store, held(store, removed_after=before))
    removed = []
    for done, name in enumerate(names, start=1):
        file = store.storage.find(name)
        if file and name not in needed and file.modified < limit:
            durable.failpoint("gc.remove")
            store.storage.remove(name)
            removed.append(_removed(file))
        progress(_TASK, done, len(names))
    return removed


def _remove_drafts(store: Store, limit: float, *, dry_run: bool) -> int:
    here = Folder(store.root)  # a bucket has no drafts; what is kept beside it on this machine has
    stale = [draft for draft in here.drafts() if draft.modified < limit]
    for draft in [] if dry_run else stale:
        durable.failpoint("gc.draft")
        here.remove(draft.name)
    return len(stale)


def _limit(lease: float | None, before: float) -> float:
    return before if lease is None else min(lease, before)


def _names(store: Store, versions: Iterable[Held]) -> set[str]:
    names: set[str] = set()
    for item in versions:
        names |= item.needs.names(store)
        if item.whole:
            names |= mentioned(store, item.version)
    return names


def _removed(file: Found) -> Removed:
    kind: Literal["blob", "pack"] = "blob" if file.name.startswith("blobs/") else "pack"
    return Removed(name=file.name, kind=kind, size=file.size)


def _wasted(store: Store, versions: Iterable[Held], sizes: dict[str, int]) -> int | None:
    data = [item.version.read(DatasetVersion) for item in versions if item.needs.packs]
    segments: dict[str, Segment] = {segment.digest: segment for each in data for segment in each.segments}
    packs = {store.packs.files.name(digest) for each in data for digest in each.packs}
    if not segments:
        return 0
    columns = ("pack", "offset", "length")
    try:
        parts = [read_table(store.blobs, segment, columns) for segment in segments.values()]
    except (IntegrityError, pa.ArrowException):
        return None
    places = pa.concat_tables(parts)
    pictures = places.group_by(["pack", "offset"], use_threads=False).aggregate([("length", "max")])
    used: int = sum(pictures.column("length_max").to_pylist())
    return max(sum(sizes.get(name, 0) for name in packs) - used, 0)
