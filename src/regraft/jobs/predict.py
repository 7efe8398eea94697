"""Name what is in pictures that need no dataset."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from safetensors.numpy import load

from regraft.data import pictures
from regraft.data.sources import readers
from regraft.data.transforms import Prepared, prepare_all
from regraft.engine.predict import Doubles, Floats, logits, softmax
from regraft.errors import InvalidError, InvalidPicture, NotFoundError, did_you_mean
from regraft.jobs import trust
from regraft.jobs.precision import fastest_precision
from regraft.jobs.preflight import check_classifier
from regraft.progress import Progress
from regraft.records import Label, ModelVersion, Prediction, Version
from regraft.store.opening import Store

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What a net made of those of some files that are pictures, in order."""

    files: tuple[Path, ...]
    #: Why a file is no picture, by its place.
    reasons: Mapping[int, str]
    #: [n, d], where the head takes features.
    features: Floats
    #: [n, classes]
    probabilities: Doubles


def predict(
    store: Store,
    model: Version,
    paths: Sequence[Path],
    *,
    top: int,
    coverage: float | None = None,
    progress: Progress,
) -> tuple[Prediction, ...]:
    """Return a prediction for each picture, in order; folders stand for the pictures in them.

    A file that is not a picture has its reason in `error` and no labels. With `coverage` each has the set of
    labels among which the true one is so often. Raises NotFoundError for a path that does not exist,
    InvalidError where there is no picture at all, or for what is no coverage, and MismatchError where the
    model cannot tell sets.
    """
    net = check_classifier(model)
    trust.check_coverage(net, coverage)
    if said := trust.too_few(net, coverage):
        progress(said, 0, 1)
    return told(store, net, see(store, model, find(paths), progress=progress), top=top, coverage=coverage)


def find(paths: Sequence[Path]) -> tuple[Path, ...]:
    """Return the files that paths stand for; raises NotFoundError, and InvalidError where there are none."""
    files = tuple(file for path in paths for file in _files(path))
    if not files:
        raise InvalidError(
            "There are no pictures to predict.", hint="Name picture files, or a folder with some."
        )
    return files


def see(store: Store, model: Version, files: Sequence[Path], *, progress: Progress) -> Seen:
    """Run pictures through a net."""
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
    probabilities = softmax(logits(net.head_kind, head, features) / net.temperature)
    return Seen(files=tuple(files), reasons=reasons, features=features, probabilities=probabilities)


def told(
    store: Store, net: ModelVersion, seen: Seen, *, top: int, coverage: float | None
) -> tuple[Prediction, ...]:
    """Return what is to be said of each file."""
    limits = trust.limits(store, net)
    strangeness = limits.strangeness(seen.features) if limits else None
    sets = limits.sets(seen.probabilities, coverage) if limits and coverage is not None else None
    result = []
    places = iter(range(len(seen.features)))
    for position, file in enumerate(seen.files):
        name = readers.text(str(file))
        if position in seen.reasons:
            result.append(Prediction(picture=name, top=(), error=seen.reasons[position]))
            continue
        place = next(places)
        row = seen.probabilities[place]
        likeliest = np.argsort(-row, kind="stable")[:top]
        result.append(
            Prediction(
                picture=name,
                top=tuple(Label(label=net.labels[i], probability=float(row[i])) for i in likeliest),
                strangeness=None if strangeness is None else round(float(strangeness[place]), 4),
                labels=None if sets is None else sets[place],
            )
        )
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
