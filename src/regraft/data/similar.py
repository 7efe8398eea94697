"""Which pictures look alike: the same photograph compressed, scaled, turned, mirrored or brightened anew.

A thumb becomes coefficients of a cosine transform, each weighed with its frequency, so that fine structure
counts as much as coarse: two objects on white paper then differ, however white the paper is. The eight turns
and mirror images of a picture only swap its coefficients and change their signs. Candidates come from
locality-sensitive hashing (random hyperplanes in bands); a candidate is then tested exactly. The fewer
details two pictures have, the closer they must be: handwritten ones look much the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from regraft.data.facts import THUMB

Thumbs: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]

#: Tokens of a picture. Two pictures with one token in common are worth a test.
BANDS = 16
#: Hyperplanes of a band: a token says on which side of each a picture lies.
BITS = 20
#: Pictures that look alike correlate so much, however many details they have ...
CLOSEST = 0.96
#: ... and so much more where they have few that chance makes a pair like them once in e ** 18.
SURPRISE = 18.0
#: Thumbs that vary less, in grey values, say too little: they are alike only where they are equal.
FLAT = 2.0
#: Tints of a picture and its copies differ by so much at most.
TINT = 0.05
#: Of very many pictures with one token, each is tested with so many of the next.
NEXT = 64

#: Rows that are worked on at once, which bounds the memory.
_CHUNK = 8192


def tokens(thumbs: Thumbs) -> NDArray[np.uint64]:
    """Return the tokens of each picture as it is: [n, BANDS], of which no two bands share one."""
    return _tokens(_coefficients(thumbs), thumbs)


def query_tokens(thumbs: Thumbs) -> NDArray[np.uint64]:
    """Return the tokens of the eight turns and mirror images of each picture: [n, 8, BANDS].

    A picture looks like another one only if a token of any of its turns is among the other one's `tokens`.
    """
    coefficients = _coefficients(thumbs)
    return np.stack([_tokens(_turned(coefficients, turn), thumbs) for turn in range(len(_TURNS))], axis=1)


def alike(left: Thumbs, right: Thumbs) -> NDArray[np.bool_]:
    """Tell of pairs of pictures, the first with the first, whether they look alike in any turn: [n].

    A single picture on one side is paired with each on the other.
    """
    one, other = _coefficients(left), _coefficients(right)
    turns = (_turned(one, turn) for turn in range(len(_TURNS)))
    closeness = np.max([np.einsum("pf,pf->p", turned, other) for turned in turns], axis=0)
    equal = (left == right).all(axis=(1, 2))
    return np.asarray(equal | _close(closeness, np.minimum(_details(one), _details(other))), np.bool_)


def same_tint(left: Floats, right: Floats) -> NDArray[np.bool_]:
    """Tell of pairs of tints [n, 2] whether they are those of one picture; thumbs know no colour."""
    return np.asarray(np.abs(left - right).max(axis=-1) <= TINT, np.bool_)


def near(facts: NDArray[np.void]) -> NDArray[np.int32]:
    """Return all pairs of pictures that look alike and have one tint, of their `FACTS`: [k, 2]."""
    found = pairs(facts["thumb"])
    return found[same_tint(facts["tint"][found[:, 0]], facts["tint"][found[:, 1]])]


def pairs(thumbs: Thumbs) -> NDArray[np.int32]:
    """Return all pairs of pictures that look alike, the smaller index first, in order: [k, 2].

    Of hundreds that all look alike not every pair is named, but each stands in some.
    """
    count = len(thumbs)
    if count < 2:
        return np.empty((0, 2), np.int32)
    coefficients = _coefficients(thumbs)
    details = _details(coefficients)
    index = [_sorted(band) for band in _tokens(coefficients, thumbs).T]
    codes = np.empty(0, np.int64)
    for turn in range(len(_TURNS)):
        turned = _turned(coefficients, turn)
        for band, asked in enumerate(_tokens(turned, thumbs).T):
            found = [codes]
            for left, right in _candidates(asked, *index[band], as_is=turn == 0):
                good = _test(turned, coefficients, details, left, right) | _equal(thumbs, left, right)
                low, high = np.minimum(left, right)[good], np.maximum(left, right)[good]
                found.append(low * count + high)
            codes = np.unique(np.concatenate(found))
        del turned  # before the next one is made, for the same reason
    return np.stack([codes // count, codes % count], axis=1).astype(np.int32)


def flat(thumbs: Thumbs) -> NDArray[np.bool_]:
    """Tell which thumbs say too little to know a picture by: [n]."""
    return np.asarray(thumbs.std(axis=(1, 2)) < FLAT, np.bool_)


def clusters(count: int, pairs: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the cluster of each of `count` pictures: the smallest index among those that pairs connect."""
    names = np.arange(count, dtype=np.int32)
    while len(pairs):
        before = names.copy()
        smallest = names[pairs].min(axis=1)
        for side in (0, 1):
            np.minimum.at(names, before[pairs[:, side]], smallest)
            np.minimum.at(names, pairs[:, side], smallest)
        names = names[names]
        if np.array_equal(names, before):
            break
    return names


def _frequencies() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    down, across = np.mgrid[:THUMB, :THUMB]
    kept = np.hypot(down, across) < 11  # finer ones change when a picture is cropped or compressed
    kept[0, 0] = False  # the brightness
    return down[kept], across[kept]


def _transform() -> Floats:
    """Return what turns a thumb of 256 values into weighed coefficients."""
    place = np.arange(THUMB) + 0.5
    waves = np.cos(np.pi * np.outer(np.arange(THUMB), place) / THUMB)
    waves /= np.linalg.norm(waves, axis=1, keepdims=True)
    table = np.einsum("fy,fx->yxf", waves[_DOWN], waves[_ACROSS]) * np.hypot(_DOWN, _ACROSS)
    return np.asarray(table.reshape(THUMB * THUMB, -1), np.float32)


_DOWN, _ACROSS = _frequencies()
_TRANSFORM = _transform()
#: Where the coefficient stands that takes the place of each when rows become columns.
_SWAP = np.lexsort((_DOWN, _ACROSS))
#: Rows and columns swapped, upside down, mirrored.
_TURNS = tuple(product((False, True), repeat=3))
#: Coarse coefficients, which hashing looks at.
_COARSE = np.hypot(_DOWN, _ACROSS) < 7
# A frozen stream: the same tokens wherever they are made.
_PLANES = np.random.RandomState(16).standard_normal((int(_COARSE.sum()), BANDS * BITS)).astype(np.float32)
_MIX = np.random.RandomState(17).randint(0, 2**62, (THUMB * THUMB, BANDS)).astype(np.uint64) * 2 + 1


def _coefficients(thumbs: Thumbs) -> Floats:
    """Return unit vectors; zeros for flat thumbs."""
    result = np.empty((len(thumbs), len(_DOWN)), np.float32)
    for start in range(0, len(thumbs), _CHUNK):
        values = thumbs[start : start + _CHUNK].reshape(-1, THUMB * THUMB).astype(np.float32)
        rows = values @ _TRANSFORM
        rows /= np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-6)
        rows[flat(thumbs[start : start + _CHUNK])] = 0
        result[start : start + _CHUNK] = rows
    return result


def _turned(coefficients: Floats, turn: int) -> Floats:
    swap, down, across = _TURNS[turn]
    signs = np.where(down & (_DOWN % 2 == 1), -1, 1) * np.where(across & (_ACROSS % 2 == 1), -1, 1)
    rows = coefficients[:, _SWAP] if swap else coefficients.copy()
    rows *= signs  # in place: of very many pictures they are large
    return rows


def _details(coefficients: Floats) -> Floats:
    """Return over how many coefficients the energy of each picture is spread."""
    squares = coefficients * coefficients
    return np.asarray(1 / np.maximum((squares * squares).sum(axis=1), 1e-6), np.float32)


def _close(closeness: Floats, details: Floats) -> NDArray[np.bool_]:
    """Tell whether a correlation is high, and higher than chance makes it among so many details."""
    rest = np.maximum(1 - closeness.astype(np.float64) ** 2, 1e-7)
    return (closeness >= CLOSEST) & ((details - 1) / 2 * -np.log(rest) >= SURPRISE)


def _tokens(coefficients: Floats, thumbs: Thumbs) -> NDArray[np.uint64]:
    bands = np.arange(BANDS, dtype=np.uint64) << np.uint64(32)
    weights = 2 ** np.arange(BITS, dtype=np.float32)
    result = np.empty((len(coefficients), BANDS), np.uint64)
    for start in range(0, len(coefficients), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        sides = coefficients[chunk, _COARSE] @ _PLANES > 0
        result[chunk] = (sides.reshape(-1, BANDS, BITS) @ weights).astype(np.uint64) | bands
    bare = ~coefficients.any(axis=1)
    if bare.any():  # these are found only by what is equal
        mixed = thumbs[bare].reshape(-1, THUMB * THUMB).astype(np.uint64) @ _MIX
        result[bare] = mixed | np.uint64(2**63)
    return result


def _sorted(band: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    order = np.argsort(band, kind="stable")
    return band[order], order


def _candidates(
    asked: NDArray[np.uint64], known: NDArray[np.uint64], order: NDArray[np.int64], *, as_is: bool
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yield pairs, a chunk at a time: pictures that ask, and those that have the token."""
    end = np.searchsorted(known, asked, side="right")
    if as_is:  # what stands before a picture among its equals has met it already
        start = np.empty(len(order), np.int64)
        start[order] = np.arange(1, len(order) + 1)
    else:
        start = np.searchsorted(known, asked, side="left")
    sizes = np.clip(end - start, 0, NEXT)
    asking = np.flatnonzero(sizes)
    for part in range(0, len(asking), _CHUNK):
        left = asking[part : part + _CHUNK]
        repeats = sizes[left]
        offsets = np.arange(repeats.sum()) - np.repeat(np.cumsum(repeats) - repeats, repeats)
        right = order[np.repeat(start[left], repeats) + offsets]
        left = np.repeat(left, repeats)
        other = left != right
        yield left[other], right[other]


def _test(
    turned: Floats, coefficients: Floats, details: Floats, left: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.bool_]:
    good = np.empty(len(left), np.bool_)
    for start in range(0, len(left), _CHUNK):
        one, other = left[start : start + _CHUNK], right[start : start + _CHUNK]
        closeness = np.einsum("pf,pf->p", turned[one], coefficients[other])
        good[start : start + _CHUNK] = _close(closeness, np.minimum(details[one], details[other]))
    return good


def _equal(thumbs: Thumbs, left: NDArray[np.int64], right: NDArray[np.int64]) -> NDArray[np.bool_]:
    equal = (thumbs[left, 0] == thumbs[right, 0]).all(axis=1)  # one line says no to nearly all
    places = np.flatnonzero(equal)
    equal[places] = (thumbs[left[places]] == thumbs[right[places]]).all(axis=(1, 2))
    return np.asarray(equal, np.bool_)
