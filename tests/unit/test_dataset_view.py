"""A version of a dataset as a program sees it: rows, pictures, folds."""

import multiprocessing
import pickle
from concurrent.futures import ProcessPoolExecutor

import pytest

from regraft.data import ingest
from regraft.data.sources.listing import Entry, Listing
from regraft.errors import InvalidError, NotFoundError
from regraft.progress import silent
from regraft.records import Refused, SplitRule
from regraft.store.opening import open_store
from regraft.workspace.dataset import Dataset


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "workspace")


@pytest.fixture
def make(store, draw, encoded):
    """Store pictures as a dataset, each given by label, split and group: `make([("cat", "train", "")])`."""

    def build(pictures, *more):
        entries = [
            Entry(
                key=f"{label}/{number}.png",
                label=label,
                split=split,
                group=group,
                read=lambda number=number: encoded(draw(number), "PNG"),
            )
            for number, (label, split, group) in enumerate(pictures)
        ]
        listing = Listing(reader="test", entries=[*entries, *more])
        rule = SplitRule(fractions={}, seed=0)
        return Dataset(store, ingest.add(store, "photos", listing, rule, silent).version)

    return build


PICTURES = [
    ("cat", "train", ""),
    ("dog", "train", ""),
    ("cat", "test", ""),
    ("dog", "test", "d"),
    ("cat", "val", ""),
]


def keys(rows):
    return [row.key for row in rows]


def test_rows_are_found_by_position_and_by_key(make):
    dataset = make(PICTURES)

    rows = list(dataset)

    assert keys(rows) == ["cat/0.png", "dog/1.png", "cat/2.png", "dog/3.png", "cat/4.png"]
    assert len(dataset) == 5
    assert [dataset[position] for position in range(-5, 5)] == rows + rows
    assert [dataset[row.key] for row in rows] == rows
    assert [dataset[1:], dataset[::-2], dataset[3:99], dataset[4:1]] == [rows[1:], rows[::-2], rows[3:], []]


def test_all_pictures_or_some_are_read_in_order(make, draw, encoded):
    dataset = make(PICTURES)
    bodies = [encoded(draw(number), "PNG") for number in range(5)]

    every, some = list(dataset.read_all()), list(dataset.read_all(dataset.rows(label="cat")))

    assert every == list(zip(dataset, bodies, strict=True))
    assert some == [every[0], every[2], every[4]]


def test_what_is_not_there_is_said(make):
    dataset = make(PICTURES)

    with pytest.raises(IndexError, match=r"^row 5 of 5$"):
        dataset[5]
    with pytest.raises(NotFoundError) as caught:
        dataset["cat/0.jpg"]

    assert str(caught.value) == "No picture has the key 'cat/0.jpg'."
    assert caught.value.hint == "Did you mean 'cat/0.png'?"


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["cat/0.png", "dog/1.png", "cat/2.png", "dog/3.png", "cat/4.png"]),
        ({"split": "test"}, ["cat/2.png", "dog/3.png"]),
        ({"label": "cat"}, ["cat/0.png", "cat/2.png", "cat/4.png"]),
        ({"split": "train", "label": "dog"}, ["dog/1.png"]),
        ({"split": "val", "label": "dog"}, []),
    ],
)
def test_rows_are_chosen_by_split_and_label(make, asked, found):
    dataset = make(PICTURES)

    rows = list(dataset.rows(**asked))

    assert keys(rows) == found
    assert rows == [dataset[key] for key in found]


@pytest.mark.parametrize(
    ("asked", "message", "hint", "where"),
    [
        ({"split": "tests"}, "The dataset has no split 'tests'.", "Did you mean 'test'?", "split"),
        ({"split": "x"}, "The dataset has no split 'x'.", "It has: 'train', 'val', 'test'.", "split"),
        ({"label": "horse"}, "The dataset has no label 'horse'.", "It has: 'cat', 'dog'.", "label"),
    ],
)
def test_an_unknown_split_or_label_is_refused_at_once(make, asked, message, hint, where):
    dataset = make(PICTURES)

    with pytest.raises(InvalidError) as caught:
        dataset.rows(**asked)

    assert (str(caught.value), caught.value.hint, caught.value.where) == (message, hint, where)


def test_a_picture_is_upright_and_rgb(make, draw, encoded):
    grey = draw(7, (30, 20), "L")
    exif = grey.getexif()
    exif[0x0112] = 6  # to be turned by a quarter
    data = encoded(grey, "PNG", exif=exif)
    dataset = make([], Entry(key="cat/0.png", label="cat", split="train", read=lambda: data))

    image = dataset.image(dataset[0])

    assert (image.mode, image.size) == ("RGB", (20, 30))
    assert image.tobytes() == grey.convert("RGB").rotate(-90, expand=True).tobytes()
    assert dataset.read(dataset[0]) == data


def test_labels_and_refused_files_are_told(make):
    broken = Entry(key="cat/broken.png", label="cat", split="train", read=lambda: b"")

    dataset = make(PICTURES, broken)

    assert dataset.labels == ("cat", "dog")
    digest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert dataset.refused == (
        Refused(key="cat/broken.png", reason="empty file", digest=digest, label="cat"),
    )


def test_opening_a_version_reads_no_table(store, make):
    version = make(PICTURES).version
    for path in [path for path in (store.root / "blobs").rglob("*") if path.is_file()]:
        path.unlink()

    dataset = Dataset(store, version)

    assert (len(dataset), dataset.labels) == (5, ("cat", "dog"))


def test_folds_hold_every_picture_out_once_and_keep_families_together(store, make):
    bursts = [(label, "train", f"{label} {number // 2}") for label in ("cat", "dog") for number in range(12)]
    dataset = make([*bursts, ("cat", "val", ""), ("dog", "test", ""), ("cat", "test", "")])
    before = sorted(store.root.rglob("*"))

    pairs = dataset.folds(3, seed=5)

    usable = [row for row in dataset if row.split != "test"]
    assert sorted(keys(row for _, held in pairs for row in held)) == sorted(keys(usable))
    for learn, held in pairs:
        assert sorted(keys(learn + held)) == sorted(keys(usable))
        assert {row.family for row in learn} & {row.family for row in held} == set()
        assert sum(row.label == "dog" for row in held) == 4
    assert dataset.folds(3, seed=5) == pairs
    assert dataset.folds(3, seed=6) != pairs
    assert sorted(store.root.rglob("*")) == before


@pytest.mark.parametrize("k", [0, 1, 4])
def test_there_are_no_more_folds_than_families(make, k):
    dataset = make([("cat", "train", "a"), ("cat", "train", "a"), ("dog", "train", ""), ("dog", "val", "")])

    with pytest.raises(InvalidError) as caught:
        dataset.folds(k)

    assert str(caught.value) == f"There are no {k} folds of 3 pictures or families outside of 'test'."
    assert caught.value.hint == "Take at least 2, and at most as many as there are families."


def test_a_pickled_dataset_is_the_same(make):
    dataset = make(PICTURES)

    other = pickle.loads(pickle.dumps(dataset))

    assert (other.version, list(other), other["dog/1.png"]) == (dataset.version, list(dataset), dataset[1])
    assert other.read(other[3]) == dataset.read(dataset[3])


@pytest.mark.parametrize("start", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_another_process_reads_what_this_one_does(make, start):
    dataset = make(PICTURES)
    rows = list(dataset)  # this process has read something before the other one begins

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as pool:
        found = pool.submit(dataset.__getitem__, slice(None)).result()
        data = list(pool.map(dataset.read, rows))

    assert found == rows
    assert data == [dataset.read(row) for row in rows]
