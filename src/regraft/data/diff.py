"""What differs between two versions of a dataset, picture by picture; a picture is known by its content."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from regraft.data.sources.listing import natural
from regraft.records import DatasetVersion
from regraft.store.opening import Store
from regraft.store.tables import read_table

_PARTS = ("added", "removed", "relabelled", "moved", "renamed", "regrouped", "metadata")


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """A picture that one of two versions has."""

    key: str
    digest: str
    label: str
    split: str

    def __str__(self) -> str:
        """Write the picture in a line."""
        return f"{self.key} ({self.label}, {self.split})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Changed:
    """A picture that both versions have, and one field of it that differs."""

    #: As the newer version calls it.
    key: str
    digest: str
    old: str
    new: str

    def __str__(self) -> str:
        """Write the change in a line."""
        return (
            f"{self.old} -> {self.new}"
            if self.key == self.new
            else f"{self.key}: {self.old!r} -> {self.new!r}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassChange:
    """A class whose pictures are not the same in both versions."""

    label: str
    #: How many pictures it has in either version.
    old: int
    new: int
    added: int
    removed: int
    #: By relabelling.
    gained: int
    lost: int

    def __str__(self) -> str:
        """Write the change in a line."""
        said = {
            "added": self.added,
            "removed": self.removed,
            "relabelled to it": self.gained,
            "relabelled from it": self.lost,
        }
        why = ", ".join(f"{count} {words}" for words, count in said.items() if count)
        return f"{self.label}: {self.old} -> {self.new} ({why})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Diff:
    """What differs between two versions: each part in the order of the keys."""

    added: tuple[Picture, ...]
    removed: tuple[Picture, ...]
    #: Label, split, key, group and metadata (as JSON objects) of pictures that both versions have.
    relabelled: tuple[Changed, ...]
    moved: tuple[Changed, ...]
    renamed: tuple[Changed, ...]
    regrouped: tuple[Changed, ...]
    metadata: tuple[Changed, ...]
    #: The classes that got or lost pictures, in the order of their names.
    classes: tuple[ClassChange, ...]

    @property
    def parts(self) -> dict[str, tuple[Picture, ...] | tuple[Changed, ...]]:
        """The parts that name pictures, by name."""
        return {name: getattr(self, name) for name in _PARTS}

    @property
    def counts(self) -> dict[str, int]:
        """The number of pictures in each part."""
        return {name: len(part) for name, part in self.parts.items()}

    @property
    def empty(self) -> bool:
        """Whether both versions have the same pictures, and say the same of each."""
        return not any(self.counts.values())


def compare(store: Store, old: DatasetVersion, new: DatasetVersion) -> Diff:
    """Return what differs between two versions; segments that both have are not read."""
    before, after = _differing(store, old, new), _differing(store, new, old)
    # pictures that are the same go before anything is made of them
    gone = {row.digest: row for row in map(_Seen._make, before - after)}
    come = {row.digest: row for row in map(_Seen._make, after - before)}
    both = [(row, come[digest]) for digest, row in gone.items() if digest in come]
    added = [row for digest, row in come.items() if digest not in gone]
    removed = [row for digest, row in gone.items() if digest not in come]
    return Diff(
        added=_pictures(added),
        removed=_pictures(removed),
        relabelled=_changed("label", both),
        moved=_changed("split", both),
        renamed=_changed("key", both),
        regrouped=_changed("group", both),
        metadata=_changed("metadata", both),
        classes=_classes(old, new, added, removed, both),
    )


class _Seen(NamedTuple):
    """What is compared of a row."""

    digest: str
    key: str
    label: str
    split: str
    group: str
    metadata: str


def _differing(store: Store, version: DatasetVersion, other: DatasetVersion) -> set[tuple[str, ...]]:
    """Read the rows of the segments that the other version has not."""
    shared = {segment.digest for segment in other.segments}
    rows: set[tuple[str, ...]] = set()
    for segment in version.segments:
        if segment.digest not in shared:
            table = read_table(store.blobs, segment, _Seen._fields)
            rows.update(zip(*(table.column(name).to_pylist() for name in _Seen._fields), strict=True))
    return rows


def _pictures(rows: Iterable[_Seen]) -> tuple[Picture, ...]:
    ordered = sorted(rows, key=lambda row: natural(row.key))
    return tuple(Picture(key=row.key, digest=row.digest, label=row.label, split=row.split) for row in ordered)


def _changed(field: str, both: Iterable[tuple[_Seen, _Seen]]) -> tuple[Changed, ...]:
    found = [
        Changed(key=new.key, digest=new.digest, old=getattr(old, field), new=getattr(new, field))
        for old, new in both
        if getattr(old, field) != getattr(new, field)
    ]
    return tuple(sorted(found, key=lambda item: natural(item.key)))


def _classes(
    old: DatasetVersion,
    new: DatasetVersion,
    added: Iterable[_Seen],
    removed: Iterable[_Seen],
    both: Iterable[tuple[_Seen, _Seen]],
) -> tuple[ClassChange, ...]:
    come, gone = Counter(row.label for row in added), Counter(row.label for row in removed)
    relabelled = [(one.label, other.label) for one, other in both if one.label != other.label]
    lost, gained = Counter(label for label, _ in relabelled), Counter(label for _, label in relabelled)
    before, after = _sizes(old), _sizes(new)
    return tuple(
        ClassChange(
            label=label,
            old=before[label],
            new=after[label],
            added=come[label],
            removed=gone[label],
            gained=gained[label],
            lost=lost[label],
        )
        for label in sorted(come.keys() | gone.keys() | lost.keys() | gained.keys(), key=natural)
    )


def _sizes(version: DatasetVersion) -> Counter[str]:
    sizes: Counter[str] = Counter()
    for labels in version.splits.values():
        sizes.update(labels)
    return sizes
