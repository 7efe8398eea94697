"""The store of a workspace as such: what it holds, whether it is whole, what can go."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from regraft.progress import Progress
from regraft.store import gc, verify
from regraft.store.gc import Collected
from regraft.store.opening import FORMAT, Store
from regraft.store.references import KINDS, needs
from regraft.store.verify import Verified


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreInfo:
    """What a store holds."""

    #: The layout on disk.
    format: int
    #: How many versions are shown, by kind, and how many are hidden.
    versions: dict[str, int]
    removed: int
    #: Blobs and packs, and their bytes.
    objects: int
    bytes: int
    #: Bytes that the versions would take more if they shared nothing.
    saved: int
    #: Bytes that may be deleted at any time.
    cache: int


class StoreDoor:
    """What can be done with the store as such."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress

    def verify(self, *, deep: bool = False) -> Verified:
        """Look for what is missing or damaged; `deep` reads every byte."""
        return verify.verify(self._store, deep=deep, progress=self._progress)

    def gc(self, *, grace: float = gc.GRACE, dry_run: bool = False) -> Collected:
        """Take away what no version needs and is older than `grace` seconds."""
        return gc.collect(self._store, grace=grace, dry_run=dry_run, progress=self._progress)

    def info(self) -> StoreInfo:
        """Count what is there."""
        store = self._store
        sizes = {
            found.name: found.size for folder in ("blobs", "packs") for found in store.storage.list(folder)
        }
        shown: Counter[str] = Counter()
        removed = 0
        uses: Counter[str] = Counter()
        for kind in KINDS:
            for name, number, when in store.catalog.every(kind):
                if when is not None:
                    removed += 1
                    continue
                shown[kind] += 1
                uses.update(needs(store.catalog.read(kind, name, number)).names(store))
        return StoreInfo(
            format=FORMAT,
            versions={kind: shown[kind] for kind in KINDS},
            removed=removed,
            objects=len(sizes),
            bytes=sum(sizes.values()),
            saved=sum(sizes.get(name, 0) * (count - 1) for name, count in uses.items()),
            cache=_size(store.cache),
        )


def _size(folder: Path) -> int:
    """Return the bytes of the files below a folder; others may write and remove there."""
    size = 0
    for above, _, files in os.walk(folder):
        for file in files:
            with suppress(OSError):
                size += (Path(above) / file).lstat().st_size
    return size
