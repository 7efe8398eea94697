"""Chance as a function: numbers that follow from the seed, the epoch and the picture, and from nothing else.

There is no generator whose state could depend on workers, on the order of work, or on where a run was
resumed: a number is a hash (the finaliser of SplitMix64) of what it belongs to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from hashlib import sha256
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

#: Which pictures chance is drawn for: one number each, of which no two are equal.
Identities: TypeAlias = npt.NDArray[np.uint64]
Floats: TypeAlias = npt.NDArray[np.float64]

#: The golden ratio in 64 bits: the stride of SplitMix64.
_STRIDE = np.uint64(0x9E3779B97F4A7C15)


def identities(digests: Sequence[str]) -> Identities:
    """Return what tells pictures apart; of equal ones each has an identity of its own, in order."""
    seen: Counter[str] = Counter()
    turns = np.empty(len(digests), dtype=np.uint64)
    for place, digest in enumerate(digests):
        turns[place] = seen[digest]
        seen[digest] += 1
    heads = np.array([int(digest[:16], 16) for digest in digests], dtype=np.uint64)
    return again(_mixed(heads), turns)


def again(pictures: Identities, turns: npt.NDArray[np.uint64]) -> Identities:
    """Return the identities of pictures that come once more; turn 0 leaves one as it is."""
    return np.where(turns == 0, pictures, _mixed(pictures + turns * _STRIDE))


def draws(seed: int, epoch: int, pictures: Identities, count: int, *, stream: int = 0) -> Floats:
    """Return `count` numbers in [0, 1) for each picture: [n, count].

    Another stream gives other numbers for the same seed, epoch and picture.
    """
    key = halves(f"draw:{seed}:{epoch}:{stream}")[:2].view(np.uint64)
    own = _mixed(pictures ^ key)
    steps = np.arange(1, count + 1, dtype=np.uint64) * _STRIDE
    return (_mixed(own[:, None] + steps) >> np.uint64(11)).astype(np.float64) * 2.0**-53


class Chance:
    """The numbers of some pictures in one epoch, a few at a time: what is taken twice is never the same."""

    def __init__(self, seed: int, epoch: int, pictures: Identities, *, stream: int = 0) -> None:
        self._seed = seed
        self._epoch = epoch
        self._pictures = pictures
        self._stream = stream
        self._taken = 0

    def __len__(self) -> int:
        return len(self._pictures)

    def take(self, count: int) -> Floats:
        """Return the next `count` numbers in [0, 1) of each picture: [n, count]."""
        stream = self._stream * 2**32 + self._taken
        self._taken += 1
        return draws(self._seed, self._epoch, self._pictures, count, stream=stream)

    def words(self) -> list[str]:
        """Return what to seed a generator of each picture with, where a library insists on one."""
        self._taken += 1
        place = f"{self._seed}:{self._epoch}:{self._stream}:{self._taken}"
        return [f"{place}:{picture}" for picture in self._pictures]


def generator(words: str) -> np.random.RandomState:
    """Return the one generator of numpy whose numbers are promised never to change, seeded by some words."""
    return np.random.RandomState(halves(words))


def halves(words: str) -> npt.NDArray[np.uint32]:
    """Return eight 32-bit numbers that follow from some words."""
    return np.frombuffer(sha256(words.encode()).digest(), dtype="<u4").astype(np.uint32)


def _mixed(values: Identities) -> Identities:
    """Return a bijection of 64-bit numbers that leaves no pattern."""
    values = (values + _STRIDE).astype(np.uint64)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
