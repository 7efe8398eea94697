"""A store beside another one has all of it, and takes what is written with it when it ends."""

import pytest

from regraft.errors import ConflictError
from regraft.store.aside import Overlay, aside
from regraft.store.leases import lease, oldest
from regraft.store.opening import open_store
from regraft.store.storage import Folder
from regraft.workspace.datasets import Datasets


def silent(task, done, total):
    """Tell nobody."""


@pytest.fixture
def places(tmp_path):
    lower, upper = Folder(tmp_path / "lower"), Folder(tmp_path / "upper")
    lower.put("models/a/v1.json", b"below", point="blob")
    return lower, upper, Overlay(lower, upper)


def names(storage, folder):
    return sorted(found.name for found in storage.list(folder))


def test_what_is_below_is_read_and_what_is_written_stands_above(places):
    lower, upper, both = places

    both.put("models/a/v2.json", b"above", point="blob")

    assert [both.read(f"models/a/v{number}.json") for number in (1, 2, 3)] == [b"below", b"above", None]
    assert both.read("models/a/v1.json", offset=1, length=3) == b"elo"
    assert names(both, "models") == ["models/a/v1.json", "models/a/v2.json"]
    assert (names(lower, ""), names(upper, "")) == (["models/a/v1.json"], ["models/a/v2.json"])


def test_a_name_that_is_below_cannot_be_put(places):
    _, upper, both = places

    with pytest.raises(ConflictError):
        both.put("models/a/v1.json", b"another", point="blob")

    assert names(upper, "") == []


def test_what_is_swapped_or_removed_is_so_above_alone(places):
    lower, _, both = places
    lower.put("tags/a.json", b"1", point="blob")

    both.swap("tags/a.json", b"2", point="blob")
    both.remove("models/a/v1.json")

    assert (both.read("tags/a.json"), lower.read("tags/a.json")) == (b"2", b"1")
    assert (both.find("models/a/v1.json"), both.renew("models/a/v1.json")) == (None, False)
    assert (names(both, ""), lower.read("models/a/v1.json")) == (["tags/a.json"], b"below")


def test_what_was_removed_can_be_put_again(places):
    _, _, both = places
    both.remove("models/a/v1.json")

    both.put("models/a/v1.json", b"again", point="blob")

    assert (both.read("models/a/v1.json"), names(both, "")) == (b"again", ["models/a/v1.json"])


def test_a_dataset_that_grows_aside_stays_as_it_was(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 4, "dog": 4}))
    store = open_store(workspace.path)

    with aside(store) as beside:
        added = Datasets(beside, silent).add("photos", make_folder({"cat": 6, "dog": 4}))
        with lease(beside.storage):
            held = (oldest(beside.storage) is not None, oldest(store.storage))
        seen = (str(added.version), added.new_pictures, added.record.count)

    assert (seen, held) == (("photos:v2", 2, 10), (True, None))
    assert [str(version) for version in workspace.datasets.list()] == ["photos:v1"]
    assert workspace.store.verify().faults == ()
    assert list(store.cache.glob("aside-*")) == []


def test_a_store_aside_goes_whatever_happens_in_it(workspace):
    store = open_store(workspace.path)

    def fail():
        with aside(store) as beside:
            beside.blobs.put(b"some bytes")
            raise KeyError

    with pytest.raises(KeyError):
        fail()

    assert list(store.cache.glob("aside-*")) == []
