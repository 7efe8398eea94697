"""Splits: seeded, stratified and sticky, so that adding pictures never moves the old ones."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from hashlib import sha256

#: In the order in which a class of one, two, three pictures fills them.
ORDER = ("train", "test", "val")


def assign(
    pictures: Iterable[tuple[str, str]], fractions: Mapping[str, float], *, seed: int, old: Mapping[str, str]
) -> dict[str, str]:
    """Return the split of every picture by digest.

    `pictures` are (digest, label); `old` are the splits that stand already and that stay. A new picture
    goes where its class lacks most, in an order that depends on its content and the seed alone. Every
    class of three or more pictures is in every split whose fraction is above zero.
    """
    splits = [split for split in ORDER if fractions.get(split, 0) > 0]
    classes: dict[str, list[str]] = defaultdict(list)
    for digest, label in pictures:
        classes[label].append(digest)
    result: dict[str, str] = {}
    for digests in classes.values():
        have = Counter(old[digest] for digest in digests if digest in old)
        result.update({digest: old[digest] for digest in digests if digest in old})
        targets = _targets(len(digests), fractions, splits)
        for digest in sorted((d for d in digests if d not in old), key=lambda d: _rank(d, seed)):
            empty = [split for split in splits if targets[split] and not have[split]]
            split = empty[0] if empty else max(splits, key=lambda s: targets[s] - have[s])
            have[split] += 1
            result[digest] = split
    return result


def _targets(count: int, fractions: Mapping[str, float], splits: list[str]) -> dict[str, int]:
    targets = {split: int(index < count) for index, split in enumerate(splits)}
    for split in splits[1:]:
        if count >= len(splits):
            targets[split] = max(1, round(count * fractions[split]))
    targets[splits[0]] = max(targets[splits[0]], count - sum(targets[split] for split in splits[1:]))
    return targets


def _rank(digest: str, seed: int) -> str:
    return sha256(f"{seed}:{digest}".encode()).hexdigest()
