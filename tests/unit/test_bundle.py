"""Bundles and copies: versions travel whole, or not at all."""

import os
import zipfile

import pytest

import regraft
from regraft.errors import ConflictError, IntegrityError, InvalidArchive, InvalidError, NotFoundError
from regraft.records import InputSpec, LoadReport, ModelVersion
from regraft.refs import parse
from regraft.store import zips
from regraft.store.bundle import read_bundle, write_bundle
from regraft.store.copies import Copied, copy
from regraft.store.opening import open_store
from regraft.store.references import needs
from regraft.store.verify import verify
from regraft.store.zips import stored


@pytest.fixture
def store(tmp_path):
    return open_store(tmp_path / "workspace")


@pytest.fixture
def other(tmp_path):
    return open_store(tmp_path / "other")


@pytest.fixture
def versions(workspace, store, make_folder):
    """Two versions of a dataset, with a file that cannot be used."""
    folder = make_folder({"cat": 4, "dog": 3}, name="more")
    (folder / "cat" / "note.txt").write_text("Buy more film.")
    workspace.datasets.add("photos", make_folder({"cat": 3, "dog": 2}))
    workspace.datasets.add("photos", folder)
    return store.catalog.history("datasets", "photos")


@pytest.fixture
def model(store):
    record = ModelVersion(
        parent=None,
        architecture="net",
        source="embedded:net",
        weights_file="ab" * 32,
        trunk=store.blobs.put(b"trunk"),
        head=store.blobs.put(b"head"),
        num_features=2,
        labels=("cat", "dog"),
        input=InputSpec(size=8, crop=1, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic"),
        temperature=1,
        precision=None,
        licence="",
        load_report=LoadReport(loaded=1, converted=0, missing=(), unexpected=()),
        learning=None,
        lineage=None,
    )
    return store.catalog.commit("models", "net", lambda _: record)[0]


def state(store):
    """Return the versions of a store, and its blobs and packs."""
    names = [(kind, name) for kind in ("datasets", "models") for name in store.catalog.names(kind)]
    versions = [version for kind, name in names for version in store.catalog.history(kind, name)]
    return versions, {
        found.name: found.size for folder in ("blobs", "packs") for found in store.storage.list(folder)
    }


def test_a_bundle_takes_versions_to_another_workspace_as_they_are(tmp_path, store, other, versions, model):
    path = tmp_path / "photos.regraft"

    write_bundle(store, [*versions, model], path)
    read = read_bundle(other, path)

    assert read == [*versions, model]
    assert state(other) == state(store)
    assert verify(other, deep=True).faults == ()


def test_a_bundle_holds_no_more_than_its_versions_need(tmp_path, store, versions, model):
    path = tmp_path / "photos.regraft"

    write_bundle(store, [versions[0]], path)

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(
            ["bundle.json", "datasets/photos/v1.json", *needs(versions[0]).names(store)]
        )
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}


def test_equal_versions_give_equal_bundles(tmp_path, store, other, versions):
    first, second = tmp_path / "first.regraft", tmp_path / "second.regraft"
    write_bundle(store, versions, first)

    write_bundle(other, read_bundle(other, first)[::-1], second)

    assert second.read_bytes() == first.read_bytes()


def test_reading_a_bundle_again_changes_nothing(tmp_path, store, other, versions):
    path = tmp_path / "photos.regraft"
    write_bundle(store, versions, path)
    first = read_bundle(other, path)
    before = state(other)

    again = read_bundle(other, path)

    assert (again, state(other)) == (first, before)


def test_a_bundle_can_be_given_another_name(tmp_path, store, other, versions):
    path = tmp_path / "photos.regraft"
    write_bundle(store, versions, path)

    read = read_bundle(other, path, name="pets")

    assert [str(version) for version in read] == ["pets:v1", "pets:v2"]
    assert [version.digest for version in read] == [version.digest for version in versions]
    assert other.catalog.names("datasets") == ["pets"]


def test_a_bundle_of_several_names_keeps_them(tmp_path, store, other, versions, model):
    path = tmp_path / "photos.regraft"
    write_bundle(store, [*versions, model], path)

    with pytest.raises(InvalidError) as caught:
        read_bundle(other, path, name="pets")

    assert str(caught.value) == "The bundle 'photos.regraft' holds versions of several names."
    assert caught.value.hint == "Import it without another name."
    assert state(other) == ([], {})


def test_a_bundle_goes_behind_versions_that_are_there(
    tmp_path, workspace, store, other, versions, make_folder
):
    path = tmp_path / "photos.regraft"
    write_bundle(store, versions, path)
    mine = regraft.open(other.root).datasets.add("photos", make_folder({"bird": 2, "bee": 2}, name="mine"))

    read = read_bundle(other, path)

    assert [(str(version), version.digest) for version in other.catalog.history("datasets", "photos")] == [
        ("photos:v1", mine.version.digest),
        ("photos:v2", versions[0].digest),
        ("photos:v3", versions[1].digest),
    ]
    assert read == other.catalog.history("datasets", "photos")[1:]


def test_a_bundle_replaces_nothing_unless_it_is_told_to(tmp_path, store, versions):
    path = tmp_path / "photos.regraft"
    path.write_bytes(b"mine")

    with pytest.raises(ConflictError) as caught:
        write_bundle(store, versions, path)
    before = path.read_bytes()
    write_bundle(store, versions, path, replace=True)

    assert (str(caught.value), caught.value.hint) == (
        f"{str(path)!r} exists already.",
        "Choose another name.",
    )
    assert before == b"mine"
    assert zipfile.is_zipfile(path)


def test_a_bundle_of_a_damaged_store_is_not_written(tmp_path, store, versions):
    path = tmp_path / "photos.regraft"
    (name,) = {store.packs.files.name(digest) for digest in needs(versions[0]).packs}
    (store.root / name).chmod(0o644)
    (store.root / name).write_bytes(b"")

    with pytest.raises(IntegrityError) as caught:
        write_bundle(store, versions, path)

    assert str(caught.value) == f"The stored file {name!r} is damaged."
    assert not path.exists()
    assert list(tmp_path.glob(".draft-*")) == []


def test_a_bundle_heals_what_was_deleted(tmp_path, store, versions):
    path = tmp_path / "photos.regraft"
    write_bundle(store, versions, path)
    for name in needs(versions[1]).names(store):
        (store.root / name).unlink()

    read = read_bundle(store, path)

    assert read == versions
    assert verify(store, deep=True).faults == ()


def test_a_removed_version_is_shown_again_by_its_bundle(tmp_path, store, versions):
    path = tmp_path / "photos.regraft"
    write_bundle(store, versions, path)
    store.catalog.remove(versions[1])

    read_bundle(store, path)

    assert store.catalog.history("datasets", "photos") == versions


def test_a_bundle_may_leave_out_what_the_workspace_has(tmp_path, store, other, versions):
    whole, part = tmp_path / "whole.regraft", tmp_path / "part.regraft"
    write_bundle(store, versions, whole)
    read_bundle(other, whole)
    with zipfile.ZipFile(whole) as archive:
        kept = [name for name in archive.namelist() if not name.startswith("packs/")]
        part.write_bytes(b"".join(stored((name, archive.read(name)) for name in kept)))

    read = read_bundle(other, part, name="pets")
    with pytest.raises(InvalidArchive) as caught:
        read_bundle(open_store(tmp_path / "empty"), part)

    assert [version.digest for version in read] == [version.digest for version in versions]
    assert caught.value.where == "datasets/photos/v1.json"


def test_there_is_no_bundle(tmp_path, other):
    path = tmp_path / "photos.regraft"

    with pytest.raises(NotFoundError) as caught:
        read_bundle(other, path)

    assert str(caught.value) == f"There is no file {str(path)!r}."


def test_progress_is_told_file_by_file(tmp_path, store, other, versions):
    path = tmp_path / "photos.regraft"
    said = []

    write_bundle(store, versions, path, progress=lambda *words: said.append(words))
    read_bundle(other, path, progress=lambda *words: said.append(words))

    # two manifests and the index, two tables, the refused files and two packs
    assert said == [("Writing the bundle", done, 8) for done in range(1, 9)] + [
        ("Reading the bundle", done, 5) for done in range(1, 6)
    ]


@pytest.mark.parametrize(("large", "many"), [(40, 100), (200, 100), (1000, 3), (1000, 100)])
def test_archives_beyond_four_gigabytes_or_65535_members_are_read(tmp_path, monkeypatch, large, many):
    monkeypatch.setattr(zips, "LARGE", large)
    monkeypatch.setattr(zips, "MANY", many)
    members = [(f"file {number} 猫", bytes([number]) * 10 * number) for number in range(8)]
    path = tmp_path / "archive.zip"

    path.write_bytes(b"".join(stored(members)))

    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert [(name, archive.read(name)) for name in archive.namelist()] == members


def test_a_copy_sends_what_is_missing(store, other, versions):
    sizes = {found.name: found.size for folder in ("blobs", "packs") for found in store.storage.list(folder)}
    first, second = (needs(version).names(store) for version in versions)

    copies = [copy(store, other, version) for version in (*versions, versions[0])]

    def copied(version, names, *, new, present):
        size = sum(sizes[name] for name in names)
        return Copied(version=version, new=new, sent=len(names), sent_bytes=size, present=present)

    assert copies == [
        copied(versions[0], first, new=True, present=0),
        copied(versions[1], second - first, new=True, present=len(second & first)),
        copied(versions[0], set(), new=False, present=len(first)),
    ]
    assert len(second & first) == 1
    assert state(other) == state(store)
    assert verify(other, deep=True).faults == ()


def test_nothing_damaged_is_copied(store, other, versions):
    (name,) = {store.packs.files.name(digest) for digest in needs(versions[0]).packs}
    (store.root / name).chmod(0o644)
    os.truncate(store.root / name, 10)

    with pytest.raises(IntegrityError) as caught:
        copy(store, other, versions[0])

    assert str(caught.value) == f"The stored file {name!r} is damaged."
    assert state(other)[0] == []


def test_a_copy_of_a_later_version_alone_does_not_need_the_earlier_one(store, other, versions):
    copied = copy(store, other, versions[1])

    assert copied.version == other.catalog.find("datasets", parse("photos:v2"))
    assert verify(other, deep=True).adopted == ("dataset photos:v2",)
