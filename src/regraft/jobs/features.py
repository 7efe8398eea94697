"""Features of pictures: from the cache where they are there, from the trunk where they are not."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from regraft.data.cache import FeatureCache, FeatureKey
from regraft.data.transforms import Prepared, prepare_all
from regraft.engine.predict import Floats
from regraft.errors import InvalidPicture
from regraft.jobs import machine
from regraft.progress import Progress
from regraft.records import ModelVersion, Precision, Row
from regraft.store.opening import Store

#: So many pictures are computed between two files of the cache: what an interruption can cost at most.
_PART = 2048


def features_of(
    store: Store,
    model: ModelVersion,
    rows: Sequence[Row],
    *,
    precision: Precision,
    batch_size: int,
    progress: Progress,
    logits: bool = False,
) -> Floats:
    """Return the features [n, num_features] of rows; only what the cache lacks runs through the trunk.

    With `logits` what the whole net says [n, classes], for one whose head wants more than features.
    """
    key = FeatureKey(
        trunk=model.weights if logits else "+".join(filter(None, [model.trunk, model.adapter])),
        architecture=model.architecture,
        input=model.input,
        precision=precision,
        libraries=machine.libraries("torch", "timm", "pillow"),
        processor=machine.processor(),
    )
    cache = FeatureCache(store.cache, key)
    found = cache.read(row.digest for row in rows)
    missing = list({row.digest: row for row in rows if row.digest not in found}.values())
    if missing:
        progress("Starting the net", 0, 1)
        from regraft.jobs import trunk  # torch and timm: seconds that a warm cache saves

        pictures = _pictures(store, model, missing)
        done, waiting = 0, []
        for batch in trunk.compute(
            store,
            model,
            pictures,
            precision=precision,
            batch_size=batch_size,
            count=len(missing),
            logits=logits,
        ):
            waiting.append(batch)
            done += len(batch)
            progress("Computing features", done, len(missing))
            ready = sum(map(len, waiting))
            if ready >= _PART or done == len(missing):
                digests = [row.digest for row in missing[done - ready : done]]
                part = np.concatenate(waiting)
                cache.add(digests, part)
                found.update(zip(digests, part, strict=True))
                waiting = []
    return np.stack([found[row.digest] for row in rows])


def _pictures(store: Store, model: ModelVersion, rows: Sequence[Row]) -> Iterator[Prepared]:
    reads = [partial(store.packs.read, row) for row in rows]
    for row, picture in zip(rows, prepare_all(reads, model.input), strict=True):
        if isinstance(picture, InvalidPicture):  # it passed the gate when it was added
            raise InvalidPicture(f"Picture {row.key!r} cannot be decoded any more: {picture}", where=row.key)
        yield picture
