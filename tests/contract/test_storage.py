"""Every storage fulfils one contract: a folder, and an object storage."""

import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pytest

from regraft import durable
from regraft.errors import ConflictError, IntegrityError, StorageError
from regraft.records import Record, digest
from regraft.store.blobs import Blobs
from regraft.store.catalog import Catalog
from regraft.store.leases import condemn, lease, oldest, reuse
from regraft.store.objects import Objects
from regraft.store.storage import Folder, Found


class Note(Record):
    """The smallest record that has versions."""

    parent: str | None
    text: str


@pytest.fixture(params=["folder", "s3"])
def storage(request, tmp_path):
    if request.param == "folder":
        return Folder(tmp_path / "storage")
    return Objects(f"{request.getfixturevalue('make_bucket')()}/some/prefix")


def names(storage, folder):
    return sorted(found.name for found in storage.list(folder))


def tick(storage):
    """Wait until the clock of a storage has moved."""
    time.sleep(0.02 if isinstance(storage, Folder) else 1.05)  # that of an object storage has whole seconds


def together(count, call):
    """Call a function with 0, 1, ... at one moment in as many threads; return what each gave."""
    ready = threading.Barrier(count)

    def begin(index):
        ready.wait()
        return call(index)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(begin, range(count)))


def test_what_is_put_is_read(storage):
    storage.put("blobs/ab/cd", b"some ", bytearray(b"by"), memoryview(b"tes"), point="blob")

    data = storage.read("blobs/ab/cd")

    assert (type(data), data) == (bytes, b"some bytes")


def test_a_published_name_is_refused_and_keeps_its_bytes(storage):
    storage.put("models/net/v1.json", b"first", point="x")

    with pytest.raises(ConflictError) as caught:
        storage.put("models/net/v1.json", b"first", point="x")
    with pytest.raises(ConflictError):
        storage.put("models/net/v1.json", b"second", point="x")

    assert str(caught.value).endswith("models/net/v1.json' exists already.")
    assert storage.read("models/net/v1.json") == b"first"


def test_of_eight_writers_of_one_name_one_is_told_that_it_won(storage):
    def write(index):
        try:
            storage.put("models/net/v1.json", b"the same for all", point="x")
        except ConflictError:
            return "lost"
        return "won"

    said = [together(8, write)]
    storage.remove("models/net/v1.json")
    said.append(together(8, write))

    assert [sorted(words) for words in said] == [["lost"] * 7 + ["won"]] * 2


def test_ranges_are_read(storage):
    storage.put("pack", b"0123456789", point="x")

    parts = {
        (offset, length): storage.read("pack", offset=offset, length=length)
        for offset, length in [
            (0, 3),
            (4, 6),
            (8, 5),
            (10, 1),
            (20, 1),
            (3, 0),
            (0, None),
            (7, None),
            (12, None),
        ]
    }

    assert parts == {
        (0, 3): b"012",
        (4, 6): b"456789",
        (8, 5): b"89",
        (10, 1): b"",
        (20, 1): b"",
        (3, 0): b"",
        (0, None): b"0123456789",
        (7, None): b"789",
        (12, None): b"",
    }


def test_what_is_not_there_is_none(storage):
    storage.put("a/b/c", b"x", point="x")

    found = [
        storage.read("a/b/d"),
        storage.read("a/b/c/d"),
        storage.read("a/b/d", offset=1, length=2),
        storage.read("a/b/d", length=0),
        storage.find("a/b/d"),
        storage.find("a/b/c/d"),
    ]

    assert found == [None] * 6


def test_an_empty_file_is_a_file(storage):
    storage.put("empty", point="x")

    found = storage.find("empty")

    assert found.size == 0
    assert [storage.read("empty"), storage.read("empty", length=5)] == [b"", b""]


def test_a_file_is_found_with_its_size_and_time(storage):
    before = time.time()
    storage.put("a/file", b"four", point="x")
    after = time.time()

    found = storage.find("a/file")

    assert found == Found(name="a/file", size=4, modified=found.modified)
    assert before - 1.1 < found.modified < after + 0.1  # some clocks have whole seconds
    assert list(storage.list("a")) == [found]


def test_a_listing_is_deep_and_knows_nothing_beside_its_folder(storage):
    for name in ("tags/a/x.json", "tags/a/b/c/y.json", "tags/ab/z.json", "tags/a.json", "other/a/x.json"):
        storage.put(name, b"{}", point="x")

    listed = {folder: names(storage, folder) for folder in ("tags/a", "tags", "tags/nothing", "tags/a.json")}

    assert listed == {
        "tags/a": ["tags/a/b/c/y.json", "tags/a/x.json"],
        "tags": ["tags/a.json", "tags/a/b/c/y.json", "tags/a/x.json", "tags/ab/z.json"],
        "tags/nothing": [],
        "tags/a.json": [],
    }


def test_drafts_are_not_listed(storage):
    for name in (f"models/{durable.DRAFT}0123", "models/net"):
        storage.swap(name, b"half", point="x")

    listed = names(storage, "models")

    assert listed == ["models/net"]


def test_a_listing_of_more_than_a_page_is_whole(storage):
    expected = [f"packs/{index % 7:02}/{index:04}" for index in range(1050)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda name: storage.swap(name, b"x", point="x"), expected))

    listed = names(storage, "packs")

    assert listed == sorted(expected)


@pytest.mark.parametrize(
    "name",
    ["crêpe", "猫", "Ünï-cödé_1.2", "a.b", "café" * 12, "x" * 100, "ﬁ", "한국어", "😀"],
)
def test_the_names_of_datasets_are_kept_to_the_letter(storage, name):
    file = f"datasets/{name}/v1.json"
    storage.put(file, b"{}", point="x")

    listed = [found.name for found in storage.list("datasets")]

    assert listed == [file]
    assert storage.read(file) == b"{}"
    assert storage.find(file).name == file


def test_a_swap_makes_and_replaces(storage):
    storage.swap("tags/best.json", b"one", point="x")
    storage.swap("tags/best.json", b"the second", point="x")

    data = storage.read("tags/best.json")

    assert data == b"the second"
    assert names(storage, "tags") == ["tags/best.json"]


def test_who_reads_during_swaps_sees_one_of_them_whole(storage):
    bodies = [bytes([65 + index]) * 50_000 for index in range(20)]
    storage.swap("tags/best.json", bodies[0], point="x")
    done = threading.Event()

    def act(index):
        if index:
            seen = set()
            while not done.is_set():
                seen.add(storage.read("tags/best.json"))
            return seen
        for body in bodies:
            storage.swap("tags/best.json", body, point="x")
        done.set()
        return set()

    seen = set().union(*together(4, act))

    assert seen <= set(bodies)
    assert seen
    assert storage.read("tags/best.json") == bodies[-1]


def test_a_touch_moves_the_time_forward_and_changes_nothing_else(storage):
    for name in ("packs/ab/cd", "packs/ab/cdef"):
        storage.put(name, b"bytes", point="x")
    before = storage.find("packs/ab/cd")
    other = storage.find("packs/ab/cdef")
    tick(storage)

    told = storage.renew("packs/ab/cd")

    after = storage.find("packs/ab/cd")
    assert told
    assert after.modified > before.modified
    assert after == Found(name="packs/ab/cd", size=5, modified=after.modified)
    assert sorted(storage.list("packs"), key=lambda found: found.name) == [after, other]
    assert storage.read("packs/ab/cd") == b"bytes"


def test_a_touch_tells_what_is_not_there(storage):
    told = storage.renew("packs/ab/cd")

    assert told is False
    assert names(storage, "packs") == []


def test_a_touch_of_long_ago_does_not_make_a_new_file_older(storage):
    storage.put("packs/ab/cd", b"bytes", point="x")
    storage.renew("packs/ab/cd")
    storage.remove("packs/ab/cd")
    gone = [storage.find("packs/ab/cd"), names(storage, "packs"), storage.renew("packs/ab/cd")]
    before = time.time()

    storage.put("packs/ab/cd", b"bytes", point="x")

    assert gone == [None, [], False]
    assert storage.find("packs/ab/cd").modified > before - 1.1


def test_what_is_removed_is_gone_and_removing_it_again_does_nothing(storage):
    storage.put("a/b", b"x", point="x")
    storage.put("a/c", b"x", point="x")

    storage.remove("a/b")
    storage.remove("a/b")
    storage.remove("never/there")

    assert names(storage, "a") == ["a/c"]
    storage.put("a/b", b"again", point="x")
    assert storage.read("a/b") == b"again"


def test_what_is_confirmed_is_there_as_before(storage):
    storage.put("a/b", b"x", point="x")

    storage.confirm("a/b", point="x")

    assert storage.read("a/b") == b"x"


def test_a_file_of_70_megabytes_is_one_file(storage):
    body = os.urandom(2**20) * 70
    blobs = Blobs(storage, "packs")

    name = blobs.put(body[: 2**25], body[2**25 :])

    assert storage.find(blobs.name(name)).size == 70 * 2**20
    assert sha256(blobs.get(name)).hexdigest() == name == sha256(body).hexdigest()
    assert blobs.read(name, offset=69 * 2**20 - 3, length=6) == body[-3:] + body[:3]


def test_a_storage_may_be_pickled(storage):
    storage.put("a/b", b"x", point="x")

    copy = pickle.loads(pickle.dumps(storage))

    assert copy.read("a/b") == b"x"


def test_a_fork_reads_a_folder_and_is_told_that_it_cannot_read_a_bucket(storage):
    storage.put("a/b", b"x", point="x")
    expected = b"x" if isinstance(storage, Folder) else "A forked process cannot use the storage at"
    child = os.fork()
    if child == 0:
        try:
            found = storage.read("a/b")
        except StorageError as error:
            found = str(error).partition(" 's3://")[0]
        os._exit(0 if found == expected else 1)

    _, status = os.waitpid(child, 0)

    assert status == 0
    assert storage.read("a/b") == b"x"


def test_blobs_are_verified_when_they_are_read(storage):
    blobs = Blobs(storage, "blobs")
    name = blobs.put(b"bytes")
    storage.swap(blobs.name(name), b"byteS", point="x")

    with pytest.raises(IntegrityError) as caught:
        blobs.get(name)

    assert str(caught.value) == f"The stored file {blobs.name(name)!r} is damaged."


def test_what_a_collector_takes_away_is_waited_for_and_known_to_be_gone(storage):
    storage.put("packs/ab/cd", b"bytes", point="x")

    def act(index):
        if index:
            while not names(storage, "condemned"):
                time.sleep(0.01)
            return reuse(storage, "packs/ab/cd")
        with condemn(storage, {"packs/ab/cd"}):
            time.sleep(0.2)  # the other one touches, and finds it condemned
            storage.remove("packs/ab/cd")
        return None

    told = together(2, act)

    assert told == [None, False]


def test_what_was_touched_is_not_older_than_the_lease(storage):
    storage.put("packs/ab/cd", b"bytes", point="x")
    tick(storage)

    with lease(storage):
        old = storage.find("packs/ab/cd").modified < oldest(storage)
        kept = reuse(storage, "packs/ab/cd")
        new = storage.find("packs/ab/cd").modified >= oldest(storage)

    assert (old, kept, new) == (True, True, True)
    assert oldest(storage) is None


def test_four_writers_of_one_dataset_lose_nothing(storage):
    def write(index):
        said = []
        for turn in range(10):
            version, new = Catalog(storage).commit(
                "datasets",
                "shared",
                lambda parent, turn=turn: Note(parent=parent and parent.digest, text=f"{index} {turn}"),
            )
            said.append((version.number, version.digest, new))
        return said

    said = together(4, write)

    history = Catalog(storage).history("datasets", "shared")
    parents = [version.read(Note).parent for version in history]
    assert sorted(ack for acks in said for ack in acks) == [
        (version.number, version.digest, True) for version in history
    ]
    assert [version.number for version in history] == list(range(1, 41))
    assert parents == [None, *(digest(version.data) for version in history[:-1])]
    assert all(acks == sorted(acks) for acks in said)
