"""Rows by position, key, content and family, without reading the tables that are not asked for."""

import pickle
from statistics import median
from time import perf_counter

import pytest

from regraft.errors import IntegrityError, NotFoundError
from regraft.records import Row
from regraft.store import tables
from regraft.store.opening import open_store
from regraft.store.rows import Rows
from regraft.store.tables import write_rows


def row(number, **changes):
    values = {
        "key": f"cat/{number}.jpg",
        "digest": f"{number:064x}",
        "pack": "ab" * 32,
        "offset": number * 10,
        "length": 10,
        "label": "cat",
        "split": "train",
        "group": f"burst {number // 3}" if number % 2 else "",
        "width": 640,
        "height": 480,
    }
    return Row(**{**values, **changes})


ROWS = [row(number) for number in range(10)]


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "workspace")


@pytest.fixture
def stored(store, monkeypatch):
    """Ten rows in segments of four."""
    monkeypatch.setattr(tables, "SEGMENT", 4)
    return Rows(store.blobs, write_rows(store.blobs, ROWS), store.cache)


def forget(store, segment):
    """Take the table of a segment away."""
    (store.root / store.blobs.name(segment.digest)).unlink()


def test_rows_stand_in_stored_order(stored):
    assert len(stored) == 10
    assert list(stored) == ROWS
    assert [stored.at(position) for position in range(-10, 10)] == ROWS + ROWS
    assert stored.part(range(8, 0, -3)) == ROWS[8:0:-3]


def test_no_segments_are_no_rows(store):
    rows = Rows(store.blobs, (), store.cache)

    assert (len(rows), list(rows), rows.find("key", ["cat/1.jpg"]), list(rows.tables())) == (0, [], [], [])
    with pytest.raises(IndexError, match=r"^row 0 of 0$"):
        rows.at(0)


@pytest.mark.parametrize("position", [10, -11])
def test_there_is_no_row_outside(stored, position):
    with pytest.raises(IndexError) as caught:
        stored.at(position)

    assert str(caught.value) == f"row {position} of 10"


def test_a_row_is_found_by_its_key(stored):
    found = [stored.by_key(item.key) for item in ROWS]

    assert found == ROWS


def test_a_misspelt_key_names_its_neighbour(stored):
    with pytest.raises(NotFoundError) as caught:
        stored.by_key("cat/7.jpeg")

    assert str(caught.value) == "No picture has the key 'cat/7.jpeg'."
    assert caught.value.hint == "Did you mean 'cat/7.jpg'?"


@pytest.mark.parametrize(
    ("fact", "values", "numbers"),
    [
        ("digest", [f"{7:064x}", f"{99:064x}", f"{2:064x}"], [2, 7]),
        ("family", ["burst 1", f"~{0:016x}"], [0, 2, 3, 4, 5, 6, 8]),
        ("family", ["burst 1"], [3, 5]),
        ("key", [], []),
    ],
)
def test_rows_are_found_by_content_and_family(stored, fact, values, numbers):
    found = stored.find(fact, values)

    assert sorted(item.offset // 10 for item in found) == numbers


def test_only_the_table_of_a_position_is_read(store, stored):
    for segment in (stored.segments[0], stored.segments[2]):
        forget(store, segment)

    assert stored.at(5) == ROWS[5]
    with pytest.raises(IntegrityError):
        stored.at(0)


def test_the_index_is_kept_and_only_the_table_of_a_found_key_is_read(store, stored):
    stored.by_key(ROWS[5].key)
    for segment in (stored.segments[0], stored.segments[2]):
        forget(store, segment)

    found = Rows(store.blobs, stored.segments, store.cache).by_key(ROWS[5].key)

    assert found == ROWS[5]


def test_the_cache_may_be_deleted(store, stored):
    stored.by_key(ROWS[5].key)
    for path in [path for path in store.cache.rglob("*") if path.is_file()]:
        path.unlink()

    found = Rows(store.blobs, stored.segments, store.cache).by_key(ROWS[5].key)

    assert found == ROWS[5]


def test_some_columns_are_read_alone(stored):
    found = [table.to_pydict() for table in stored.tables(["key"])]

    assert found == [{"key": [item.key for item in ROWS[start : start + 4]]} for start in (0, 4, 8)]


def test_tables_do_not_travel_with_the_rows(stored):
    fresh = len(pickle.dumps(stored))
    assert (stored.at(0), stored.by_key(ROWS[9].key)) == (ROWS[0], ROWS[9])

    data = pickle.dumps(stored)

    assert len(data) == fresh
    assert list(pickle.loads(data)) == ROWS


def test_a_row_of_many_is_there_within_a_millisecond(store):
    segments = write_rows(store.blobs, (row(number) for number in range(30_000)))
    rows = Rows(store.blobs, segments, store.cache)
    places = range(0, 30_000, 301)
    warm = [(rows.at(place), rows.by_key(f"cat/{place}.jpg")) for place in places]

    times = {"position": [], "key": []}
    for place in places:
        start = perf_counter()
        rows.at(place)
        middle = perf_counter()
        rows.by_key(f"cat/{place}.jpg")
        times["position"].append(middle - start)
        times["key"].append(perf_counter() - middle)

    assert all(one == other for one, other in warm)
    assert {name: median(taken) < 0.001 for name, taken in times.items()} == {"position": True, "key": True}
