"""Garbage: what nobody needs goes, what anybody needs stays."""

import os
import shutil
import tempfile
import time
from pathlib import Path

import pytest

from regraft import durable
from regraft.errors import IntegrityError, InvalidRecord, NotAllowedError, NotFoundError
from regraft.records import (
    DatasetVersion,
    InputSpec,
    Lineage,
    LoadReport,
    ModelVersion,
    SplitRule,
)
from regraft.refs import parse
from regraft.store import gc
from regraft.store.gc import Collected, Removed, collect
from regraft.store.leases import lease
from regraft.store.opening import open_store
from regraft.store.references import needs, recover

DAY = 24 * 3600


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "workspace")


@pytest.fixture
def somebodys_store():
    """A store of a user whom permissions bind, as they do not bind root."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    root = Path(tempfile.mkdtemp())
    yield open_store(root)
    os.seteuid(os.getuid())
    shutil.rmtree(root)


@pytest.fixture
def photos(workspace, make_folder):
    """Two versions of a dataset: five pictures, then two more."""
    workspace.datasets.add("photos", make_folder({"cat": 3, "dog": 2}))
    workspace.datasets.add("photos", make_folder({"cat": 4, "dog": 3}, name="more"))
    return workspace


def age(store, seconds, folders=("blobs", "packs")):
    """Make every file, or those of some folders, older."""
    then = time.time() - seconds
    for folder in folders:
        for path in (store.root / folder).rglob("*"):
            os.utime(path, (then, then))


def files(store):
    return {found.name: found.size for folder in ("blobs", "packs") for found in store.storage.list(folder)}


def nothing(**changes):
    facts = {
        "dry_run": False,
        "removed": (),
        "freed": 0,
        "kept_young": 0,
        "kept_by_lease": 0,
        "drafts": 0,
        "wasted": 0,
    }
    return Collected(**{**facts, **changes})


def model(store, *, lineage=None, weights=b"trunk"):
    """Commit a model."""
    record = ModelVersion(
        parent=None,
        architecture="net",
        source="embedded:net",
        weights_file="ab" * 32,
        trunk=store.blobs.put(weights),
        head=store.blobs.put(weights, b" head"),
        num_features=2,
        labels=("cat", "dog"),
        input=InputSpec(size=8, crop=1, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic"),
        temperature=1,
        precision=None,
        licence="",
        load_report=LoadReport(loaded=1, converted=0, missing=(), unexpected=()),
        learning=None,
        lineage=lineage,
    )
    return store.catalog.commit("models", "net", lambda _: record)[0]


def learned_from(dataset, base):
    return Lineage(dataset=dataset.digest, model=base.digest, recipe={}, seed=0, code="1", environment={})


def test_nothing_that_a_version_needs_is_collected(store, photos):
    model(store)
    before = files(store)
    age(store, 30 * DAY)

    collected = collect(store, grace=0)

    assert collected == nothing()
    assert files(store) == before
    assert len(before) == 6


def test_what_no_version_needs_is_collected_when_it_is_old_enough(store, photos):
    before = files(store)
    blob, pack = store.blobs.put(b"spare"), store.packs.files.put(b"spare pack")

    young = collect(store)
    age(store, 25 * 3600)
    old = collect(store)

    assert young == nothing(kept_young=2)
    removed = (
        Removed(name=store.blobs.name(blob), kind="blob", size=5),
        Removed(name=store.packs.files.name(pack), kind="pack", size=10),
    )
    assert old == nothing(removed=removed, freed=15)
    assert files(store) == before


def test_a_dry_run_says_the_same_and_removes_nothing(store, photos):
    store.blobs.put(b"spare")
    (store.root / "blobs" / ".draft-1").write_bytes(b"half")
    age(store, 25 * 3600)
    before = files(store)

    said = collect(store, dry_run=True)
    after = files(store)
    done = collect(store)

    assert after == before
    assert said == nothing(dry_run=True, removed=done.removed, freed=5, drafts=1)
    assert len(done.removed) == 1


def test_what_was_written_under_a_lease_that_is_still_held_stays(store):
    store.blobs.put(b"before")
    time.sleep(0.05)  # the clock of files ticks every few milliseconds
    with lease(store.storage):
        store.blobs.put(b"after")

        held = collect(store, grace=0)
    free = collect(store, grace=0)

    assert ([file.size for file in held.removed], held.kept_by_lease) == ([6], 1)
    assert ([file.size for file in free.removed], free.kept_by_lease) == ([5], 0)


def test_what_is_reused_under_a_lease_stays(store):
    digest = store.blobs.put(b"old")
    age(store, 30 * DAY)
    with lease(store.storage):
        kept = store.blobs.keep(digest)

        collected = collect(store, grace=0)

    assert kept
    assert collected == nothing(kept_by_lease=1)
    assert store.blobs.get(digest) == b"old"


def test_a_removed_version_keeps_its_files_for_the_time_of_grace(store, photos):
    store.catalog.remove(store.catalog.find("datasets", parse("photos:v2")))
    age(store, 30 * DAY)
    before = files(store)

    within = collect(store)
    age(store, 25 * 3600, folders=["datasets"])
    after = collect(store)

    assert within == nothing()
    assert sorted(file.kind for file in after.removed) == ["blob", "pack"]
    assert files(store) == {name: size for name, size in before.items() if name not in _names(after)}
    assert photos.store.verify(deep=True).faults == ()


def test_a_version_whose_files_were_collected_is_not_recovered(store, photos):
    version = store.catalog.find("datasets", parse("photos:v2"))
    store.catalog.remove(version)
    collect(store, grace=0)

    with pytest.raises(NotFoundError) as caught:
        recover(store, version)

    assert (str(caught.value), caught.value.hint) == (
        "Dataset 'photos:v2' was removed, and its files are gone.",
        "Make it again from its source, or import it from a copy.",
    )
    assert store.catalog.numbers("datasets", "photos") == [1]


def test_a_version_whose_files_are_there_is_recovered(store, photos):
    version = store.catalog.find("datasets", parse("photos:v2"))
    store.catalog.remove(version)
    age(store, 30 * DAY)
    collect(store)

    recover(store, version)

    assert store.catalog.latest("datasets", "photos") == version
    assert collect(store, grace=0) == nothing()
    assert photos.store.verify(deep=True).faults == ()


def test_the_rows_that_a_model_has_learned_from_stay_and_their_pictures_go(store, photos):
    first, second = store.catalog.history("datasets", "photos")
    base = model(store)
    model(store, lineage=learned_from(second, base), weights=b"tuned")
    for version in (first, second):
        store.catalog.remove(version)

    collected = collect(store, grace=0)

    rows = needs(second).blobs
    assert {file.name for file in collected.removed} == (
        needs(first).names(store) | {store.packs.files.name(digest) for digest in needs(second).packs}
    )
    assert all(store.blobs.has(digest) for digest in rows)


def test_the_rows_behind_the_model_that_a_model_was_made_from_stay_too(store, photos):
    first, second = store.catalog.history("datasets", "photos")
    base = model(store, lineage=learned_from(first, model(store)), weights=b"one")
    model(store, lineage=learned_from(second, base), weights=b"two")
    for version in (first, second, base):
        store.catalog.remove(version)

    collect(store, grace=0)

    assert all(store.blobs.has(digest) for digest in needs(first).blobs | needs(second).blobs)
    assert not any(store.packs.files.has(digest) for digest in needs(second).packs)
    assert not store.blobs.has(base.read(ModelVersion).head)


def test_what_a_run_at_work_was_given_stays_until_the_run_ends(store, photos):
    version = store.catalog.find("datasets", parse("photos:v2"))
    run = store.journal.create("evaluate", inputs={"dataset_digest": version.digest}, recipe={})
    store.catalog.remove(version)

    at_work = collect(store, grace=0)
    run.end("done")
    ended = collect(store, grace=0)

    assert at_work == nothing()
    assert sorted(file.kind for file in ended.removed) == ["blob", "pack"]


def test_a_digest_that_a_manifest_mentions_anywhere_is_kept(store):
    spare = store.blobs.put(b"a file of a later version of Regraft")
    record = DatasetVersion(
        parent=None,
        labels=(spare,),
        splits={},
        split_rule=SplitRule(fractions={}, seed=0),
        count=0,
        segments=(),
        packs=(),
        size=0,
        refused=None,
        refused_count=0,
    )
    store.catalog.commit("datasets", "photos", lambda _: record)

    collected = collect(store, grace=0)

    assert collected == nothing()
    assert store.blobs.has(spare)


def test_pictures_that_no_version_needs_any_more_are_told_and_stay_in_their_pack(store, photos, make_folder):
    photos.datasets.add("photos", make_folder({"cat": 4, "dog": 1}, name="fewer"))
    dogs = {row.key: row.length for row in photos.datasets.get("photos:v2") if row.key.startswith("dog")}
    for version in store.catalog.history("datasets", "photos")[:2]:
        store.catalog.remove(version)

    collected = collect(store, grace=0)

    assert collected.wasted == dogs["dog/1.png"] + dogs["dog/2.png"]
    assert photos.store.verify(deep=True).faults == ()


@pytest.mark.parametrize("folder", ["", "blobs/ab", "datasets/photos", "runs/x", "cache/features"])
def test_drafts_of_killed_writers_are_removed_when_they_are_stale(store, folder):
    draft = store.root / folder / f"{durable.DRAFT}0123456789abcdef"
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_bytes(b"half")

    young = collect(store, grace=0)
    there = draft.exists()
    os.utime(draft, (time.time() - 2 * 3600,) * 2)
    stale = collect(store, grace=0)

    assert (young.drafts, there) == (0, True)
    assert (stale.drafts, draft.exists()) == (1, False)


def test_a_draft_that_is_younger_than_a_lease_stays(store):
    draft = store.root / f"{durable.DRAFT}0123456789abcdef"
    draft.write_bytes(b"half")
    then = time.time() - 10 * DAY
    with lease(store.storage):
        for path in (store.root / "leases").iterdir():
            os.utime(path, (then, then))
        os.utime(draft, (then + 60, then + 60))

        collected = collect(store)

    assert (collected.drafts, draft.exists()) == (0, True)


def test_the_cache_and_files_that_are_not_the_stores_are_left_alone(store):
    strangers = [
        store.root / name for name in ("cache/features/x", "blobs/README", "blobs/ab/cd", "note.txt")
    ]
    for path in strangers:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"mine")
        os.utime(path, (1, 1))

    collected = collect(store, grace=0)

    assert collected == nothing()
    assert all(path.exists() for path in strangers)


@pytest.mark.parametrize("data", [b"", b"{}"])
def test_nothing_is_collected_where_a_version_cannot_be_read(store, photos, data):
    store.blobs.put(b"spare")
    before = files(store)
    durable.swap(store.root / "datasets" / "photos" / "v1.json", data)

    with pytest.raises(IntegrityError) as caught:
        collect(store, grace=0)

    assert str(caught.value) == "The version file 'datasets/photos/v1.json' is damaged."
    assert files(store) == before


def test_nothing_is_collected_where_a_run_cannot_be_read(store, photos):
    store.blobs.put(b"spare")
    run = store.journal.create("evaluate", inputs={}, recipe={})
    durable.swap(run.path / "run.json", b"{")
    before = files(store)

    with pytest.raises(InvalidRecord, match=rf"^runs/{run.path.name}/run.json cannot be read: "):
        collect(store, grace=0)

    assert files(store) == before


@pytest.mark.parametrize("name", ["models/net/v1.json", "runs/1/run.json"])
def test_nothing_is_collected_where_a_version_or_a_run_may_not_be_read(somebodys_store, name):
    store = somebodys_store
    store.blobs.put(b"spare")
    model(store)
    durable.put(store.root / "runs" / "1" / "run.json", b"{}")
    before = files(store)
    (store.root / name).chmod(0o000)

    with pytest.raises(NotAllowedError) as caught:
        collect(store, grace=0)

    assert str(caught.value) == f"{str(store.root / name)!r} cannot be read (Permission denied)."
    assert files(store) == before


def test_a_second_look_sees_what_was_published_after_the_first(store, monkeypatch):
    spare = store.blobs.put(b"trunk")
    look, looks = gc.held, []

    def publish_after_the_first_look(*words, **more):
        found = look(*words, **more)
        if not looks:
            model(store)
        looks.append(len(found))
        return found

    monkeypatch.setattr(gc, "held", publish_after_the_first_look)
    collected = collect(store, grace=0)

    assert looks == [0, 1]
    assert (collected.removed, store.blobs.get(spare)) == ((), b"trunk")


def _names(collected):
    return {file.name for file in collected.removed}
