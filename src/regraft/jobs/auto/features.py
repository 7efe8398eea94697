"""Features of pictures as an entrant sees them, changed or not; and how long they take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import numpy.typing as npt

from regraft.data.cache import FeatureCache, FeatureKey
from regraft.data.transforms import Prepared, prepare_all
from regraft.engine.predict import Floats
from regraft.errors import InvalidPicture
from regraft.jobs import features, machine
from regraft.jobs.auto.entrant import Entrant
from regraft.progress import Progress
from regraft.records import Row
from regraft.store.opening import Store

#: What is done to a picture before the net sees it, as an augmentation would.
Change = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]

#: What work says that computes features.
COMPUTING = "Computing features"


class Features:
    """Computes features, remembers them in the cache, and learns how long a picture takes."""

    def __init__(self, store: Store, batch_size: int, progress: Progress) -> None:
        self._store = store
        self._batch_size = batch_size
        self._progress = progress
        #: Seconds of a picture by backbone, for each pixel of its side squared.
        self._rates: dict[str, float] = {}
        #: Seconds before the first batch, the last time.
        self._start = 0.0

    def of(self, entrant: Entrant, rows: Sequence[Row]) -> Floats:
        """Return the features [n, d] of pictures."""
        meter = _Meter(self._progress)
        found = features.features_of(
            self._store,
            entrant.model,
            rows,
            precision=entrant.precision,
            batch_size=self._batch_size,
            progress=meter,
        )
        self._learn(entrant, meter)
        return found

    def changed(self, entrant: Entrant, rows: Sequence[Row], change: Change, name: str) -> Floats:
        """Return the features of pictures to which something was done, which `name` calls."""
        from regraft.jobs import trunk  # torch and timm: seconds that a warm cache saves

        key = FeatureKey(
            trunk="+".join(filter(None, [entrant.model.trunk, entrant.model.adapter, name])),
            architecture=entrant.model.architecture,
            input=entrant.model.input,
            precision=entrant.precision,
            libraries=machine.libraries("torch", "timm", "pillow"),
            processor=machine.processor(),
        )
        cache = FeatureCache(self._store.cache, key)
        found = cache.read(row.digest for row in rows)
        missing = list({row.digest: row for row in rows if row.digest not in found}.values())
        if missing:
            meter = _Meter(self._progress)
            meter("Starting the net", 0, 1)
            parts: list[Floats] = []
            for batch in trunk.compute(
                self._store,
                entrant.model,
                self._pictures(entrant, missing, change),
                precision=entrant.precision,
                batch_size=self._batch_size,
                count=len(missing),
            ):
                parts.append(batch)
                meter(COMPUTING, sum(map(len, parts)), len(missing))
            digests, values = [row.digest for row in missing], np.concatenate(parts)
            cache.add(digests, values)
            found.update(zip(digests, values, strict=True))
            self._learn(entrant, meter)
        return np.stack([found[row.digest] for row in rows])

    def look(self, entrant: Entrant, rows: Sequence[Row]) -> None:
        """Find out how long a picture takes, where all of them were in the cache."""
        from regraft.jobs import trunk  # likewise

        if self._rates:
            return
        meter = _Meter(self._progress)
        meter("Starting the net", 0, 1)
        tried, done = list(rows[: 3 * self._batch_size]), 0
        pictures = self._pictures(entrant, tried, lambda picture: picture)
        for batch in trunk.compute(
            self._store,
            entrant.model,
            pictures,
            precision=entrant.precision,
            batch_size=self._batch_size,
            count=len(tried),
        ):
            done += len(batch)
            meter(COMPUTING, done, len(tried))
        self._learn(entrant, meter)

    def seconds(self, entrant: Entrant, count: int) -> float:
        """Return how long so many pictures may take that nobody has computed; 0 where nothing is known."""
        rate = self._rates.get(entrant.model.trunk) or max(self._rates.values(), default=0.0)
        return self._start + rate * entrant.model.input.size**2 * count if count else 0.0

    def _learn(self, entrant: Entrant, meter: _Meter) -> None:
        if meter.rate is not None:
            self._rates[entrant.model.trunk] = meter.rate / entrant.model.input.size**2
            self._start = meter.start

    def _pictures(self, entrant: Entrant, rows: Sequence[Row], change: Change) -> Iterator[Prepared]:
        reads = [partial(self._store.packs.read, row) for row in rows]
        for row, picture in zip(rows, prepare_all(reads, entrant.model.input), strict=True):
            if isinstance(picture, InvalidPicture):  # it passed the gate when it was added
                raise InvalidPicture(f"Picture {row.key!r} cannot be decoded any more.", where=row.key)
            yield np.ascontiguousarray(change(picture))


class _Meter:
    """A progress that looks at the clock."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._began: float | None = None
        self._first: tuple[float, int] | None = None
        #: Seconds of a picture; None where none was computed.
        self.rate: float | None = None
        #: Seconds before the first batch was there, beyond what its pictures took.
        self.start = 0.0

    def __call__(self, task: str, done: int, total: int) -> None:
        now = time.monotonic()
        if task == COMPUTING:
            if self._first is None:
                self._first = (now, done)
                self.rate = (now - (self._began or now)) / done
            else:
                self.rate = (now - self._first[0]) / (done - self._first[1])
                if self._began is not None:
                    self.start = max(0.0, self._first[0] - self._began - self.rate * self._first[1])
        elif self._began is None:
            self._began = now
        self._progress(task, done, total)
