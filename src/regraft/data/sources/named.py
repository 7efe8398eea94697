"""Data sets that go by a name: what they are, where they are published, and how their files are read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from regraft.data.sources import cifar, idx, zips
from regraft.data.sources.class_names import DIGITS, FASHION
from regraft.data.sources.drawn import Drawn
from regraft.data.sources.folders import check_folder, read_folder, walk
from regraft.data.sources.listing import Entry, Listing
from regraft.data.sources.planted import planted
from regraft.errors import NotFoundError
from regraft.records import RemoteFile


@dataclass(frozen=True, kw_only=True, slots=True)
class NamedSet:
    """A published data set."""

    name: str
    title: str
    licence: str
    homepage: str
    #: Empty where the set comes with an installed package.
    files: tuple[RemoteFile, ...]
    #: Read the files of the set, by their names; raises InvalidError.
    read: Callable[[Mapping[str, Path]], Listing]
    #: Read a copy that lies somewhere in a folder, packed or unpacked; raises NotFoundError, InvalidError.
    read_local: Callable[[Path], Listing]


def read_digits() -> Listing:
    """List scikit-learn's 1,797 scanned digits of 8 x 8 pixels, as PNG pictures."""
    from sklearn.datasets import load_digits  # slow to import, and needed for this set alone

    digits = load_digits()
    listing = Listing(reader="digits")
    for index, (pixels, target) in enumerate(zip(digits.images, digits.target, strict=True)):
        values = (pixels * (255 / 16)).round().astype("uint8")
        listing.entries.append(Entry(key=f"{target}/{index:04}.png", label=str(target), read=Drawn(values)))
    return listing


def _mnist(name: str, labels: tuple[str, ...], paths: Mapping[str, Path]) -> Listing:
    return idx.read_idx(idx.find_files(paths.values()), labels, name=name)


def _local_mnist(name: str, labels: tuple[str, ...], folder: Path) -> Listing:
    return idx.read_idx(idx.find_files(_files(folder), name), labels, name=name)


def _cifar(name: str, paths: Mapping[str, Path]) -> Listing:
    return cifar.read_archive(next(iter(paths.values())), name)


def _local_cifar(name: str, folder: Path) -> Listing:
    files = _files(folder)
    if unpacked := cifar.find_files(files, name):
        return cifar.read_folder(unpacked, name, source=folder)
    return cifar.read_archive(_archive(folder, files, (f"{name[:5]}-{name[5:]}-",), ".tar.gz"), name)


def _hotdog(paths: Mapping[str, Path]) -> Listing:
    return replace(zips.read_zip(next(iter(paths.values()))), reader="hotdog")


def _local_hotdog(folder: Path) -> Listing:
    files = _files(folder)
    if any(file.name == "hotdog.zip" for file in files):
        return _hotdog({"hotdog.zip": _archive(folder, files, ("hotdog",), ".zip")})
    home = next((root for root in (folder, folder / "hotdog") if (root / "train").is_dir()), folder)
    return replace(read_folder(home), reader="hotdog")


def _files(folder: Path) -> list[Path]:
    check_folder(folder)
    return [folder / path for path in walk(folder, Counter())]


def _archive(folder: Path, files: list[Path], starts: tuple[str, ...], ending: str) -> Path:
    found = [file for file in sorted(files) if file.name.startswith(starts) and file.name.endswith(ending)]
    if not found:
        raise NotFoundError(
            f"There is no copy of the set in {str(folder)!r}.",
            hint=f"Give the folder that holds {starts[0]}*{ending}, or the folder that it unpacks to.",
        )
    return found[0]


def _idx_files(base: tuple[str, ...], facts: tuple[tuple[str, int, str], ...]) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(
            name=f"{stem}-ubyte.gz", urls=tuple(f"{url}/{stem}-ubyte.gz" for url in base), size=size, md5=md5
        )
        for stem, size, md5 in facts
    )


_MNIST = _idx_files(
    ("https://ossci-datasets.s3.amazonaws.com/mnist", "http://yann.lecun.com/exdb/mnist"),
    (
        ("train-images-idx3", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)
_FASHION = _idx_files(
    ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",),
    (
        ("train-images-idx3", 26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1", 29_515, "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3", 4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1", 5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
    ),
)

_KRIZHEVSKY = "not stated: cite A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009"

#: Every set that can be named in place of a folder.
SETS: dict[str, NamedSet] = {
    found.name: found
    for found in (
        NamedSet(
            name="digits",
            title="Optical recognition of handwritten digits: 1,797 scans of 8 x 8 pixels, with scikit-learn",
            licence="CC-BY-4.0",
            homepage="https://archive.ics.uci.edu/dataset/80",
            files=(),
            read=lambda _: read_digits(),
            read_local=lambda _: read_digits(),
        ),
        NamedSet(
            name="planted",
            title="Drawn pictures with twelve kinds of defect, to see what `regraft dataset check` finds",
            licence="Apache-2.0",
            homepage="",
            files=(),
            read=lambda _: planted(),
            read_local=lambda _: planted(),
        ),
        NamedSet(
            name="planted-clean",
            title="The same drawn pictures without a defect",
            licence="Apache-2.0",
            homepage="",
            files=(),
            read=lambda _: planted(defects=False),
            read_local=lambda _: planted(defects=False),
        ),
        NamedSet(
            name="mnist",
            title="MNIST: 70,000 handwritten digits of 28 x 28 pixels",
            licence="CC-BY-SA-3.0",
            homepage="http://yann.lecun.com/exdb/mnist/",
            files=_MNIST,
            read=partial(_mnist, "mnist", DIGITS),
            read_local=partial(_local_mnist, "mnist", DIGITS),
        ),
        NamedSet(
            name="fashion-mnist",
            title="Fashion-MNIST: 70,000 pictures of clothes of 28 x 28 pixels",
            licence="MIT",
            homepage="https://github.com/zalandoresearch/fashion-mnist",
            files=_FASHION,
            read=partial(_mnist, "fashion-mnist", FASHION),
            read_local=partial(_local_mnist, "fashion-mnist", FASHION),
        ),
        NamedSet(
            name="cifar10",
            title="CIFAR-10: 60,000 photos of ten kinds of things, 32 x 32 pixels",
            licence=_KRIZHEVSKY,
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            files=(
                RemoteFile(
                    name="cifar-10-python.tar.gz",
                    urls=("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
                    size=170_498_071,
                    md5="c58f30108f718f92721af3b95e74349a",
                ),
            ),
            read=partial(_cifar, "cifar10"),
            read_local=partial(_local_cifar, "cifar10"),
        ),
        NamedSet(
            name="cifar100",
            title="CIFAR-100: 60,000 photos of a hundred kinds of things, 32 x 32 pixels",
            licence=_KRIZHEVSKY,
            homepage="https://www.cs.toronto.edu/~kriz/cifar.html",
            files=(
                RemoteFile(
                    name="cifar-100-python.tar.gz",
                    urls=("https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz",),
                    size=169_001_437,
                    md5="eb9058c3a382ffc7106e4002c42a8d85",
                ),
            ),
            read=partial(_cifar, "cifar100"),
            read_local=partial(_local_cifar, "cifar100"),
        ),
        NamedSet(
            name="hotdog",
            title="Hot dogs and other food: 2,800 photos, from the book Dive into Deep Learning",
            licence="not stated: photos found on the web",
            homepage="https://d2l.ai/chapter_computer-vision/fine-tuning.html",
            files=(
                RemoteFile(
                    name="hotdog.zip",
                    urls=("http://d2l-data.s3-accelerate.amazonaws.com/hotdog.zip",),
                    sha1="fba480ffa8aa7e0febbb511d181409f899b9baa5",
                ),
            ),
            read=_hotdog,
            read_local=_local_hotdog,
        ),
    )
}
