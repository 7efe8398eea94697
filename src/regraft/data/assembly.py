"""Assemble the next version of a dataset out of the version before and pictures that were checked."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import TypeAdapter

from regraft.data import splits
from regraft.data.corrections import DROPPED, corrected, read_corrections, write_corrections
from regraft.data.families import Family, Member, families, grouped
from regraft.data.measured import Measured
from regraft.data.sources.listing import Entry, natural
from regraft.data.splits import Unplaced
from regraft.errors import InvalidError
from regraft.progress import Progress
from regraft.records import Correction, DatasetVersion, Refused, Row, Segment, SplitRule
from regraft.store.opening import Store
from regraft.store.packs import Place
from regraft.store.rows import Rows
from regraft.store.tables import append_rows, rewrite_rows

#: What becomes of the version before: there must be none; its rows stay; its rows go, unless given again.
Mode = Literal["new", "append", "overwrite"]

REFUSED = TypeAdapter(tuple[Refused, ...])


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """A picture that was read and looked at, or the reason why it cannot be used."""

    entry: Entry
    digest: str = ""
    data: bytes = b""
    size: tuple[int, int] = (0, 0)
    #: None where the picture was not decoded.
    facts: npt.NDArray[np.void] | None = None
    reason: str = ""


class Assembly:
    """The rows of the next version, in one of three modes, upon one version before."""

    def __init__(
        self,
        store: Store,
        parent: DatasetVersion | None,
        before: Rows,
        rule: SplitRule,
        mode: Mode,
        progress: Progress,
    ) -> None:
        self._store = store
        self._parent = parent
        self._before = before
        self._mode = mode
        self._progress = progress
        made = parent.split_rule if parent else rule
        group_by = rule.group_by or made.group_by
        self._asked = group_by != (parent.split_rule.group_by if parent else "")
        #: Pictures of the version before that the new one does not have.
        self.gone = 0
        self._rule = made if made.fractions else rule.model_copy(update={"group_by": group_by})

    def manifest(
        self,
        kept: Sequence[Checked],
        refused: Sequence[Refused],
        places: Mapping[str, Place | Row],
        parent: str | None,
    ) -> tuple[DatasetVersion, list[Refused]]:
        """Write the row tables; return the record of the version, and the files that could not be used."""
        old = self._old(kept)
        kept = self._grouped(kept)
        kept, dropped, corrections = self._corrected(kept, old)
        more, new = self._without_clashes(kept, old) if self._mode == "append" else ([], list(kept))
        stay = (
            []
            if self._mode == "append"
            else [_renewed(item, old, places) for item in new if item.digest in old]
        )
        new = [item for item in new if item.digest not in old]
        moved = {item.digest: item.new for item in corrections if item.change == "split"}
        placed, lost = self._placed(new, places, stay, moved)
        refused = sorted([*refused, *dropped, *more, *lost], key=lambda item: item.key)
        here = self._parent if self._mode == "append" else None
        if here is None:
            rows = [*stay, *placed]
            now = {row.digest: row for row in stay}
            changes = {name: now.get(name) for name, row in old.items() if now.get(name) != row}
            segments = rewrite_rows(self._store.blobs, self._before.segments, changes)
            self.gone = len(old) - len(stay)
            listed = refused
        else:
            rows = placed
            segments = here.segments
            since = {row.digest for row in placed} | {row.key for row in placed}
            still = [item for item in read_refused(self._store, here) if not {item.digest, item.key} & since]
            listed = sorted(dict.fromkeys([*still, *refused]), key=lambda item: item.key)
        given = all(item.entry.split for item in kept) and not (here and here.split_rule.fractions)
        packs = {row.pack for row in rows} | set(here.packs if here else ())
        self._store.packs.keep(packs)
        return (
            describe(
                rows,
                upon=here,
                parent=parent,
                rule=SplitRule(fractions={}, seed=0, group_by=self._rule.group_by) if given else self._rule,
                segments=append_rows(self._store.blobs, segments, placed),
                refused=write_refused(self._store, listed),
                refused_count=len(listed),
                corrections=write_corrections(self._store, corrections),
            ),
            refused,
        )

    def _grouped(self, kept: Sequence[Checked]) -> list[Checked]:
        """Give each picture the group that the rule finds; what the source says comes first."""
        members = [_member(item) for item in kept]
        groups = grouped(members, self._rule.group_by, old_times=self._old_times, asked=self._asked)
        return [
            replace(item, entry=replace(item.entry, group=group))
            for item, group in zip(kept, groups, strict=True)
        ]

    def _old(self, kept: Iterable[Checked]) -> dict[str, Row]:
        """Return the rows before, by digest: all of them in order, or those that are met again."""
        if self._mode == "append":
            return {row.digest: row for row in self._before.find("digest", (item.digest for item in kept))}
        return {row.digest: row for row in self._before}

    def _corrected(
        self, kept: Sequence[Checked], old: Mapping[str, Row]
    ) -> tuple[list[Checked], list[Refused], list[Correction]]:
        """Apply what was changed by hand; return what is kept, what is dropped, and what still holds."""
        known = read_corrections(self._store, self._parent)
        if not known:
            return list(kept), [], []
        entries = {item.digest: item.entry for item in kept}
        changed, hold = corrected(entries, known, settled=old if self._mode == "append" else ())
        now = {**entries, **changed}
        stay = [replace(item, entry=entry) for item in kept if (entry := now[item.digest])]
        dropped = [refuse(item, DROPPED) for item in kept if now[item.digest] is None]
        if dropped and not stay and self._mode != "append":
            raise InvalidError(
                "Every picture of the source was dropped by hand.", hint="Add them under another name."
            )
        return stay, dropped, hold

    def _without_clashes(
        self, kept: Sequence[Checked], old: Mapping[str, Row]
    ) -> tuple[list[Refused], list[Checked]]:
        """Refuse what the rows that stay do not allow beside them; leave out what is there already.

        A picture whose name another one has is called by its content too.
        """
        names = {row.key for row in self._before.find("key", (item.entry.key for item in kept))}
        refused, new = [], []
        for item in kept:
            if row := old.get(item.digest):
                if row.label != item.entry.label:
                    refused.append(refuse(item, f"the same picture is labelled {row.label!r} as {row.key!r}"))
                elif row.key not in (item.entry.key, _longer(item)):
                    refused.append(refuse(item, f"the same picture as {row.key!r}"))
            elif item.entry.key in names:
                new.append(replace(item, entry=replace(item.entry, key=_longer(item))))
            else:
                new.append(item)
        return refused, new

    def _standing(self, stay: Iterable[Row]) -> dict[str, Counter[str]]:
        """Count the pictures that have their split already, by label and split."""
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        if self._mode == "append" and self._parent:
            for split, labels in self._parent.splits.items():
                for label, count in labels.items():
                    counts[label][split] = count
        for row in stay:
            counts[row.label][row.split] += 1
        return counts

    def _placed(
        self,
        new: Sequence[Checked],
        places: Mapping[str, Place | Row],
        stay: Sequence[Row],
        moved: Mapping[str, str],
    ) -> tuple[list[Row], list[Refused]]:
        """Give every new picture its split and its group; refuse what would stand on two sides.

        `moved` tells where pictures without a split stood when they were moved by hand.
        """
        standing = self._standing(stay)
        found = self._families(new, {row.digest: row for row in stay})
        chosen: dict[int, str] = {}
        names: dict[int, str] = {}
        open_: list[Unplaced] = []
        refused = []
        for number, family in enumerate(found):
            sides = {row.split: row.key for row in family.old}
            given = {n: new[n].entry.split for n in family.members if new[n].entry.split}
            sides |= {split: new[n].entry.key for n, split in given.items()}
            wishes = [new[n] for n in family.members if new[n].digest in moved]
            sides = sides or {moved[item.digest]: item.entry.key for item in wishes[:1]}
            for n in family.members:
                item = new[n]
                # what the source parts stays apart, however much it looks alike
                names[n] = item.entry.group or ("" if n in given and len(sides) > 1 else family.name)
                if n in given or len(sides) == 1:
                    chosen[n] = given.get(n) or next(iter(sides))
                    standing[item.entry.label][chosen[n]] += 1
                elif sides:
                    words = " and ".join(f"{key!r} in {split!r}" for split, key in sorted(sides.items()))
                    refused.append(refuse(item, f"belongs with {words}: it would stand on both sides"))
                else:
                    open_.append(Unplaced(digest=item.digest, label=item.entry.label, family=str(number)))
        assigned = splits.assign(open_, self._rule.fractions, seed=self._rule.seed, standing=standing)
        rows = [
            _row(item, places[item.digest], split, names[n])
            for n, item in enumerate(new)
            if (split := chosen.get(n) or assigned.get(item.digest))
        ]
        return rows, refused

    def _families(self, new: Sequence[Checked], renewed: Mapping[str, Row]) -> list[Family]:
        if all(item.entry.split for item in new):  # the source decides; the doctor names what it parts
            return [Family(members=[n]) for n in range(len(new))]
        measured = Measured(self._store, self._before, self._progress)
        return families(
            [_member(item) for item in new],
            alike=self._rule.similar,
            old_of_group=lambda names: self._of_families(names, renewed),
            old_alike=lambda thumbs: ((n, renewed.get(row.digest, row)) for n, row in measured.alike(thumbs)),
        )

    def _of_families(self, names: set[str], renewed: Mapping[str, Row]) -> Iterator[Row]:
        """Yield the old rows of some families, as the source now says them."""
        yield from (row for row in renewed.values() if row.family in names)
        yield from (row for row in self._before.find("family", names) if row.digest not in renewed)

    def _old_times(self) -> Iterator[tuple[int, str]]:
        """Yield when each old picture was taken, and its family."""
        facts = Measured(self._store, self._before, self._progress).facts()
        for row, seen in zip(self._before, facts, strict=True):
            yield int(seen["taken"]), row.family


def describe(
    rows: Iterable[Row],
    *,
    upon: DatasetVersion | None,
    parent: str | None,
    rule: SplitRule,
    segments: tuple[Segment, ...],
    refused: str | None,
    refused_count: int,
    corrections: str | None,
) -> DatasetVersion:
    """Make the record of a version out of all its rows, or of those that come upon another version's."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for split, labels in upon.splits.items() if upon else ():
        counts[split].update(labels)
    packs = set(upon.packs if upon else ())
    size, count = (upon.size, upon.count) if upon else (0, 0)
    for row in rows:
        counts[row.split][row.label] += 1
        packs.add(row.pack)
        size += row.length
        count += 1
    known = {label for names in counts.values() for label in names}
    return DatasetVersion(
        parent=parent,
        labels=tuple(sorted(known, key=natural)),
        splits={split: dict(counts[split]) for split in splits.ORDER if split in counts},
        split_rule=rule,
        count=count,
        segments=segments,
        packs=tuple(sorted(packs)),
        size=size,
        refused=refused,
        refused_count=refused_count,
        corrections=corrections,
    )


def open_rows(store: Store, record: DatasetVersion | None) -> Rows:
    """Return the rows of a version; none of no version."""
    return Rows(store.blobs, record.segments if record else (), store.cache)


def write_refused(store: Store, refused: Sequence[Refused]) -> str | None:
    """Store the list of files that a version could not use; return its digest."""
    return store.blobs.put(REFUSED.dump_json(tuple(refused), indent=2)) if refused else None


def refuse(item: Checked, reason: str) -> Refused:
    """Say of a file why it cannot be used."""
    return Refused(key=item.entry.key, reason=reason, digest=item.digest, label=item.entry.label)


def read_refused(store: Store, record: DatasetVersion) -> tuple[Refused, ...]:
    """Return the files that a version could not use."""
    return REFUSED.validate_json(store.blobs.get(record.refused)) if record.refused else ()


def _longer(item: Checked) -> str:
    """Return the name of a picture whose own name another one has: with a part of its digest in it."""
    stem, dot, suffix = item.entry.key.rpartition(".")
    name = item.digest[:12]
    return f"{stem}-{name}.{suffix}" if dot and "/" not in suffix else f"{item.entry.key}-{name}"


def _member(item: Checked) -> Member:
    return Member(
        key=item.entry.key,
        digest=item.digest,
        group=item.entry.group,
        metadata=item.entry.metadata,
        facts=item.facts,
    )


def _renewed(item: Checked, old: Mapping[str, Row], places: Mapping[str, Place | Row]) -> Row:
    """Return the row of a picture that the version before has: it keeps its split and its family."""
    row, entry = old[item.digest], item.entry
    place = places.get(item.digest, row)
    return replace(
        row,
        key=entry.key,
        pack=place.pack,
        offset=place.offset,
        length=place.length,
        label=entry.label,
        split=entry.split or row.split,
        group=entry.group or row.group,
        metadata=entry.metadata,
    )


def _row(item: Checked, place: Place | Row, split: str, group: str) -> Row:
    return Row(
        key=item.entry.key,
        digest=item.digest,
        pack=place.pack,
        offset=place.offset,
        length=place.length,
        label=item.entry.label,
        split=split,
        group=group,
        width=item.size[0],
        height=item.size[1],
        metadata=item.entry.metadata,
    )
