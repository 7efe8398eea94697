"""Verifying a store: every fault is named, with who needs it and what heals it."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from regraft import durable
from regraft.records import DatasetVersion
from regraft.refs import parse
from regraft.store import packs
from regraft.store.opening import open_store
from regraft.store.references import needs
from regraft.store.tables import write_rows
from regraft.store.verify import Fault, Verified, verify

V1, V2 = "dataset photos:v1", "dataset photos:v2"
PICTURES_AGAIN = "dd the same pictures again: regraft dataset add NAME FOLDER."
TABLE_AGAIN = "mport the version from a copy, or add the same pictures under another name."


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "workspace")


@pytest.fixture
def folder(make_folder):
    return make_folder({"cat": 3, "dog": 2})


@pytest.fixture
def more(make_folder):
    return make_folder({"cat": 4, "dog": 3}, name="more")


@pytest.fixture
def photos(workspace, folder, more):
    """Two versions of a dataset: five pictures in a pack, then two more in another one."""
    workspace.datasets.add("photos", folder)
    workspace.datasets.add("photos", more)
    return workspace


def version(store, words):
    return store.catalog.find("datasets", parse(words))


def first_pack(store):
    (digest,) = needs(version(store, "photos:v1")).packs
    return store.packs.files.name(digest)


def table(store, words):
    (digest,) = needs(version(store, words)).blobs
    return store.blobs.name(digest)


def first_pack_of_second(store):
    return store.packs.files.name(sorted(needs(version(store, "photos:v2")).packs)[0])


def photos_record(store):
    return version(store, "photos:v2").read(DatasetVersion)


def change(path, offset, data):
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def cut(path):
    path.chmod(0o644)
    os.truncate(path, path.stat().st_size - 1)


def test_a_whole_store_has_no_faults_and_its_sizes_are_told(store, photos):
    sizes = {folder: [found.size for found in store.storage.list(folder)] for folder in ("blobs", "packs")}

    quick, deep = verify(store), verify(store, deep=True)

    facts = {"versions": 2, "objects": 4, "faults": (), "adopted": (), "orphans": 0, "orphan_bytes": 0}
    assert quick == Verified(deep=False, bytes=sum(sizes["blobs"]), **facts)
    assert deep == Verified(deep=True, bytes=sum(sizes["blobs"]) + sum(sizes["packs"]), **facts)


def test_an_empty_store_is_whole(store):
    found = verify(store, deep=True)

    assert (found.versions, found.objects, found.faults) == (0, 0, ())


def test_what_no_version_needs_is_counted_and_is_no_fault(store, photos):
    store.blobs.put(b"spare")
    store.packs.files.put(b"spare pack")

    found = verify(store, deep=True)

    assert (found.objects, found.orphans, found.orphan_bytes, found.faults) == (6, 2, 15, ())


def test_a_missing_pack_is_named_with_every_version_and_how_many_pictures_it_takes_along(store, photos):
    name = first_pack(store)
    (store.root / name).unlink()

    found = verify(store)

    assert found.faults == (
        Fault(
            name=name,
            what="is missing",
            needed_by=(V1, V2),
            advice=f"A{PICTURES_AGAIN}",
            pictures={V1: 5, V2: 5},
        ),
    )


def test_a_pack_that_was_cut_short_is_found_without_reading_it(store, photos):
    name = first_pack(store)
    size = store.storage.find(name).size
    cut(store.root / name)

    found = verify(store)

    assert found.faults == (
        Fault(
            name=name,
            what=f"has {size - 1:,} bytes, and rows look for pictures up to {size:,}",
            needed_by=(V1, V2),
            advice=f"Delete it, then a{PICTURES_AGAIN}",
            pictures={V1: 1, V2: 1},
        ),
    )


def test_a_flipped_byte_in_a_pack_is_found_when_every_byte_is_read(store, photos):
    name = first_pack(store)
    change(store.root / name, 50, b"!")

    quick, deep = verify(store), verify(store, deep=True)

    assert quick.faults == ()
    assert deep.faults == (
        Fault(
            name=name,
            what="is damaged",
            needed_by=(V1, V2),
            advice=f"Delete it, then a{PICTURES_AGAIN}",
            pictures={V1: 1, V2: 1},
        ),
    )


@pytest.mark.parametrize("damage", [cut, lambda path: change(path, 0, b"!")], ids=["cut", "flipped"])
def test_a_damaged_table_is_found_also_without_going_deep(store, photos, damage):
    name = table(store, "photos:v1")
    damage(store.root / name)

    found = verify(store)

    assert found.faults == (
        Fault(name=name, what="is damaged", needed_by=(V1,), advice=f"Delete it, then i{TABLE_AGAIN}"),
    )


def test_a_missing_table_is_named(store, photos):
    name = table(store, "photos:v2")
    (store.root / name).unlink()

    found = verify(store)

    assert found.faults == (Fault(name=name, what="is missing", needed_by=(V2,), advice=f"I{TABLE_AGAIN}"),)


def test_a_damaged_file_that_nobody_needs_can_be_deleted(store):
    name = store.blobs.name(store.blobs.put(b"spare"))
    change(store.root / name, 0, b"!")

    found = verify(store)

    assert found.faults == (
        Fault(name=name, what="is damaged", needed_by=(), advice="Delete it: no version needs it."),
    )


@pytest.mark.parametrize(
    ("data", "what"),
    [(b"", "is damaged"), (None, "is missing")],
    ids=["empty", "gone, and a marker is left"],
)
def test_a_version_that_cannot_be_read_is_named_and_the_others_are_looked_at(store, photos, data, what):
    path = store.root / "datasets" / "photos" / "v1.json"
    if data is None:
        store.catalog.remove(version(store, "photos:v1"))
        path.unlink()
    else:
        durable.swap(path, data)
    name = first_pack_of_second(store)
    (store.root / name).unlink()

    found = verify(store)

    assert [(fault.name, fault.what, fault.needed_by) for fault in found.faults] == [
        ("datasets/photos/v1.json", what, (V1,)),
        (name, "is missing", (V2,)),
    ]
    assert found.versions == 1


def test_a_version_whose_parent_is_elsewhere_is_adopted_and_no_fault(tmp_path, store, photos):
    other = open_store(tmp_path / "other")
    wanted = version(store, "photos:v2")
    for found in [*store.storage.list("blobs"), *store.storage.list("packs")]:
        other.storage.put(found.name, store.storage.read(found.name), point="blob")
    other.catalog.adopt(wanted)

    found = verify(other)

    assert (found.adopted, found.faults) == ((V2,), ())


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'{"version": 3}', "names v3, which is not there"),
        (b'{"version": 1}', "names v1, which was removed"),
        (b"{", "is damaged"),
    ],
)
def test_a_tag_that_leads_nowhere_is_named(store, photos, data, what):
    store.catalog.remove(version(store, "photos:v1"))
    store.catalog.tag("datasets", parse("photos:v2"), "good")
    durable.swap(store.root / "tags" / "datasets" / "photos" / "best.json", data)

    found = verify(store)

    assert found.faults == (
        Fault(
            name="tags/datasets/photos/best.json",
            what=what,
            needed_by=("dataset photos:best",),
            advice="Tag a version again: regraft dataset tag photos:VERSION best",
        ),
    )


def test_a_run_that_cannot_be_read_is_named(store):
    run = store.journal.create("evaluate", inputs={}, recipe={})
    durable.swap(run.path / "run.json", b"{")

    found = verify(store)

    assert found.faults == (
        Fault(
            name=f"runs/{run.path.name}/run.json",
            what="is not what this version of Regraft writes",
            needed_by=(f"run {run.path.name}",),
            advice="Delete the folder of the run, unless the run is at work.",
        ),
    )


@pytest.fixture
def forge(store, photos):
    """Commit a version with other rows, or other facts, than the second one of the photos has."""

    def commit(change_row=lambda row: row, **facts):
        record = photos.datasets.get("photos:v2").record
        rows = [change_row(row) for row in photos.datasets.get("photos:v2")]
        forged = record.model_copy(update={"segments": write_rows(store.blobs, rows), **facts})
        return store.catalog.commit("datasets", "forged", lambda _: forged)[0]

    return commit


def test_rows_outside_of_their_pack_are_found(store, forge):
    pack = first_pack(store)
    size = store.storage.find(pack).size
    forge(lambda row: replace(row, offset=row.offset + 1))

    found = {fault.name: (fault.what, fault.pictures["dataset forged:v1"]) for fault in verify(store).faults}

    assert found[pack] == (f"has {size:,} bytes, and rows look for pictures up to {size + 1:,}", 5)
    assert len(found) == 2


def test_a_place_that_cannot_be_is_found(store, forge):
    forge(lambda row: replace(row, offset=-1))

    found = verify(store)

    assert {fault.what for fault in found.faults} == {"cannot hold what rows look for"}


def test_packs_that_a_version_names_and_its_rows_do_not_are_found_and_the_other_way_round(store, forge):
    spare = store.packs.files.put(b"spare")
    named, unnamed = sorted(needs(version(store, "photos:v2")).packs)
    forge(packs=(spare, named))

    found = verify(store)

    assert {fault.name: fault.what for fault in found.faults} == {
        store.packs.files.name(spare): "is named by the version, and no row needs it",
        store.packs.files.name(unnamed): "is needed by rows, and the version does not name it",
    }


@pytest.mark.parametrize(
    "facts", [{"count": 8}, {"splits": {"train": {"cat": 7}}}, {"labels": ("cat",)}], ids=str
)
def test_counts_that_the_rows_do_not_bear_out_are_found(store, forge, facts):
    forged = forge(**facts)

    found = verify(store)

    (segment,) = needs(forged).blobs
    assert [(fault.name, fault.what) for fault in found.faults] == [
        (store.blobs.name(segment), "has rows that do not agree with the counts of the version")
    ]


def test_a_table_that_is_none_is_found(store, forge):
    digest = store.blobs.put(b"no table")
    record = photos_record(store)
    segment = record.segments[0].model_copy(update={"digest": digest})
    store.catalog.commit("datasets", "forged", lambda _: record.model_copy(update={"segments": (segment,)}))

    found = verify(store)

    assert [(fault.name, fault.what, fault.needed_by) for fault in found.faults] == [
        (store.blobs.name(digest), "is no table of rows", ("dataset forged:v1",))
    ]


@pytest.fixture
def somebodys_store():
    """A store of a user whom permissions bind, as they do not bind root."""
    if os.geteuid() == 0:
        os.seteuid(65534)
    root = Path(tempfile.mkdtemp())
    yield open_store(root)
    os.seteuid(os.getuid())
    shutil.rmtree(root)


def test_files_that_may_not_be_read_are_found(somebodys_store):
    store = somebodys_store
    blob = store.blobs.name(store.blobs.put(b"bytes"))
    pack = store.packs.files.name(store.packs.files.put(b"bytes"))
    run = store.journal.create("evaluate", inputs={}, recipe={})
    for name in (blob, pack, f"runs/{run.path.name}/run.json"):
        (store.root / name).chmod(0o000)

    found = verify(store)

    assert [(fault.name, fault.what) for fault in found.faults] == [
        (blob, "cannot be read"),
        (pack, "cannot be read"),
        (f"runs/{run.path.name}/run.json", "cannot be read"),
    ]
    assert found.faults[0].advice == "Check the disk and the file's permissions."


@pytest.mark.parametrize("pack_size", [packs.PACK_SIZE, 450])
def test_what_the_advice_says_heals_a_damaged_pack(store, workspace, folder, more, monkeypatch, pack_size):
    monkeypatch.setattr(packs, "PACK_SIZE", pack_size)
    workspace.datasets.add("photos", folder)
    workspace.datasets.add("photos", more)
    before = {found.name: found.size for found in store.storage.list("packs")}
    name = first_pack(store) if pack_size > 450 else sorted(before)[0]
    change(store.root / name, 50, b"!")
    (fault,) = verify(store, deep=True).faults

    (store.root / name).unlink()
    workspace.datasets.add("photos", more)

    assert fault.advice == f"Delete it, then a{PICTURES_AGAIN}"
    assert verify(store, deep=True).faults == ()
    assert {found.name: found.size for found in store.storage.list("packs")} == before
    assert store.catalog.numbers("datasets", "photos") == [1, 2]


def test_what_the_advice_says_heals_a_damaged_table(store, photos, folder):
    name = table(store, "photos:v1")
    change(store.root / name, 0, b"!")
    (fault,) = verify(store).faults

    (store.root / name).unlink()
    photos.datasets.add("again", folder)

    assert fault.advice == f"Delete it, then i{TABLE_AGAIN}"
    assert verify(store, deep=True).faults == ()
