"""Arrays kept in the cache beside a segment: verified, and taken for missing where damaged."""

import numpy as np
import pytest

from regraft.store.sidecars import Sidecars

SEGMENT = "ab" * 32
ARRAY = np.array([(1, 2.5), (3, -1.0)], dtype=[("row", "<i4"), ("value", "<f8")])


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_an_array_is_read_back_as_it_was_written(tmp_path):
    sidecars = Sidecars(tmp_path, "facts-1")

    sidecars.write(SEGMENT, ARRAY)

    found = sidecars.read(SEGMENT)
    assert (found.dtype, found.tolist()) == (ARRAY.dtype, ARRAY.tolist())
    assert files(tmp_path) == [f"facts-1/{SEGMENT}.npy"]


def test_what_was_never_written_is_missing(tmp_path):
    sidecars = Sidecars(tmp_path, "facts-1")

    found = sidecars.read(SEGMENT)

    assert found is None
    assert files(tmp_path) == []


def test_one_kind_does_not_see_another(tmp_path):
    Sidecars(tmp_path, "facts-1").write(SEGMENT, ARRAY)

    found = Sidecars(tmp_path, "facts-2").read(SEGMENT)

    assert found is None


def test_what_another_process_has_written_stays(tmp_path):
    sidecars = Sidecars(tmp_path, "facts-1")
    sidecars.write(SEGMENT, ARRAY)
    before = (tmp_path / "facts-1" / f"{SEGMENT}.npy").stat().st_ino

    sidecars.write(SEGMENT, ARRAY)

    assert (tmp_path / "facts-1" / f"{SEGMENT}.npy").stat().st_ino == before
    assert files(tmp_path) == [f"facts-1/{SEGMENT}.npy"]


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-1], lambda data: data[:40] + b"!" + data[41:], lambda data: b""]
)
def test_a_damaged_array_is_missing_and_makes_room_for_a_new_one(tmp_path, damage):
    sidecars = Sidecars(tmp_path, "facts-1")
    sidecars.write(SEGMENT, ARRAY)
    path = tmp_path / "facts-1" / f"{SEGMENT}.npy"
    path.chmod(0o644)
    path.write_bytes(damage(path.read_bytes()))

    found = sidecars.read(SEGMENT)

    assert found is None
    assert files(tmp_path) == []
    sidecars.write(SEGMENT, ARRAY)
    assert sidecars.read(SEGMENT).tolist() == ARRAY.tolist()


def test_no_array_carries_python_objects(tmp_path):
    sidecars = Sidecars(tmp_path, "facts-1")

    with pytest.raises(ValueError, match="Object arrays cannot be saved"):
        sidecars.write(SEGMENT, np.array([{"a": 1}], dtype=object))

    assert files(tmp_path) == []
