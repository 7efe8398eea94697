"""IDX files, as MNIST is published: all pictures in one file, all labels in another."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import numpy.typing as npt

from regraft.data.sources.class_names import DIGITS, FASHION
from regraft.data.sources.drawn import Drawn
from regraft.data.sources.listing import Entry, Listing
from regraft.data.sources.streams import Stream
from regraft.errors import InvalidError, NotFoundError

#: What the beginning of a file's name says, and the split that it is.
_SPLITS = {"train": "train", "t10k": "test"}
_NAME = re.compile(r"(train|t10k)-(images|labels)[-.]idx[13]-ubyte(\.gz)?", re.IGNORECASE)
#: Larger arrays are refused, in bytes.
_MAX_BYTES = 2**30
#: Digests of Fashion-MNIST's label files, by which a folder of files named like MNIST's is known.
_FASHION_LABELS = {
    "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
}


def find_files(files: Iterable[Path], name: str = "") -> dict[str, Path]:
    """Return the files of one set, by names such as `train-images`; empty where there is none.

    Of several folders with such files the one counts whose path has `name` in it, then the first.
    """
    folders: dict[Path, dict[str, Path]] = defaultdict(dict)
    for file in sorted(files, key=lambda path: (path.suffix == ".gz", path)):
        if match := _NAME.fullmatch(file.name):
            split, kind, _ = match.groups()
            folders[file.parent].setdefault(f"{split}-{kind}".lower(), file)
    whole = [found for found in folders.values() if any(_pairs(found))]
    return min(whole, key=lambda found: _distance(next(iter(found.values())), name), default={})


def read_idx(files: Mapping[str, Path], labels: Sequence[str] | None = None, *, name: str = "idx") -> Listing:
    """List the pictures of IDX files that `find_files` returned; without `labels` these are recognised.

    Raises InvalidError where the files do not fit each other.
    """
    found = {split: (read_array(images), _read_labels(names)) for split, images, names in _pairs(files)}
    if not found:
        raise NotFoundError(
            "There are no IDX files of pictures with their labels.",
            hint="They are called train-images-idx3-ubyte and train-labels-idx1-ubyte, or end in .gz.",
        )
    if labels is None:
        labels = FASHION if {digest for _, (_, digest) in found.values()} <= _FASHION_LABELS else DIGITS
    listing = Listing(reader=name)
    for split, (images, (targets, _)) in found.items():
        _check(images, targets, labels, split)
        listing.entries += draw(
            images, targets.tolist(), labels, split if len(found) > 1 else "", above=split
        )
    return listing


def draw(
    images: npt.NDArray[np.uint8],
    targets: Sequence[int],
    labels: Sequence[str],
    split: str,
    *,
    above: str = "",
    start: int = 0,
    metadata: Callable[[int], str] = lambda _: "{}",
) -> list[Entry]:
    """Return an entry for each picture: `train/ankle boot/00017.png` is number 17 of its split."""
    top = f"{above}/" if above else ""
    return [
        Entry(
            key=f"{top}{labels[target]}/{start + number:05}.png",
            label=labels[target],
            split=split,
            metadata=metadata(number),
            read=Drawn(images[number]),
        )
        for number, target in enumerate(targets)
    ]


def read_array(path: Path) -> npt.NDArray[np.uint8]:
    """Return the array in an IDX file of bytes, compressed or not; raises InvalidError."""
    with Stream(path) as stream:
        head = stream.read(4)
        if len(head) < 4 or head[:3] != b"\0\0\x08" or not 1 <= head[3] <= 3:
            raise _invalid(path, "it is not an IDX file of bytes")
        sizes = stream.read(4 * head[3])
        sides = [int.from_bytes(sizes[at : at + 4], "big") for at in range(0, len(sizes), 4)]
        count = math.prod(sides)
        if len(sizes) < 4 * head[3] or 0 in sides or count > _MAX_BYTES:
            raise _invalid(path, "its sizes are impossible")
        data = stream.read(count + 1)
    if len(data) != count:
        raise _invalid(path, f"it should hold {count:,} bytes")
    return np.frombuffer(data, np.uint8).reshape(sides)


def _read_labels(path: Path) -> tuple[npt.NDArray[np.uint8], str]:
    array = read_array(path)
    head = b"\0\0\x08\x01" + len(array).to_bytes(4, "big")
    return array, sha256(head + array.tobytes()).hexdigest()


def _pairs(files: Mapping[str, Path]) -> list[tuple[str, Path, Path]]:
    return [
        (split, files[f"{start}-images"], files[f"{start}-labels"])
        for start, split in _SPLITS.items()
        if f"{start}-images" in files and f"{start}-labels" in files
    ]


def _distance(file: Path, name: str) -> tuple[bool, bool, Path]:
    words = re.sub(r"[^a-z0-9]", "", file.parent.as_posix().casefold())
    plain = re.sub(r"[^a-z0-9]", "", name.casefold())
    return plain not in words, "fashion" in words and "fashion" not in plain, file


def _check(
    images: npt.NDArray[np.uint8], targets: npt.NDArray[np.uint8], labels: Sequence[str], split: str
) -> None:
    words = ""
    if images.ndim != 3 or targets.ndim != 1:
        words = "are not pictures and labels"
    elif len(images) != len(targets):
        words = f"hold {len(images):,} pictures, but {len(targets):,} labels"
    elif targets.max() >= len(labels):
        words = f"have a label {targets.max()}, but there are {len(labels)} classes"
    if words:
        raise InvalidError(f"The IDX files for {split} {words}.", hint="Download them again.", where=split)


def _invalid(path: Path, words: str) -> InvalidError:
    return InvalidError(f"{str(path)!r} cannot be read: {words}.", hint="Download it again.", where=str(path))
