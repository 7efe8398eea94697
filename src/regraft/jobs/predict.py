"""Name what is in pictures that need no dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from regraft.data import pictures
from regraft.data.sources import readers
from regraft.data.transforms import Prepared, prepare_all
from regraft.engine.predict import logits, softmax
from regraft.errors import InvalidError, InvalidPicture, NotFoundError, did_you_mean
from regraft.jobs.precision import fastest_precision
from regraft.jobs.preflight import check_classifier
from regraft.progress import Progress
from regraft.records import Label, Prediction, Version
from regraft.store.opening import Store

_BATCH = 32


def predict(
    store: Store, model: Version, paths: Sequence[Path], *, top: int, progress: Progress
) -> tuple[Prediction, ...]:
    """Return a prediction for each picture, in order; folders stand for the pictures in them.

    A file that is not a picture has its reason in `error` and no labels. Raises NotFoundError for a path
    that does not exist, InvalidError where there is no picture at all.
    """
    files = [file for path in paths for file in _files(path)]
    if not files:
        raise InvalidError(
            "There are no pictures to predict.", hint="Name picture files, or a folder with some."
        )
    net = check_classifier(model)
    reasons: dict[int, str] = {}

    def good() -> Iterator[Prepared]:
        reads = [partial(pictures.read_file, file) for file in files]
        for position, picture in enumerate(prepare_all(reads, net.input)):
            progress("Predicting", position + 1, len(files))
            if isinstance(picture, InvalidPicture):
                reasons[position] = str(picture).removesuffix(".")
            else:
                yield picture

    progress("Starting the net", 0, 1)
    from regraft.jobs import trunk  # torch and timm, after the arguments have been looked at

    batches = trunk.compute(
        store,
        net,
        good(),
        precision=net.precision or fastest_precision(store, net, progress),
        batch_size=_BATCH,
        count=len(files),
        logits=net.head_kind == "own",
    )
    width = len(net.labels) if net.head_kind == "own" else net.num_features
    features = np.concatenate([np.zeros((0, width), np.float32), *batches])
    head = load(store.blobs.get(net.head))
    rows = iter(softmax(logits(net.head_kind, head, features) / net.temperature))
    result = []
    for position, file in enumerate(files):
        if position in reasons:
            result.append(Prediction(picture=readers.text(str(file)), top=(), error=reasons[position]))
            continue
        row = next(rows)
        likeliest = np.argsort(-row, kind="stable")[:top]
        labels = tuple(Label(label=net.labels[i], probability=float(row[i])) for i in likeliest)
        result.append(Prediction(picture=readers.text(str(file)), top=labels))
    return tuple(result)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return readers.find_pictures(path)
    if not readers.exists(path):
        near = [file.name for file in path.absolute().parent.glob("*")]
        raise NotFoundError(
            f"There is no picture {str(path)!r}.",
            hint=did_you_mean(path.name, near, otherwise="Check the path."),
        )
    return [path]
