"""Row tables in segments that versions share."""

import pyarrow as pa
import pytest

from regraft.errors import IntegrityError
from regraft.records import Row
from regraft.store import tables
from regraft.store.blobs import Blobs
from regraft.store.storage import Folder
from regraft.store.tables import append_rows, read_rows, to_parquet, write_rows


def rows(count, **changes):
    return [
        Row(
            **{
                "key": f"katze/bild {number} 猫.jpg",
                "digest": f"{number:064x}",
                "pack": "ab" * 32,
                "offset": number * 2**33,
                "length": number,
                "label": "Kätzchen",
                "split": "train",
                "group": f"g{number % 2}",
                "width": 640,
                "height": 480,
                "metadata": '{"camera": "α"}',
                **changes,
            }
        )
        for number in range(count)
    ]


def test_rows_are_read_back_as_they_were_written(tmp_path):
    blobs = Blobs(Folder(tmp_path), "blobs")

    segments = write_rows(blobs, rows(5))

    assert [segment.count for segment in segments] == [5]
    assert list(read_rows(blobs, segments)) == rows(5)


def test_no_rows_are_no_segment(tmp_path):
    blobs = Blobs(Folder(tmp_path), "blobs")

    segments = write_rows(blobs, [])

    assert segments == ()
    assert list(read_rows(blobs, segments)) == []


def test_appended_rows_share_the_full_segments(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "SEGMENT", 4)
    blobs = Blobs(Folder(tmp_path), "blobs")
    before = write_rows(blobs, rows(10))

    after = write_rows(blobs, rows(13))

    assert [len(before), len(after)] == [3, 4]
    assert after[:2] == before[:2]
    assert after[2] != before[2]
    assert list(read_rows(blobs, after)) == rows(13)
    assert list(read_rows(blobs, before)) == rows(10)


def test_rows_are_appended_to_the_last_segment_that_is_not_full(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "SEGMENT", 4)
    blobs = Blobs(Folder(tmp_path), "blobs")
    before = write_rows(blobs, rows(6))

    after = append_rows(blobs, before, rows(9)[6:])

    assert after == write_rows(blobs, rows(9))
    assert [segment.count for segment in after] == [4, 4, 1]
    assert append_rows(blobs, before, []) == before


def test_a_changed_label_changes_its_segment_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "SEGMENT", 4)
    blobs = Blobs(Folder(tmp_path), "blobs")
    before = write_rows(blobs, rows(12))

    after = write_rows(blobs, [*rows(12)[:5], rows(6, label="Hund")[5], *rows(12)[6:]])

    assert [new == old for new, old in zip(after, before, strict=True)] == [True, False, True]


def test_equal_tables_give_equal_bytes():
    table = pa.table({"name": ["a", "b"], "number": [1.5, None]})

    first, second = to_parquet(table), to_parquet(pa.table(table.to_pydict()))

    assert bytes(first) == bytes(second)


def test_a_damaged_segment_is_not_read(tmp_path):
    blobs = Blobs(Folder(tmp_path), "blobs")
    (segment,) = write_rows(blobs, rows(5))
    name = blobs.name(segment.digest)
    path = tmp_path / name
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-1] + b"!")

    with pytest.raises(IntegrityError) as caught:
        list(read_rows(blobs, [segment]))

    assert str(caught.value) == f"The stored file {name!r} is damaged."
