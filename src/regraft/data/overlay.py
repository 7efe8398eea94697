"""The rows of a version with changes laid over them, by content; nothing is written before it is told to."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from regraft.data.assembly import open_rows, read_refused, write_refused
from regraft.data.corrections import DROPPED, corrected_again, read_corrections, write_corrections
from regraft.data.sources.listing import natural
from regraft.data.splits import ORDER
from regraft.errors import ConflictError, InvalidError, NotFoundError
from regraft.records import Correction, DatasetVersion, Refused, Row, Version
from regraft.store.opening import Store
from regraft.store.tables import rewrite_rows

#: A row of a version, and what stands in its place; None where it is dropped.
Changed = tuple[Row, Row | None]


class Overlay:
    """The rows of a version as they will be."""

    def __init__(self, store: Store, version: Version) -> None:
        self._store = store
        self.version = version
        self.record = version.read(DatasetVersion)
        self.rows = open_rows(store, self.record)
        self._now: dict[str, Row | None] = {}

    def find(self, picture: str | Row) -> Row:
        """Return what stands for a picture; raises NotFoundError with the closest key."""
        row = self.rows.by_key(picture) if isinstance(picture, str) else picture
        if row.digest in self._now:
            now = self._now[row.digest]
            if now is None:
                raise NotFoundError(f"Picture {row.key!r} was dropped.", hint="undo() takes it back.")
            return now
        here = row if isinstance(picture, str) else self.standing(row)
        if here is None:
            raise NotFoundError(
                f"{str(self.version)!r} has no picture {row.key!r}.", hint="Take a row of this version."
            )
        return here

    def standing(self, row: Row) -> Row | None:
        """Return what stands for a picture of another version, by content; None where it is not here."""
        if row.digest in self._now:
            return self._now[row.digest]
        return next(iter(self.rows.find("digest", [row.digest])), None)

    def family(self, row: Row) -> list[Row]:
        """Return the rows of a row's family, itself included, in the order of their keys."""
        rows = (self._now.get(one.digest, one) for one in self.rows.find("family", [row.family]))
        return sorted((one for one in rows if one), key=lambda one: natural(one.key))

    def put(self, rows: Mapping[str, Row | None]) -> None:
        """Lay rows over those with the same digest; None drops one."""
        self._now.update(rows)

    def move(self, row: Row, split: str) -> dict[str, Row]:
        """Put a row's family into a split; return the rows that stood elsewhere, as they were, by digest."""
        before = {one.digest: one for one in self.family(row) if one.split != split}
        self.put({name: replace(one, split=split) for name, one in before.items()})
        return before

    def changed(self) -> list[Changed]:
        """Return every row of the version that changes, and what it changes to."""
        before = {row.digest: row for row in self.rows.find("digest", self._now)}
        return [(before[name], now) for name, now in self._now.items() if now != before[name]]

    def replay(self, changes: Iterable[Changed]) -> None:
        """Make the changes to the rows of another version here too.

        Raises ConflictError where a picture is not here any more, or was changed to something else.
        """
        for old, new in changes:
            row = self.standing(old)
            if row is None:
                if new is not None:
                    raise _conflict(f"Picture {old.key!r} is not in {str(self.version)!r} any more.")
            elif new is None or new.label != old.label:
                if row.label not in (old.label, new.label if new else old.label):
                    raise _conflict(f"Picture {old.key!r} has been labelled {row.label!r} meanwhile.")
                self.put({row.digest: new and replace(row, label=new.label)})
            if row and new and new.split != old.split:
                if row.split not in (old.split, new.split):
                    raise _conflict(f"Picture {old.key!r} has been moved to {row.split!r} meanwhile.")
                self.move(row, new.split)  # with those that came into the family meanwhile

    def write(self, parent: str | None) -> DatasetVersion:
        """Write the tables that change; return the record of the version. The caller holds a lease.

        Raises InvalidError where no picture is left.
        """
        changed = self.changed()
        counts, size = self._counts(changed)
        if not counts:
            raise InvalidError("The edit leaves no picture.", hint="Keep one at least.")
        for segment in self.record.segments:
            self._store.blobs.keep(segment.digest)
        self._store.packs.keep(self.record.packs)
        segments = rewrite_rows(
            self._store.blobs, self.record.segments, {old.digest: new for old, new in changed}
        )
        known = read_corrections(self._store, self.record)
        refused = self._refused(changed, known)
        record = self.record.model_copy(
            update={
                "parent": parent,
                "labels": tuple(sorted({name for labels in counts.values() for name in labels}, key=natural)),
                "splits": {split: dict(counts[split]) for split in ORDER if split in counts},
                "count": sum(labels.total() for labels in counts.values()),
                "segments": segments,
                "size": size,
                "refused": write_refused(self._store, refused),
                "refused_count": len(refused),
                "corrections": write_corrections(self._store, corrected_again(known, corrections(changed))),
            }
        )
        return record if record.count == self.record.count else self._without_empty_packs(record)

    def _counts(self, changed: Iterable[Changed]) -> tuple[dict[str, Counter[str]], int]:
        """Return how many pictures the splits and labels will have, and the bytes of all pictures."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for split, labels in self.record.splits.items():
            counts[split].update(labels)
        size = self.record.size
        for old, new in changed:
            counts[old.split][old.label] -= 1
            if new:
                counts[new.split][new.label] += 1
            else:
                size -= old.length
        return {split: +labels for split, labels in counts.items() if +labels}, size

    def _refused(self, changed: Iterable[Changed], known: Iterable[Correction]) -> list[Refused]:
        """Return the refused files of the version, and the dropped pictures as their source says them."""
        said = {item.digest: item.old for item in known if item.change == "label"}
        dropped = [
            Refused(key=old.key, reason=DROPPED, digest=old.digest, label=said.get(old.digest, old.label))
            for old, new in changed
            if new is None
        ]
        every = dict.fromkeys([*read_refused(self._store, self.record), *dropped])
        return sorted(every, key=lambda item: item.key)

    def _without_empty_packs(self, record: DatasetVersion) -> DatasetVersion:
        packs: set[str] = set()
        for table in open_rows(self._store, record).tables(["pack"]):
            packs.update(table.column("pack").unique().to_pylist())
        return record.model_copy(update={"packs": tuple(sorted(packs))})


def corrections(changed: Iterable[Changed]) -> list[Correction]:
    """Say of changed rows what was changed, each field by itself."""
    return [item for old, new in changed for item in _corrections(old, new)]


def _corrections(old: Row, new: Row | None) -> Iterator[Correction]:
    if new is None:
        yield Correction(digest=old.digest, key=old.key, change="dropped")
        return
    if new.label != old.label:
        yield Correction(digest=old.digest, key=old.key, change="label", old=old.label, new=new.label)
    if new.split != old.split:
        yield Correction(digest=old.digest, key=old.key, change="split", old=old.split, new=new.split)


def _conflict(message: str) -> ConflictError:
    return ConflictError(message, hint="Open the latest version, and repeat what should be done to it.")
