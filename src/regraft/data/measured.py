"""What was measured of the pictures of a version: kept beside its rows, computed again where it is lost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import numpy.typing as npt

from regraft.data import facts, similar
from regraft.data.parallel import ordered
from regraft.data.pictures import quiet
from regraft.progress import Progress, silent
from regraft.records import Row, Segment
from regraft.store.opening import Store
from regraft.store.rows import Rows
from regraft.store.sidecars import Sidecars
from regraft.store.tables import read_rows, read_table

Facts = npt.NDArray[np.void]

#: Pairs that are tested at once.
_PAIRS = 8192

_BAND = np.dtype([("token", "<u8"), ("row", "<i4")])


class Measured:
    """The facts of all rows of a version, and which of them look like a given picture."""

    def __init__(self, store: Store, rows: Rows, progress: Progress = silent) -> None:
        self._store = store
        self._rows = rows
        self._progress = progress
        self._facts = Sidecars(store.cache, f"facts-{facts.VERSION}")
        self._bands = Sidecars(store.cache, f"alike-{facts.VERSION}")

    def facts(self) -> Facts:
        """Return the facts of all rows in order: [n] of `facts.FACTS`."""
        parts = [self._facts_of(segment) for segment in self._rows.segments]
        return np.concatenate(parts) if parts else np.zeros(0, facts.FACTS)

    def alike(self, new: Facts) -> Iterator[tuple[int, Row]]:
        """Yield which of some pictures, by their facts [n], looks like which row, in any turn."""
        if not len(new) or not len(self._rows):
            return
        queries = similar.query_tokens(new["thumb"]).reshape(len(new), -1)
        start = 0
        for segment in self._rows.segments:
            old = None
            for left, right in _candidates(self._bands_of(segment), queries):
                old = self._facts_of(segment) if old is None else old
                good = similar.alike(new["thumb"][left], old["thumb"][right])
                good &= similar.same_tint(new["tint"][left], old["tint"][right])
                for number, found in zip(left[good].tolist(), right[good].tolist(), strict=True):
                    yield number, self._rows.at(start + found)
            start += segment.count

    def remember(self, new: Mapping[str, Facts], before: Rows) -> None:
        """Keep the facts of segments whose pictures are known, by digest or from another version's rows."""
        fresh = [segment for segment in self._rows.segments if self._facts.read(segment.digest) is None]
        wanted = {segment: _digests(self._store, segment) for segment in fresh}
        missing = {name for names in wanted.values() for name in names if name not in new}
        known = {**new, **self._known(missing, before)}
        for segment, names in wanted.items():
            if all(name in known for name in names):
                found = np.zeros(len(names), facts.FACTS)
                for place, name in enumerate(names):  # stacking them would compare their fields one by one
                    found[place] = known[name]
                self._facts.write(segment.digest, found)

    def _known(self, missing: set[str], before: Rows) -> dict[str, Facts]:
        """Return facts that stand beside the segments of another version."""
        found: dict[str, Facts] = {}
        # what both versions share is kept already: the rest of the rows came out of the other segments
        shared = {segment.digest for segment in self._rows.segments}
        gone = [segment for segment in before.segments if segment.digest not in shared]
        for segment in gone if missing else ():
            if (kept := self._facts.read(segment.digest)) is not None:
                names = _digests(self._store, segment)
                found.update({name: one for name, one in zip(names, kept, strict=True) if name in missing})
        return found

    def _facts_of(self, segment: Segment) -> Facts:
        found = self._facts.read(segment.digest)
        if found is None:
            rows = list(read_rows(self._store.blobs, [segment]))
            found = np.zeros(len(rows), facts.FACTS)
            with quiet():
                for number, one in enumerate(
                    ordered(lambda row: facts.measure(self._store.packs.read(row)), rows)
                ):
                    found[number] = one
                    self._progress("Looking at pictures", number + 1, len(rows))
            self._facts.write(segment.digest, found)
        return found

    def _bands_of(self, segment: Segment) -> npt.NDArray[np.void]:
        found = self._bands.read(segment.digest)
        if found is None:
            tokens = similar.tokens(self._facts_of(segment)["thumb"])
            found = np.zeros(tokens.size, _BAND)
            found["token"] = tokens.ravel()
            found["row"] = np.repeat(np.arange(len(tokens)), tokens.shape[1])
            found = np.sort(found, order="token")
            self._bands.write(segment.digest, found)
        return found


def _candidates(
    bands: npt.NDArray[np.void], queries: npt.NDArray[np.uint64]
) -> Iterator[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]:
    """Yield pairs of a query and a row that share a token, some thousands at a time; none comes twice."""
    known = np.ascontiguousarray(bands["token"])  # a search in a column of the array would copy it
    first, last = known.searchsorted(queries, side="left"), known.searchsorted(queries, side="right")
    left: list[npt.NDArray[np.int64]] = []
    right: list[npt.NDArray[np.int64]] = []
    waiting = 0
    for number in np.flatnonzero((first < last).any(axis=1)):
        met = np.flatnonzero(first[number] < last[number])
        ranges = zip(first[number, met], last[number, met], strict=True)
        rows = np.unique(np.concatenate([bands["row"][a:b] for a, b in ranges])).astype(np.int64)
        left.append(np.full(len(rows), number))
        right.append(rows)
        waiting += len(rows)
        if waiting >= _PAIRS:
            yield np.concatenate(left), np.concatenate(right)
            left, right, waiting = [], [], 0
    if waiting:
        yield np.concatenate(left), np.concatenate(right)


def _digests(store: Store, segment: Segment) -> list[str]:
    names: list[str] = read_table(store.blobs, segment, ["digest"]).column("digest").to_pylist()
    return names
