"""Collectors beside writers, and collectors and imports that are killed: nothing acknowledged is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

import pytest

import regraft
from regraft.errors import IntegrityError
from regraft.refs import parse
from regraft.store.bundle import write_bundle
from regraft.store.gc import collect
from regraft.store.leases import lease
from regraft.store.opening import open_store
from regraft.store.verify import verify

KEEPER = Path(__file__).with_name("keeper.py")
STAGES = ("write", "flush", "publish", "published")


def keeper(*words):
    return subprocess.Popen([sys.executable, KEEPER, *map(str, words)], stdout=subprocess.PIPE, text=True)


def state(root):
    """Return the files that a store keeps; leases and lists of a killed collector mean nothing."""
    kept = ("blobs", "packs", "datasets")
    paths = [path for folder in kept for path in (root / folder).rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix() for path in paths if not path.name.startswith(".draft-")}


@pytest.fixture
def scene(tmp_path, add, photos, more_photos):
    """Give copies of a workspace with two versions, a removed one, garbage and an old draft."""
    root = tmp_path / "scene"
    add(root, more_photos)
    store = open_store(root)
    store.catalog.remove(store.catalog.latest("datasets", "photos"))
    add(root, photos)
    for number in range(3):
        store.blobs.put(f"spare {number}".encode())
    draft = root / "packs" / ".draft-0123456789abcdef"
    draft.write_bytes(b"half a pack")
    os.utime(draft, (1, 1))
    numbers = count()

    def begin():
        return Path(shutil.copytree(root, tmp_path / f"case-{next(numbers)}"))

    return begin


def test_a_killed_collector_takes_nothing_that_is_needed_and_a_rerun_finishes(scene, run, everything):
    words = ("store", "gc", "--grace", "0", "--json", "--workspace")
    whole = scene()
    removed = json.loads(run(*words, whole).out)["removed"]
    expected, pictures = state(whole), everything_shown(whole)
    points = [f"gc.condemn.{stage}" for stage in STAGES]
    points += [f"gc.remove@{number}" for number in range(1, len(removed) + 1)] + ["gc.draft"]

    for point in points:
        name, _, passage = point.partition("@")
        root = scene()
        ended = run(*words, root, failpoints=f"{name}=kill@{passage or 1}")
        assert ended.status == -9, (point, ended)
        assert expected <= state(root), point
        assert verify(open_store(root), deep=True).faults == (), point
        again = run(*words, root)
        assert (again.status, state(root), everything_shown(root)) == (0, expected, pictures), point

    assert len(removed) > 4


def everything_shown(root):
    """Read every picture of the versions that are shown."""
    workspace = regraft.open(root)
    store = open_store(root)
    return {
        str(version): {row.key: data.read(row) for row in data}
        for version in store.catalog.history("datasets", "photos")
        for data in [workspace.datasets.get(str(version))]
    }


def test_a_killed_import_leaves_no_half_version_and_a_rerun_finishes(
    tmp_path, add, photos, more_photos, run, everything
):
    source, path = tmp_path / "source", tmp_path / "photos.regraft"
    add(source, photos)
    add(source, more_photos)
    store = open_store(source)
    write_bundle(store, store.catalog.history("datasets", "photos"), path)
    expected = everything(source)
    numbers, met = count(), Counter()

    for part in ("store.create", "lease", "blob", "catalog.commit"):
        for stage in STAGES:
            for passage in count(1):
                root = tmp_path / f"case-{next(numbers)}"
                words = ("dataset", "import", path, "--workspace", root, "--json")
                ended = run(*words, failpoints=f"{part}.{stage}=kill@{passage}")
                assert ended.status in (0, -9), ended
                if ended.status == 0:
                    break
                met[part, stage] += 1
                found = everything(root)
                assert found == {ref: expected[ref] for ref in found}, (part, stage, passage)
                assert verify(open_store(root), deep=True).faults == (), (part, stage, passage)
                collect(open_store(root), grace=0)
                again = run(*words)
                assert (again.status, everything(root)) == (0, expected), (part, stage, passage, again)

    passages = {"store.create": 1, "lease": 1, "blob": 5, "catalog.commit": 2}
    expected_met = Counter({(part, stage): n for part, n in passages.items() for stage in STAGES})
    expected_met["blob", "published"] += 2 + 4  # what each version needs is confirmed before it is published
    assert met == expected_met


@pytest.mark.parametrize("collector", ["collect", "mutant"])
def test_a_writer_that_was_stopped_before_its_manifest_finds_its_files_when_it_goes_on(tmp_path, collector):
    store = open_store(tmp_path / "root")
    with keeper(store.root, "stop", "photos") as writer:
        assert writer.stdout.readline() == "stops\n"
        with keeper(store.root, collector, 0) as other:
            _, removed = other.communicate(timeout=30)[0].split()
        writer.send_signal(signal.SIGCONT)
        said = writer.communicate(timeout=30)[0].split()

    version = store.catalog.find("datasets", parse("photos:v1"))
    faults = verify(store, deep=True).faults
    assert said == ["has", "photos:v1", version.digest]
    if collector == "collect":
        assert (removed, faults) == ("0", ())
    else:  # what looks at no lease is caught by the same judge
        assert (removed, [fault.what for fault in faults]) == ("2", ["is missing"] * 2)


def race(root, *, collectors=2, writers=2, commits=40):
    """Let writers and collectors work side by side; return how the writers ended, what they said, and how
    much was removed.
    """
    writing = [keeper(root, "write", f"name{number}", commits) for number in range(writers)]
    cleaning = [keeper(root, "collect", 3) for _ in range(collectors)]
    said = [child.communicate(timeout=120)[0].splitlines() for child in writing]
    removed = sum(int(child.communicate(timeout=120)[0].split()[1]) for child in cleaning)
    return [child.returncode for child in writing], said, removed


def lost(store, said):
    """Say which acknowledged versions are not there, or not whole."""
    last = {line.split()[1]: line.split()[2] for lines in said for line in lines if line.startswith("has")}
    gone = {line.split()[1] for lines in said for line in lines if line.startswith("removes")}
    found = []
    for ref, digest in last.items():
        if ref not in gone and store.catalog.find("datasets", parse(ref)).digest != digest:
            found.append(f"{ref} is lost")
    return found + [f"{fault.name} {fault.what}" for fault in verify(store, deep=True).faults]


def test_writers_beside_collectors_without_grace_lose_nothing(tmp_path):
    store = open_store(tmp_path / "root")

    status, said, removed = race(store.root)

    assert (status, [len(lines) for lines in said]) == ([0, 0], [79, 79])
    assert removed > 0
    assert lost(store, said) == []


def test_who_relies_on_an_old_file_that_is_condemned_writes_it_anew(tmp_path):
    store = open_store(tmp_path / "root")
    digest = store.blobs.put(b"old")
    collector = subprocess.Popen(
        [sys.executable, KEEPER, store.root, "collect", "0"],
        env={**os.environ, "REGRAFT_FAILPOINTS": "gc.remove=sleep:0.7"},
    )
    while not list(store.storage.list("condemned")):
        time.sleep(0.005)

    begun = time.monotonic()
    with lease(store.storage):
        again = store.blobs.put(b"old")
    waited = time.monotonic() - begun
    collector.wait(timeout=30)

    assert (again, store.blobs.get(digest)) == (digest, b"old")
    assert (collector.returncode, waited > 0.3) == (0, True)


def test_who_does_not_look_at_what_is_condemned_loses_it(tmp_path):
    store = open_store(tmp_path / "root")
    digest = store.blobs.put(b"old")
    collector = subprocess.Popen(
        [sys.executable, KEEPER, store.root, "collect", "0"],
        env={**os.environ, "REGRAFT_FAILPOINTS": "gc.remove=sleep:0.7"},
    )
    while not list(store.storage.list("condemned")):
        time.sleep(0.005)

    with lease(store.storage):
        trusted = store.blobs.has(digest)
    collector.wait(timeout=30)

    assert trusted
    with pytest.raises(IntegrityError, match="is missing"):
        store.blobs.get(digest)


def test_two_collectors_take_the_same_garbage_once(tmp_path):
    store = open_store(tmp_path / "root")
    for number in range(300):
        store.blobs.put(f"spare {number}".encode())

    collectors = [keeper(store.root, "collect", 1) for _ in range(3)]
    removed = [int(child.communicate(timeout=60)[0].split()[1]) for child in collectors]

    assert [child.returncode for child in collectors] == [0, 0, 0]
    assert sum(removed) >= 300
    assert list(store.storage.list("blobs")) == list(store.storage.list("condemned")) == []
