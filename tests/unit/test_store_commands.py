"""`regraft store`: what it prints, and what it exits with."""

import json
import os
import time

import pytest
from click import BadParameter

from regraft.cli.main import cli
from regraft.store.gc import Collected
from regraft.store.opening import open_store
from regraft.store.verify import verify
from regraft.workspace.store import StoreInfo


@pytest.fixture
def photos(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3, "dog": 2}))
    workspace.datasets.add("photos", make_folder({"cat": 4, "dog": 3}, name="more"))
    return workspace


@pytest.fixture
def command(workspace, capsys):
    """Run `regraft store WORDS`; return its exit code and what it prints."""

    def run(*words):
        status = cli.main(["store", *words, "--workspace", str(workspace.path)], standalone_mode=False)
        return status, capsys.readouterr().out

    return run


def first_pack(workspace):
    (pack,) = workspace.datasets.get("photos:v1").record.packs
    return f"packs/{pack[:2]}/{pack[2:]}"


def test_info_counts_versions_bytes_and_what_sharing_saves(photos):
    store = open_store(photos.path)
    sizes = [found.size for folder in ("blobs", "packs") for found in store.storage.list(folder)]
    cache = sum(path.stat().st_size for path in (photos.path / "cache").rglob("*") if path.is_file())

    info = photos.store.info()

    assert info == StoreInfo(
        format=1,
        versions={"datasets": 2, "models": 0, "reports": 0},
        removed=0,
        objects=4,
        bytes=sum(sizes),
        saved=store.storage.find(first_pack(photos)).size,
        cache=cache,
    )


def test_info_counts_hidden_versions_apart(photos, command):
    photos.datasets.remove("photos:v1")

    status, out = command("info")

    assert status == 0
    assert out.splitlines()[0] == "versions          1 dataset, 0 models, 0 reports, 1 removed"


def test_a_whole_store_is_as_it_should_be(photos, command):
    status, out = command("verify", "--deep")

    assert status == 0
    assert out.splitlines()[-1] == "everything is as it should be"
    assert out.startswith("2 versions and 4 files (")


def test_faults_are_said_with_what_to_do_and_the_exit_code(photos, command):
    name = first_pack(photos)
    (photos.path / name).unlink()

    status, out = command("verify")

    assert status == 6
    assert out.splitlines()[:5] == [
        f"{name} is missing",
        "  needed by  dataset photos:v1, dataset photos:v2",
        "  harmed     5 pictures of dataset photos:v1, 5 pictures of dataset photos:v2",
        "  try        Add the same pictures again: regraft dataset add NAME FOLDER.",
        "",
    ]
    assert out.splitlines()[-1] == "1 fault"


def test_faults_are_said_as_json(photos, command):
    (photos.path / first_pack(photos)).unlink()
    fault = verify(open_store(photos.path)).faults[0]

    status, out = command("verify", "--json")

    assert status == 6
    assert json.loads(out)["faults"] == [
        {
            "name": fault.name,
            "what": fault.what,
            "needed_by": list(fault.needed_by),
            "advice": fault.advice,
            "pictures": fault.pictures,
        }
    ]


def test_garbage_is_listed_and_then_removed(photos, command):
    store = open_store(photos.path)
    name = store.blobs.name(store.blobs.put(b"spare"))

    young = photos.store.gc()
    _, said = command("gc", "--dry-run", "--grace", "0")
    _, done = command("gc", "--grace", "0s", "--json")

    facts = {"freed": 5, "kept_young": 0, "kept_by_lease": 0, "drafts": 0, "wasted": 0}
    assert young == Collected(dry_run=False, removed=(), **{**facts, "freed": 0, "kept_young": 1})
    assert said.splitlines() == [
        f"KIND  FILE{' ' * (len(name) - 4)}  SIZE",
        f"blob  {name}  5 B",
        "would remove            1 file, 5 B",
        "left by killed writers  0 drafts",
        "too young               0 files",
        "held by a writer        0 files",
    ]
    assert json.loads(done) == {
        "dry_run": False,
        "removed": [{"name": name, "kind": "blob", "size": 5}],
        **facts,
    }


@pytest.mark.parametrize(
    ("words", "kept"), [("0", 0), ("30s", 0), ("1m", 1), ("1.5m", 1), ("1h", 1), ("1d", 1), ("7d", 1)]
)
def test_the_time_of_grace_has_a_unit(photos, command, words, kept):
    store = open_store(photos.path)
    path = photos.path / store.blobs.name(store.blobs.put(b"spare"))
    os.utime(path, (time.time() - 40,) * 2)

    _, out = command("gc", "--grace", words, "--json")

    assert json.loads(out)["kept_young"] == kept


@pytest.mark.parametrize("words", ["", "h", "1w", "-1h", "1e3", "1 h", "٣d", "nan"])
def test_what_is_no_time_is_refused(workspace, words):
    with pytest.raises(BadParameter) as caught:
        cli.main(
            ["store", "gc", f"--grace={words}", "--workspace", str(workspace.path)], standalone_mode=False
        )

    assert caught.value.message == f"{words!r} is no time. Write 30m, 24h, 7d, or 0."
