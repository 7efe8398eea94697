"""Splits: seeded, stratified and sticky, so that adding pictures never moves the old ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

#: In the order in which a class of one, two, three pictures fills them.
ORDER = ("train", "test", "val")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unplaced:
    """A picture that has no split yet."""

    digest: str
    label: str
    #: Pictures of one family go to one split.
    family: str


def assign(
    pictures: Iterable[Unplaced],
    fractions: Mapping[str, float],
    *,
    seed: int,
    standing: Mapping[str, Mapping[str, int]],
) -> dict[str, str]:
    """Return the split of every picture by digest.

    `standing` counts, by label and split, the pictures that have a split already and keep it. A new family
    goes where its class lacks most, in an order that depends on its content and the seed alone. Every class
    of three or more families is in every split whose fraction is above zero.
    """
    splits = [split for split in ORDER if fractions.get(split, 0) > 0]
    families: dict[str, list[Unplaced]] = defaultdict(list)
    for picture in pictures:
        families[picture.family].append(picture)
    have = {label: Counter(counts) for label, counts in standing.items()}
    new = Counter(picture.label for members in families.values() for picture in members)
    targets = {}
    for label in new:
        have.setdefault(label, Counter())
        targets[label] = _targets(have[label].total() + new[label], fractions, splits)
    result: dict[str, str] = {}
    # large families first, since small ones even out what they leave
    for members in sorted(families.values(), key=lambda members: (-len(members), _rank(members, seed))):
        counts = Counter(picture.label for picture in members)
        label = min(counts, key=lambda name: (-counts[name], name))
        target, there = targets[label], have[label]
        empty = [split for split in splits if target[split] and not there[split]]
        split = empty[0] if empty else max(splits, key=lambda s: target[s] - there[s])
        for picture in members:
            have[picture.label][split] += 1
            result[picture.digest] = split
    return result


def folds(pictures: Iterable[Unplaced], k: int, *, seed: int) -> dict[str, int]:
    """Return the fold, from 0 to k - 1, of every picture by digest: stratified, families kept together."""
    families: dict[str, list[Unplaced]] = defaultdict(list)
    for picture in pictures:
        families[picture.family].append(picture)
    have: dict[str, Counter[int]] = defaultdict(Counter)
    sizes: Counter[int] = Counter()
    result: dict[str, int] = {}
    for members in sorted(families.values(), key=lambda members: (-len(members), _rank(members, seed))):
        label = members[0].label
        fold = min(range(k), key=lambda number: (have[label][number], sizes[number], number))
        for picture in members:
            have[picture.label][fold] += 1
            sizes[fold] += 1
            result[picture.digest] = fold
    return result


def _targets(count: int, fractions: Mapping[str, float], splits: list[str]) -> dict[str, int]:
    targets = {split: int(index < count) for index, split in enumerate(splits)}
    for split in splits[1:]:
        if count >= len(splits):
            targets[split] = max(1, round(count * fractions[split]))
    targets[splits[0]] = max(targets[splits[0]], count - sum(targets[split] for split in splits[1:]))
    return targets


def _rank(members: Iterable[Unplaced], seed: int) -> str:
    return min(sha256(f"{seed}:{picture.digest}".encode()).hexdigest() for picture in members)
