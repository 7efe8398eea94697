"""Named sets: read in the formats in which they are published, without unpickling or a download."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import struct
import tarfile
import zipfile

import numpy as np
import pytest
from PIL import Image

from regraft.data import pictures
from regraft.data.sources import class_names, readers
from regraft.data.sources.drawn import Drawn
from regraft.data.sources.named import SETS
from regraft.data.sources.pickled import read_pickled
from regraft.errors import FetchError, InvalidError, NotFoundError


@pytest.fixture
def mnist(tmp_path):
    """Write a small MNIST: `mnist("MNIST/raw", packed=True)`; pictures differ, and labels count up from 3."""

    def make(folder, *, packed=False):
        root = tmp_path / folder
        root.mkdir(parents=True)
        for start, count in (("train", 4), ("t10k", 2)):
            images = np.arange(count * 28 * 28).reshape(count, 28, 28).astype(np.uint8)
            labels = np.arange(3, 3 + count, dtype=np.uint8)
            for name, array in ((f"{start}-images-idx3", images), (f"{start}-labels-idx1", labels)):
                data = gzip.compress(idx(array)) if packed else idx(array)
                (root / f"{name}-ubyte{'.gz' if packed else ''}").write_bytes(data)
        return root

    return make


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_is_read_from_its_files(mnist, tmp_path, packed):
    root = mnist("downloads", packed=packed)

    listing = readers.read_named("mnist", lambda file: root / file.name.removesuffix("" if packed else ".gz"))

    assert listed(listing) == [
        ("train/3/00000.png", "3", "train"),
        ("train/4/00001.png", "4", "train"),
        ("train/5/00002.png", "5", "train"),
        ("train/6/00003.png", "6", "train"),
        ("test/3/00000.png", "3", "test"),
        ("test/4/00001.png", "4", "test"),
    ]
    assert (
        pixels(listing.entries[1]).tolist() == np.arange(784, 1568).astype(np.uint8).reshape(28, 28).tolist()
    )
    assert listing.reader == "mnist"


def test_a_set_is_found_in_a_local_copy_among_others(mnist, tmp_path):
    mnist("copies/MNIST/raw")
    mnist("copies/fashion-mnist", packed=True)

    fashion = readers.read_copy(tmp_path / "copies", "fashion-mnist")
    digits = readers.read_copy(tmp_path / "copies", "mnist")

    assert listed(fashion)[0] == ("train/dress/00000.png", "dress", "train")
    assert listed(digits)[0] == ("train/3/00000.png", "3", "train")


def test_a_folder_of_such_files_is_recognised(mnist):
    root = mnist("somewhere")

    listing = readers.read(root)

    assert (listing.reader, listed(listing)[0]) == ("idx", ("train/3/00000.png", "3", "train"))


def test_where_only_train_is_there_nothing_is_held_out_yet(mnist):
    root = mnist("somewhere")
    (root / "t10k-labels-idx1-ubyte").unlink()

    listing = readers.read(root)

    assert {(entry.key.split("/")[0], entry.split) for entry in listing.entries} == {("train", "")}


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "train-labels-idx1-ubyte",
            b"\0\0\x08\x01\0\0\0\2ab",
            "The IDX files for train hold 4 pictures, but 2 labels.",
        ),
        (
            "train-labels-idx1-ubyte",
            b"\0\0\x08\x01\0\0\0\4\0\1\2\x0a",
            "The IDX files for train have a label 10, but there are 10 classes.",
        ),
        (
            "train-images-idx3-ubyte",
            b"\0\0\x08\x01\0\0\0\1a",
            "The IDX files for train are not pictures and labels.",
        ),
        (
            "t10k-images-idx3-ubyte",
            b"\0\0\x0d\x01\0\0\0\1a",
            "{path!r} cannot be read: it is not an IDX file of bytes.",
        ),
        (
            "t10k-images-idx3-ubyte",
            b"\0\0\x08\x03\xff\xff\xff\xff",
            "{path!r} cannot be read: its sizes are impossible.",
        ),
        (
            "t10k-images-idx3-ubyte",
            b"\0\0\x08\x01\0\0\0\3ab",
            "{path!r} cannot be read: it should hold 3 bytes.",
        ),
    ],
)
def test_idx_files_that_do_not_fit_are_refused(mnist, name, data, message):
    root = mnist("somewhere")
    (root / name).write_bytes(data)

    with pytest.raises(InvalidError) as caught:
        readers.read(root)

    assert str(caught.value) == message.format(path=str(root / name))


def test_cifar_is_the_same_in_every_form_that_it_is_published_in(tmp_path):
    chance = np.random.default_rng(0)
    batches = {
        name: (chance.integers(0, 256, (3, 3072), np.uint8), chance.integers(0, 10, 3).tolist())
        for name in ("data_batch_1", "data_batch_2", "test_batch")
    }
    binary, python = tmp_path / "cifar-10-batches-bin", tmp_path / "python" / "cifar-10-batches-py"
    for folder in (binary, python):
        folder.mkdir(parents=True)
    for name, (images, labels) in batches.items():
        rows = np.concatenate([np.array(labels, np.uint8)[:, None], images], axis=1)
        (binary / f"{name}.bin").write_bytes(rows.tobytes())
        (python / name).write_bytes(
            pickled(images, labels=labels, filenames=[f"{name}-{i}.png" for i in range(3)])
        )
    packed = tmp_path / "packed" / "cifar-10-python.tar.gz"
    packed.parent.mkdir()
    with tarfile.open(packed, "w:gz") as archive:
        for name in reversed(batches):  # in another order than they are read
            archive.add(python / name, f"cifar-10-batches-py/{name}")

    listings = [
        readers.read(binary),
        readers.read(python),
        readers.read(packed),
        readers.read_copy(tmp_path / "python", "cifar10"),
        readers.read_copy(packed.parent, "cifar10"),
        readers.read_named("cifar10", lambda file: packed),
    ]

    labels = [class_names.CIFAR10[label] for _, found in batches.values() for label in found]
    places = [f"train/{{}}/0000{number}.png" for number in range(6)]
    places += [f"test/{{}}/0000{number}.png" for number in range(3)]
    expected = [
        (place.format(label), label, place.split("/")[0]) for place, label in zip(places, labels, strict=True)
    ]
    assert [listed(listing) for listing in listings] == [expected] * 6
    assert {listing.reader for listing in listings} == {"cifar10"}
    assert len({tuple(entry.read() for entry in listing.entries) for listing in listings}) == 1
    assert pixels(listings[0].entries[4]).tolist() == (
        batches["data_batch_2"][0][1].reshape(3, 32, 32).transpose(1, 2, 0).tolist()
    )
    assert [listing.entries[4].metadata for listing in listings[:2]] == [
        "{}",
        '{"file_name":"data_batch_2-1.png"}',
    ]


def test_cifar100_has_fine_labels_and_the_coarse_ones_beside(tmp_path):
    images = np.zeros((2, 3072), np.uint8)
    for name in ("train", "test"):
        (tmp_path / name).write_bytes(
            pickled(images, filenames=["a.png", "b.png"], fine_labels=[4, 99], coarse_labels=[0, 13])
        )
    (tmp_path / "meta").write_bytes(b"")

    listing = readers.read(tmp_path)

    assert [(entry.key, entry.split, json.loads(entry.metadata)) for entry in listing.entries[:2]] == [
        ("train/beaver/00000.png", "train", {"coarse_label": "aquatic_mammals", "file_name": "a.png"}),
        ("train/worm/00001.png", "train", {"coarse_label": "non-insect_invertebrates", "file_name": "b.png"}),
    ]
    assert (len(set(class_names.CIFAR100)), len(set(class_names.COARSE))) == (100, 20)
    assert list(class_names.CIFAR100) == sorted(class_names.CIFAR100)


@pytest.mark.parametrize("fortran", [False, True])
def test_an_array_is_read_in_either_order(fortran):
    images = np.random.default_rng(0).integers(0, 256, (3, 3072), np.uint8)

    values = read_pickled(pickled(images, fortran=fortran, labels=[1, 2, 3]), source="The file 'train'")

    assert np.array_equal(values["data"], images)
    assert values["labels"] == [1, 2, 3]


class Harm:
    """What runs when it is unpickled."""

    def __reduce__(self):
        return print, ("harm",)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (pickle.dumps({"data": Harm()}, 2), "it names '__builtin__ print', which has no business here"),
        (b"\x80\x02cos\nsystem\n(U\x02lstR.", "it names 'os system', which has no business here"),
        (b"(S'ls'\nios\nsystem\n.", "it has an instruction STRING, which has no business here"),
        (b"\x80\x02}K\x01R.", "it calls or changes something"),
        (b"\x80\x02cnumpy\ndtype\nK\x01R.", "it calls something"),
        (b"\x80\x02]}K\x01K\x02sa.", "it has a key that is no text"),
        (b"\x80\x02}U\x04datacnumpy\ndtype\ns.", "it holds an array that is not one of bytes"),
        (b"\x80\x02]K\x01a.", "it is no dictionary"),
        (b"\x80\x02}", "it is damaged"),
        (b"", "it is damaged"),
    ],
)
def test_a_pickle_that_does_anything_else_is_refused_and_nothing_runs(capsys, data, reason):
    with pytest.raises(InvalidError) as caught:
        read_pickled(data, source="The file 'train'")

    assert str(caught.value) == f"The file 'train' cannot be read: {reason}."
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"labels": [1]}, "it holds 1 labels for an array of (2, 3072)"),
        ({"labels": [1, 10]}, "it has a label 10, but there are 10 classes"),
        ({"labels": [1, 2], "filenames": ["a"]}, "its lists are not equally long"),
        ({"labels": [1, 2], "filenames": [1, 2]}, "what should be a list of labels is something else"),
    ],
)
def test_a_batch_that_does_not_fit_is_refused(tmp_path, columns, message):
    (tmp_path / "data_batch_1").write_bytes(pickled(np.zeros((2, 3072), np.uint8), **columns))

    with pytest.raises(InvalidError) as caught:
        readers.read(tmp_path)

    assert str(caught.value) == f"The file 'data_batch_1' cannot be read: {message}."


def test_hotdog_is_read_from_its_zip_and_from_what_it_unpacks_to(make_folder):
    root = make_folder({"hotdog/train/hotdog": 1, "hotdog/train/not-hotdog": 1, "hotdog/test/hotdog": 1})
    path = root / "hotdog.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.png")):
            archive.write(file, file.relative_to(root))

    packed = [
        readers.read_named("hotdog", lambda file: path),
        readers.read_copy(root, "hotdog"),
    ]
    path.unlink()
    unpacked = readers.read_copy(root, "hotdog")

    assert [listed(listing) for listing in packed] == [listed(unpacked)] * 2
    assert listed(unpacked) == [
        ("test/hotdog/0.png", "hotdog", "test"),
        ("train/hotdog/0.png", "hotdog", "train"),
        ("train/not-hotdog/0.png", "not-hotdog", "train"),
    ]
    assert {listing.reader for listing in (*packed, unpacked)} == {"hotdog"}


def test_an_unknown_set_and_a_folder_without_the_set_are_not_found(tmp_path):
    with pytest.raises(NotFoundError) as unknown:
        readers.read_named("mnst", no_download)
    with pytest.raises(NotFoundError) as absent:
        readers.read_copy(tmp_path, "cifar10")

    assert (str(unknown.value), unknown.value.hint) == (
        "There is no data set 'mnst'.",
        "Did you mean 'mnist'?",
    )
    assert str(absent.value) == f"There is no copy of the set in {str(tmp_path)!r}."


def test_a_set_that_cannot_be_fetched_names_its_first_file_and_the_way_with_a_copy():
    asked = []

    def locate(file):
        asked.append(file.name)
        raise FetchError(f"There is nothing at {file.urls[0]!r} (404 Not Found).", hint="Check the address.")

    with pytest.raises(FetchError) as caught:
        readers.read_named("fashion-mnist", locate)

    assert asked == ["train-images-idx3-ubyte.gz"]
    assert str(caught.value) == (
        "There is nothing at 'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
        "train-images-idx3-ubyte.gz' (404 Not Found)."
    )
    assert caught.value.hint == (
        "Check the address. Or add a copy of the set: "
        "regraft dataset add fashion-mnist FOLDER --reader fashion-mnist."
    )


def test_every_set_says_whose_it_is_and_how_its_files_are_known():
    facts = {
        name: (found.name, bool(found.title and found.licence and (found.homepage or not found.files)))
        for name, found in SETS.items()
    }
    files = [file for found in SETS.values() for file in found.files]

    assert facts == {name: (name, True) for name in SETS}
    assert list(SETS) == [
        *("digits", "planted", "planted-clean"),
        *("mnist", "fashion-mnist", "cifar10", "cifar100", "hotdog"),
    ]
    assert len(files) == 11
    assert [file.name for file in files if not (file.sha256 or file.sha1 or file.md5) or not file.urls] == []


@pytest.mark.parametrize("shape", [(1, 1), (8, 8), (28, 28), (3, 5, 3), (300, 400, 3)])
def test_bare_pixels_become_a_png_that_keeps_them(shape):
    array = np.random.default_rng(0).integers(0, 256, shape, np.uint8)

    data = Drawn(array)()

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), array)
    assert pictures.check(data) == (shape[1], shape[0])


def listed(listing):
    return [(entry.key, entry.label, entry.split) for entry in listing.entries]


def pixels(entry):
    return np.asarray(Image.open(io.BytesIO(entry.read())))


def no_download(file):
    raise AssertionError(f"{file.name} was asked for")


def idx(array):
    head = bytes([0, 0, 8, array.ndim]) + b"".join(side.to_bytes(4, "big") for side in array.shape)
    return head + array.tobytes()


def pickled(images, *, fortran=False, **lists):
    """Return a batch as Python 2 pickled it, opcode by opcode."""

    def word(text):
        return b"U" + bytes([len(text)]) + text.encode()

    def item(value):
        return word(value) if isinstance(value, str) else b"K" + bytes([value])

    parts = [b"\x80\x02}q\x01("]
    for name, values in lists.items():
        parts += [word(name), b"]q\x02(", *map(item, values), b"e"]
    parts += [
        word("data"),
        b"cnumpy.core.multiarray\n_reconstruct\nq\x03cnumpy\nndarray\nq\x04K\x00\x85"
        + word("b")
        + b"\x87Rq\x05",
        b"(K\x01M" + struct.pack("<H", len(images)) + b"M\x00\x0c\x86cnumpy\ndtype\nq\x06" + word("u1"),
        b"K\x00K\x01\x87R(K\x03" + word("|") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb",
        b"\x88T" if fortran else b"\x89T",
        struct.pack("<i", images.size) + images.tobytes("F" if fortran else "C"),
        b"tbu.",
    ]
    return b"".join(parts)
