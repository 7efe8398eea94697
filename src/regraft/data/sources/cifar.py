"""CIFAR-10 and CIFAR-100 as they are published: the binary and the Python version, packed or unpacked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from regraft.data.sources import tars
from regraft.data.sources.archives import Member
from regraft.data.sources.class_names import CIFAR10, CIFAR100, COARSE
from regraft.data.sources.idx import draw
from regraft.data.sources.listing import Entry, Listing
from regraft.data.sources.pickled import read_pickled
from regraft.data.sources.rows import compact
from regraft.data.sources.streams import read_packed
from regraft.errors import InvalidError, NotFoundError

#: Files of the two sets, and the split that each is of.
_FILES = {
    "cifar10": {**{f"data_batch_{number}": "train" for number in range(1, 6)}, "test_batch": "test"},
    "cifar100": {"train": "train", "test": "test"},
}
#: Bytes of a picture: 32 x 32, red, then green, then blue.
_PICTURE = 3072
#: The largest of the files has 155 MB.
_MAX_BYTES = 200 * 2**20

T = TypeVar("T", int, str)

Reads = Mapping[str, Callable[[], bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """What one file holds."""

    images: npt.NDArray[np.uint8]
    labels: list[int]
    coarse: list[int]
    names: list[str]


def find_files(files: Iterable[Path], name: str = "") -> dict[str, Path]:
    """Return the unpacked files of one set in one folder; empty where there is none."""
    folders: dict[Path, dict[str, Path]] = {}
    for file in sorted(files):
        folders.setdefault(file.parent, {})[file.name] = file
    return next((found for found in folders.values() if _set_of(found, name)), {})


def find_members(members: Iterable[Member], name: str = "") -> dict[str, Callable[[], bytes]]:
    """Return how the files of one set are read from an archive; empty where it holds none."""
    found = {member.parts[-1]: member.read for member in members if member.size <= _MAX_BYTES}
    return found if _set_of(found, name) else {}


def read_archive(path: Path, name: str = "") -> Listing:
    """List the pictures in a set's `.tar.gz`; raises InvalidError."""
    return read_cifar(find_members(tars.scan(path), name), name, source=path)


def read_folder(files: Mapping[str, Path], name: str = "", *, source: Path) -> Listing:
    """List the pictures in files that `find_files` returned; raises InvalidError."""
    reads = {key: partial(read_packed, path, _MAX_BYTES) for key, path in files.items()}
    return read_cifar(reads, name, source=source)


def read_cifar(reads: Reads, name: str = "", *, source: Path) -> Listing:
    """List the pictures of one set, whose files are read by `reads`; raises InvalidError."""
    found = _set_of(reads, name)
    if not found:
        raise NotFoundError(
            f"There are no files of {name or 'CIFAR'} in {str(source)!r}.",
            hint="They are called data_batch_1 to data_batch_5 and test_batch, or train and test.",
        )
    which, ending = found
    here = {stem: split for stem, split in _FILES[which].items() if stem + ending in reads}
    several = len(set(here.values())) > 1
    listing = Listing(reader=which)
    tars.expect([reads[stem + ending] for stem in here])
    counts = dict.fromkeys(here.values(), 0)
    for stem, split in here.items():
        data = reads[stem + ending]()
        batch = _from_binary(data, which, stem) if ending else _from_python(data, which, stem)
        listing.entries += _entries(batch, which, split, several=several, start=counts[split])
        counts[split] += len(batch.labels)
    return listing


def _set_of(files: Mapping[str, object], name: str) -> tuple[str, str] | None:
    """Return which set some files belong to, and how their names end; None where they are of neither."""
    names = set(files)
    for ending, meta in ((".bin", {"fine_label_names.txt"}), ("", {"meta"})):
        if name in ("", "cifar10") and names & {stem + ending for stem in _FILES["cifar10"]}:
            return "cifar10", ending
        if name in ("", "cifar100") and names >= {f"train{ending}", f"test{ending}"} | meta:
            return "cifar100", ending
    return None


def _entries(batch: _Batch, which: str, split: str, *, several: bool, start: int) -> list[Entry]:
    labels = CIFAR10 if which == "cifar10" else CIFAR100

    def metadata(number: int) -> str:
        values = {}
        if batch.coarse:
            values["coarse_label"] = COARSE[batch.coarse[number]]
        if batch.names:
            values["file_name"] = batch.names[number]
        return compact(values)

    return draw(
        batch.images,
        batch.labels,
        labels,
        split if several else "",
        above=split,
        start=start,
        metadata=metadata,
    )


def _from_binary(data: bytes, which: str, stem: str) -> _Batch:
    labels = 1 if which == "cifar10" else 2
    if not data or len(data) % (labels + _PICTURE):
        raise _invalid(stem, "it is truncated, or not of this set")
    rows = np.frombuffer(data, np.uint8).reshape(-1, labels + _PICTURE)
    coarse = rows[:, 0].tolist() if labels > 1 else []
    return _checked(rows[:, labels:], rows[:, labels - 1].tolist(), coarse, [], which=which, stem=stem)


def _from_python(data: bytes, which: str, stem: str) -> _Batch:
    values = read_pickled(data, source=f"The file {stem!r}")
    images = values.get("data")
    if not isinstance(images, np.ndarray):
        raise _invalid(stem, "it holds no pictures")
    labels = _items(values.get("labels" if which == "cifar10" else "fine_labels"), int, stem)
    coarse = _items(values.get("coarse_labels"), int, stem)
    names = _items(values.get("filenames"), str, stem)
    return _checked(images, labels, coarse, names, which=which, stem=stem)


def _items(value: object, kind: type[T], stem: str) -> list[T]:
    if value is None:
        return []
    if not isinstance(value, list) or not all(type(item) is kind for item in value):
        raise _invalid(stem, "what should be a list of labels is something else")
    return value


def _checked(
    images: npt.NDArray[np.uint8],
    labels: list[int],
    coarse: list[int],
    names: list[str],
    *,
    which: str,
    stem: str,
) -> _Batch:
    """Return pictures as [number, height, width, colour], after a look whether everything fits."""
    if images.ndim != 2 or images.shape[1] != _PICTURE or len(images) != len(labels) or not labels:
        raise _invalid(stem, f"it holds {len(labels):,} labels for an array of {images.shape}")
    if any(len(beside) not in (0, len(labels)) for beside in (coarse, names)):
        raise _invalid(stem, "its lists are not equally long")
    for found, known in ((labels, CIFAR10 if which == "cifar10" else CIFAR100), (coarse, COARSE)):
        if odd := next((label for label in found if not 0 <= label < len(known)), None):
            raise _invalid(stem, f"it has a label {odd}, but there are {len(known)} classes")
    pictures = images.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return _Batch(images=pictures, labels=labels, coarse=coarse, names=names)


def _invalid(stem: str, words: str) -> InvalidError:
    return InvalidError(f"The file {stem!r} cannot be read: {words}.", hint="Download it again.", where=stem)
