"""Parquet: embedded pictures and paths, in the layouts of Hugging Face and of our own export."""

from __future__ import annotations

import datetime
import json
import random

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regraft.data.parallel import ordered
from regraft.data.sources import parquet, readers
from regraft.data.sources.readers import Source
from regraft.errors import InvalidArchive, InvalidError, InvalidPicture

NAMES = ["cat", "dog"]


@pytest.fixture
def write(tmp_path):
    """Write a Parquet file: `write("a.parquet", {"image": [...], ...}, classes={"label": [...]})`."""

    def make(name, columns, classes=None, **options):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        features = {
            column: {"names": names, "_type": "ClassLabel"} for column, names in (classes or {}).items()
        }
        facts = {"huggingface": json.dumps({"info": {"features": features}})}
        table = pa.table(columns).replace_schema_metadata(facts if classes else None)
        pq.write_table(table, path, **options)
        return path

    return make


def embedded(*pictures):
    return [{"bytes": data, "path": name} for name, data in pictures]


def test_a_folder_of_the_hub_has_splits_by_file_and_labels_by_number(write, tmp_path):
    for name, pictures in {
        "data/train-00000-of-00002.parquet": embedded(("1.jpg", b"a"), ("2.jpg", b"b")),
        "data/train-00001-of-00002.parquet": embedded(("3.jpg", b"c")),
        "data/test-00000-of-00001.parquet": embedded(("4.jpg", b"d")),
    }.items():
        labels = [number % 2 for number in range(len(pictures))]
        write(name, {"image": pictures, "label": labels}, classes={"label": NAMES})
    (tmp_path / "README.md").write_text("A dataset.")

    listing = readers.read(tmp_path)

    assert [(entry.key, entry.label, entry.split, entry.read()) for entry in listing.entries] == [
        ("4.jpg", "cat", "test", b"d"),
        ("1.jpg", "cat", "train", b"a"),
        ("2.jpg", "dog", "train", b"b"),
        ("3.jpg", "cat", "train", b"c"),
    ]
    assert (listing.reader, listing.refused) == ("parquet", [])


@pytest.mark.parametrize("paths", [[None, None], ["same.jpg", "same.jpg"], ["/home/me/a.jpg", "b.jpg"]])
def test_pictures_without_good_names_are_called_by_their_place(write, paths):
    pictures = embedded(*zip(paths, (b"a", b"b"), strict=True))
    path = write("train-00000-of-00001.parquet", {"img": pictures, "label": ["x", "y"]})

    listing = readers.read(path)

    assert [(entry.key, entry.label, entry.split, entry.read()) for entry in listing.entries] == [
        ("train-00000-of-00001/000000", "x", "", b"a"),
        ("train-00000-of-00001/000001", "y", "", b"b"),
    ]


def test_an_export_of_our_own_keeps_everything(write):
    path = write(
        "hotdog.parquet",
        {
            "key": ["train/a.png", "test/b.png"],
            "image": [b"a", b"b"],
            "label": ["hotdog", "other"],
            "split": ["train", "test"],
            "group": ["1", ""],
            "metadata": ['{"camera":"X"}', "{}"],
        },
    )

    listing = readers.read(path)

    assert [
        (entry.key, entry.label, entry.split, entry.group, entry.metadata, entry.read())
        for entry in listing.entries
    ] == [
        ("train/a.png", "hotdog", "train", "1", '{"camera":"X"}', b"a"),
        ("test/b.png", "other", "test", "", "{}", b"b"),
    ]


def test_other_columns_are_metadata(write):
    path = write(
        "a.parquet",
        {
            "image": [b"a"],
            "label": [0],
            "coarse": [1],
            "text": ["ü"],
            "number": [1.5],
            "nothing": pa.array([None], pa.string()),
            "odd": [float("nan")],
            "day": [datetime.date(2024, 2, 3)],
            "kind": pa.array(["k"]).dictionary_encode(),
            "list": [[1, 2]],
            "other": [b"bytes"],
        },
        classes={"label": NAMES, "coarse": ["plant", "animal"]},
    )

    (entry,) = readers.read(path, Source(columns={"image": "image"})).entries

    assert (entry.label, json.loads(entry.metadata)) == (
        "cat",
        {"coarse": "animal", "text": "ü", "number": 1.5, "day": "2024-02-03", "kind": "k"},
    )


def test_paths_in_place_of_pictures_are_read_from_the_root(write, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(b"a")
    plain = write("plain.parquet", {"path": ["a.png", "../x.png"], "label": ["cat", "dog"]})
    parts = pa.array(
        embedded(("a.png", None), ("b.png", None)), pa.struct({"bytes": pa.binary(), "path": "str"})
    )
    struct = write("struct.parquet", {"image": parts, "label": ["cat", "dog"]})

    listings = [readers.read(path, Source(root=tmp_path / "photos")) for path in (plain, struct)]

    found = [[(entry.key, entry.read()) for entry in listing.entries] for listing in listings]
    assert found == [[("a.png", b"a")], [("a.png", b"a")]]
    assert [item.reason for listing in listings for item in listing.refused] == [
        "plain/000001: outside the list's folder: give its folder with --root",
        "struct/000001: there is no such file below the list's folder, or --root",
    ]


def test_rows_that_cannot_be_used_are_refused_by_their_place(write):
    path = write(
        "a.parquet",
        {"image": [b"a", b"b", b"c", None], "label": [0, -1, 2, 1]},
        classes={"label": NAMES},
    )

    listing = readers.read(path)

    assert [entry.key for entry in listing.entries] == ["a/000000", "a/000003"]
    assert [item.reason for item in listing.refused] == [
        "a/000001: no label",
        "a/000002: 2 is the number of no class",
    ]
    with pytest.raises(InvalidPicture) as caught:
        listing.entries[1].read()
    assert str(caught.value) == "no picture in this row."


@pytest.mark.parametrize("size", [7, 100, 1000])
def test_threads_read_pictures_of_many_row_groups_in_order(write, size):
    chance = random.Random(0)
    pictures = [chance.randbytes(chance.randrange(1, 3000)) for _ in range(300)]
    path = write("a.parquet", {"image": pictures, "label": ["x"] * 300}, row_group_size=size)

    listing = readers.read(path)

    assert list(ordered(lambda entry: entry.read(), listing.entries)) == pictures
    assert [listing.entries[at].read() for at in (299, 5, 150, 149, 0)] == [
        pictures[at] for at in (299, 5, 150, 149, 0)
    ]


def test_pictures_in_a_damaged_part_are_refused_one_by_one(write):
    chance = random.Random(0)
    pictures = [chance.randbytes(200) for _ in range(60)]
    columns = {"image": pictures, "label": ["x"] * 60}
    path = write("a.parquet", columns, row_group_size=20, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    start = data.index(pictures[20])
    data[start - 30 : start] = b"\xff" * 30  # what stands before the pictures of the second row group
    path.write_bytes(data)

    results = []
    for entry in readers.read(path).entries:
        try:
            results.append(entry.read())
        except InvalidPicture as error:
            results.append(str(error).startswith("the Parquet file is damaged here ("))

    assert results == [*pictures[:20], *[True] * 20, *pictures[40:]]


@pytest.mark.parametrize(
    ("columns", "message", "hint"),
    [
        (
            {"label": ["x"]},
            "The Parquet file {path!r} has no column for pictures or their paths.",
            "Name it 'image', or say which it is with --column image=NAME. There are: 'label'.",
        ),
        (
            {"image": [b"a"], "kind": ["x"]},
            "The Parquet file {path!r} has no column for the labels.",
            "Name it 'label', or say which it is with --column label=NAME. There are: 'image', 'kind'.",
        ),
    ],
)
def test_a_file_without_the_columns_is_refused(write, columns, message, hint):
    path = write("a.parquet", columns)

    with pytest.raises(InvalidError) as caught:
        readers.read(path)

    assert (str(caught.value), caught.value.hint) == (message.format(path=str(path)), hint)


def test_a_single_column_of_classes_is_the_label_and_of_two_one_must_be_named(write):
    one = write("one.parquet", {"img": [b"a"], "fine": [1]}, classes={"fine": NAMES})
    two = write(
        "two.parquet", {"img": [b"a"], "fine": [1], "top": [0]}, classes={"fine": NAMES, "top": NAMES}
    )

    assert [entry.label for entry in readers.read(one).entries] == ["dog"]
    assert [entry.label for entry in readers.read(two, Source(columns={"label": "top"})).entries] == ["cat"]
    with pytest.raises(InvalidError):
        readers.read(two)


def test_a_truncated_file_and_one_of_too_many_rows_are_refused(write, monkeypatch):
    path = write("a.parquet", {"image": [b"a", b"b"], "label": ["x", "y"]})
    whole = path.read_bytes()

    path.write_bytes(whole[:-20])
    with pytest.raises(InvalidArchive, match="is truncated or damaged"):
        readers.read(path)
    path.write_bytes(whole)
    monkeypatch.setattr(parquet, "MAX_ROWS", 1)
    with pytest.raises(InvalidError, match="has more than 1 rows"):
        readers.read(path)
