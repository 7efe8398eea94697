"""A plain model of what a store must show: dictionaries, and what the docs promise, written down again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tests.faults import pool

from regraft.records import Row

#: What was corrected by hand: by digest and what was changed, what the source said and what holds.
Corrections = Mapping[tuple[str, str], tuple[str, str]]
REFUSED = "refused"


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a source says of a picture."""

    picture: pool.Drawn
    label: str
    key: str
    split: str = ""
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A version."""

    digest: str
    parent: str | None
    #: In stored order, by digest.
    rows: Mapping[str, Row]
    corrections: Corrections
    #: Key and digest of each file that could not be used.
    refused: frozenset[tuple[str, str]]
    #: Whether a source ever gave a split, or another group to an old picture: that may tear families apart.
    torn: bool


@dataclass(kw_only=True)
class Shelf:
    """What a store must show."""

    versions: dict[str, dict[int, Made]] = field(default_factory=lambda: defaultdict(dict))
    hidden: set[tuple[str, int]] = field(default_factory=set)
    tags: dict[tuple[str, str], int] = field(default_factory=dict)

    def shown(self, name: str) -> dict[int, Made]:
        """Return the visible versions of a name in order."""
        return {n: made for n, made in sorted(self.versions[name].items()) if (name, n) not in self.hidden}

    def every(self) -> Iterator[tuple[str, int, Made]]:
        """Yield all visible versions."""
        for name in sorted(self.versions):
            for number, made in self.shown(name).items():
                yield name, number, made

    def latest(self, name: str) -> Made | None:
        """Return the visible version with the highest number."""
        return next(reversed(self.shown(name).values()), None)

    def seen(self, digest: str | None) -> Made | None:
        """Return a visible version by its digest."""
        return next((made for _, _, made in self.every() if made.digest == digest), None)

    def publish(self, name: str, made: Made) -> int:
        """Give a new version its number, which is never given again."""
        number = max(self.versions[name], default=0) + 1
        self.versions[name][number] = made
        return number

    def adopt(self, name: str, number: int, made: Made) -> int:
        """Take a version of another store in; one that is here is shown."""
        for known, here in self.versions[name].items():
            if here.digest == made.digest:
                self.hidden.discard((name, known))
                return known
        number = max(self.versions[name]) + 1 if number in self.versions[name] else number
        self.versions[name][number] = made
        return number


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a version must hold that is made of a source."""

    #: Old rows, as they must be; the places of pictures whose pack is gone may be others.
    stay: Mapping[str, Row]
    #: New pictures in order, and the split of each: a name, or a number that stands for one free choice.
    new: Mapping[str, tuple[Given, str | int]]
    #: Key and digest of what is refused: for certain.
    refused: frozenset[tuple[str, str]]
    corrections: Corrections
    torn: bool
    #: Whether the source has no picture that can be used, and whether nothing can be made of it.
    none: bool = False
    empty: bool = False


def plan(before: Made | None, entries: Sequence[Given], mode: str) -> Plan:
    """Say what becomes of a source upon a version before."""
    old = before.rows if before else {}
    append = mode == "append"
    kept, refused = _unequal(entries)
    none = empty = not kept and not append
    kept, dropped, corrections = _corrected(kept, before.corrections if before else {}, old if append else {})
    refused |= dropped
    empty |= bool(dropped) and not kept and not append
    names = {row.key for row in old.values()}
    new, stay = {}, dict(old) if append else {}
    for item in kept:
        digest = item.picture.digest
        if digest not in old:
            new[digest] = replace(item, key=longer(item)) if append and item.key in names else item
        elif append:
            if old[digest].label != item.label or old[digest].key not in (item.key, longer(item)):
                refused.add((item.key, digest))
        else:
            stay[digest] = replace(
                old[digest],
                key=item.key,
                label=item.label,
                split=item.split or old[digest].split,
                group=item.group or old[digest].group,
            )
    stay = {digest: stay[digest] for digest in old if digest in stay}
    moved = {digest: now for (digest, change), (_, now) in corrections.items() if change == "split"}
    splits = _splits(new, {**old, **stay}, moved)
    refused |= {(item.key, digest) for digest, item in new.items() if splits[digest] == REFUSED}
    placed = {digest: (item, splits[digest]) for digest, item in new.items() if splits[digest] != REFUSED}
    if append and before:
        since = {*placed, *(item.key for item, _ in placed.values())}
        refused |= {(key, digest) for key, digest in before.refused if not {key, digest} & since}
    return Plan(
        stay=stay,
        new=placed,
        refused=frozenset(refused),
        corrections=corrections,
        torn=bool(before and before.torn)
        or any(item.split for item in entries)
        or any(old[digest].group != row.group for digest, row in stay.items()),
        none=none,
        empty=empty or not (stay or placed),
    )


def longer(item: Given) -> str:
    """Return the name of a picture whose own name another one has."""
    stem, dot, suffix = item.key.rpartition(".")
    name = item.picture.digest[:12]
    return f"{stem}-{name}.{suffix}" if dot and "/" not in suffix else f"{item.key}-{name}"


def _unequal(entries: Sequence[Given]) -> tuple[list[Given], set[tuple[str, str]]]:
    """Leave out what is no picture, and all but one of equal pictures, or all where their labels differ."""
    equal: dict[str, list[Given]] = defaultdict(list)
    refused = set()
    for item in entries:
        if item.picture == pool.broken():
            refused.add((item.key, item.picture.digest))
        else:
            equal[item.picture.digest].append(item)
    kept = []
    for copies in equal.values():
        held_out = [item for item in copies if item.split in ("val", "test")]
        one = None if len({item.label for item in copies}) > 1 else (held_out or copies)[0]
        refused |= {(item.key, item.picture.digest) for item in copies if item is not one}
        kept += [one] if one else []
    return kept, refused


def _corrected(
    kept: Iterable[Given], known: Corrections, settled: Mapping[str, Row]
) -> tuple[list[Given], set[tuple[str, str]], Corrections]:
    """Let what was changed by hand hold, unless the source says a third thing or what was corrected."""
    now = {item.picture.digest: item for item in kept}
    dropped: set[tuple[str, str]] = set()
    hold = dict(known)
    for (digest, change), (old, new) in known.items():
        item = now.get(digest)
        if item is None:
            continue
        if change == "dropped":
            dropped.add((item.key, digest))
            del now[digest]
        elif change == "label" and item.label == old:
            now[digest] = replace(item, label=new)
        elif change == "split" and item.split in (old, ""):
            now[digest] = replace(item, split=item.split and new)
        elif digest not in settled:
            del hold[digest, change]
    return list(now.values()), dropped, hold


def _splits(
    new: Mapping[str, Given], old: Mapping[str, Row], moved: Mapping[str, str]
) -> dict[str, str | int]:
    """Say where each new picture goes: with its family, where that stands; a number is a free choice."""
    if all(item.split for item in new.values()):
        return {digest: item.split for digest, item in new.items()}
    looks = pool.looks()
    result: dict[str, str | int] = {}
    for number, members in enumerate(_joined(new)):
        groups = {new[digest].group for digest in members} - {""}
        motifs = {looks[digest] for digest in members}
        sides = {row.split for row in old.values() if row.family in groups or looks[row.digest] in motifs}
        sides |= {new[digest].split for digest in members} - {""}
        wishes = [moved[digest] for digest in members if digest in moved]
        sides = sides or set(wishes[:1])
        for digest in members:
            free: str | int = next(iter(sides)) if len(sides) == 1 else REFUSED if sides else number
            result[digest] = new[digest].split or free
    return result


def _joined(new: Mapping[str, Given]) -> list[list[str]]:
    """Return who belongs together by group or looks, in order."""
    looks = pool.looks()
    clusters: list[list[str]] = []
    for digest, item in new.items():
        near = [
            cluster
            for cluster in clusters
            if any(
                looks[other] == looks[digest] or (item.group and new[other].group == item.group)
                for other in cluster
            )
        ]
        joined = [other for other in new if any(other in cluster for cluster in near)] + [digest]
        clusters = [cluster for cluster in clusters if cluster not in near] + [joined]
    return clusters


def edited(
    rows: Mapping[str, Row], base: Made, now: Mapping[str, Row]
) -> tuple[Corrections, frozenset[tuple[str, str]]]:
    """Return the corrections and the refused files of rows of a version that were changed by hand."""
    corrections = dict(base.corrections)
    refused = set(base.refused)
    for digest, row in rows.items():
        if digest not in now:
            for change in ("label", "split"):
                corrections.pop((digest, change), None)
            corrections[digest, "dropped"] = ("", "")
            refused.add((row.key, digest))
            continue
        for change in ("label", "split"):
            was, new = getattr(row, change), getattr(now[digest], change)
            if was != new:
                first, _ = corrections.pop((digest, change), (was, new))
                if first != new:
                    corrections[digest, change] = (first, new)
    return corrections, frozenset(refused)


def diff(old: Made, new: Made) -> dict[str, set[tuple[str, ...]]]:
    """Say what differs between two versions, in the parts that a diff has."""
    both = [(old.rows[digest], new.rows[digest]) for digest in old.rows.keys() & new.rows.keys()]
    fields = {
        "relabelled": "label",
        "moved": "split",
        "renamed": "key",
        "regrouped": "group",
        "metadata": "metadata",
    }
    return {
        "added": {
            (row.key, row.digest, row.label, row.split)
            for row in new.rows.values()
            if row.digest not in old.rows
        },
        "removed": {
            (row.key, row.digest, row.label, row.split)
            for row in old.rows.values()
            if row.digest not in new.rows
        },
        **{
            part: {
                (new.key, new.digest, getattr(old, name), getattr(new, name))
                for old, new in both
                if getattr(old, name) != getattr(new, name)
            }
            for part, name in fields.items()
        },
    }
