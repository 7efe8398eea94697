"""Corrections: what was changed by hand holds when the same source is added again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from pydantic import TypeAdapter

from regraft.data.sources.listing import Entry
from regraft.records import Correction, DatasetVersion
from regraft.store.opening import Store

#: Why a picture is refused that was dropped.
DROPPED = "was dropped by hand"

_LIST = TypeAdapter(tuple[Correction, ...])


def read_corrections(store: Store, record: DatasetVersion | None) -> tuple[Correction, ...]:
    """Return what was corrected in a version and those before it, sorted by digest."""
    if record is None or record.corrections is None:
        return ()
    return _LIST.validate_json(store.blobs.get(record.corrections))


def write_corrections(store: Store, corrections: Iterable[Correction]) -> str | None:
    """Store a list of corrections, sorted by digest; return its digest, or None of an empty one."""
    ordered = tuple(sorted(corrections, key=lambda item: (item.digest, item.change)))
    return store.blobs.put(_LIST.dump_json(ordered, indent=2)) if ordered else None


def corrected_again(known: Iterable[Correction], changes: Iterable[Correction]) -> tuple[Correction, ...]:
    """Return the corrections that hold after some changes.

    `old` stays what the source said first; what comes back to that is no correction any more. Of a dropped
    picture nothing else is remembered.
    """
    result = {(item.digest, item.change): item for item in known}
    for item in changes:
        before = result.pop((item.digest, item.change), item)
        if item.change == "dropped":
            result.pop((item.digest, "label"), None)
            result.pop((item.digest, "split"), None)
        if item.change == "dropped" or before.old != item.new:
            result[item.digest, item.change] = item.model_copy(update={"old": before.old})
    return tuple(result.values())


def corrected(
    entries: Mapping[str, Entry], corrections: Iterable[Correction], *, settled: Collection[str]
) -> tuple[dict[str, Entry | None], list[Correction]]:
    """Correct what a source says of some pictures, by digest.

    Returns the entries that differ, None for a dropped picture, and the corrections that still hold. Where a
    source that gives something says neither what was corrected nor nothing, it has been put right: it wins,
    and the correction is forgotten, unless the picture is one of those that are `settled` and not asked.
    """
    changed: dict[str, Entry | None] = {}
    hold = []
    for item in corrections:
        entry = changed.get(item.digest, entries.get(item.digest))
        if entry is None:  # not in this source
            hold.append(item)
        elif item.change == "dropped":
            changed[item.digest] = None
            hold.append(item)
        elif item.change == "label" and entry.label == item.old:
            changed[item.digest] = replace(entry, label=item.new)
            hold.append(item)
        elif item.change == "split" and entry.split in (item.old, ""):
            changed[item.digest] = replace(entry, split=entry.split and item.new)
            hold.append(item)
        elif item.digest in settled:
            hold.append(item)
    return changed, hold
