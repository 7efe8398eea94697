"""Datasets: what they are called, how they are found, and what a version holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from regraft.errors import ConflictError, IntegrityError, InvalidError, InvalidRef, NotFoundError
from regraft.recipe import Recipe, read
from regraft.records import SplitRule


def test_a_new_workspace_has_no_datasets(workspace):
    assert workspace.datasets.list() == []


def test_the_latest_version_of_every_dataset_is_listed_by_name(workspace, make_folder):
    workspace.datasets.add("dogs", make_folder({"big": 3, "small": 3}))
    workspace.datasets.add("cats", make_folder({"old": 3}, name="cats"))
    workspace.datasets.add("dogs", make_folder({"big": 4}))

    listed = workspace.datasets.list()

    assert [str(version) for version in listed] == ["cats:v1", "dogs:v2"]


def test_a_dataset_is_found_by_name_version_and_tag(workspace, make_folder):
    first = workspace.datasets.add("photos", make_folder({"cat": 3})).version
    second = workspace.datasets.add("photos", make_folder({"cat": 4})).version
    workspace.datasets.tag("photos:v1", "good")

    found = [
        workspace.datasets.get(ref).version
        for ref in ("photos", "photos:latest", "photos:v2", "photos:v1", "photos/version/v1", "photos:good")
    ]

    assert found == [second, second, second, first, first, first]


def test_a_tag_moves(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3}))
    second = workspace.datasets.add("photos", make_folder({"cat": 4})).version
    workspace.datasets.tag("photos:v1", "good")

    moved = workspace.datasets.tag("photos", "good")

    assert moved == second
    assert workspace.datasets.get("photos:good").version == second


@pytest.mark.parametrize("tag", ["latest", "v1", "two words", ""])
def test_some_words_cannot_be_tags(workspace, make_folder, tag):
    workspace.datasets.add("photos", make_folder({"cat": 3}))

    with pytest.raises(InvalidRef) as caught:
        workspace.datasets.tag("photos", tag)

    assert str(caught.value) == f"{tag!r} cannot be a tag."
    assert caught.value.hint == "A tag is a word; 'latest' and 'v1' are taken."


def test_a_misspelt_dataset_names_its_neighbour(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3}))

    with pytest.raises(NotFoundError) as caught:
        workspace.datasets.get("photo")

    assert str(caught.value) == "No dataset is named 'photo'."
    assert caught.value.hint == "Did you mean 'photos'?"


def test_a_missing_version_names_the_latest(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3}))
    workspace.datasets.tag("photos", "good")

    with pytest.raises(NotFoundError) as caught:
        workspace.datasets.get("photos:v7")

    assert str(caught.value) == "Dataset 'photos' has no version 'v7'."
    assert caught.value.hint == "The latest is v1."


def test_a_dataset_is_a_sequence_of_rows(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 2, "dog": 2}))

    dataset = workspace.datasets.get("photos")

    assert len(dataset) == 4
    assert [row.key for row in dataset] == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    assert [dataset[position] for position in range(4)] == list(dataset)
    assert dataset.refused == ()


def test_a_damaged_pack_is_noticed_when_a_picture_is_read(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 2}))
    [pack] = [path for path in (workspace.path / "packs").rglob("*") if path.is_file()]
    pack.chmod(0o644)
    pack.write_bytes(b"\0" + pack.read_bytes()[1:])
    dataset = workspace.datasets.get("photos")

    with pytest.raises(IntegrityError) as caught:
        dataset.read(dataset[0])

    assert (
        str(caught.value)
        == f"Picture 'cat/0.png' is damaged in {pack.relative_to(workspace.path).as_posix()!r}."
    )
    assert caught.value.hint == (
        "Delete the pack if it is damaged, then add the same pictures again: it is made anew."
    )
    assert dataset.read(dataset[1])


def test_a_dataset_needs_its_folder_no_more(workspace, make_folder):
    root = make_folder({"cat": 3})
    data = (root / "cat" / "1.png").read_bytes()
    workspace.datasets.add("photos", root)

    shutil.rmtree(root)

    dataset = workspace.datasets.get("photos")
    assert dataset.read(dataset[1]) == data


def test_a_path_resolves_to_a_dataset_named_like_its_folder(workspace, make_folder, monkeypatch):
    root = make_folder({"cat": 3}, name="my photos, 2024")

    version, added = workspace.datasets.resolve(root, Recipe())

    monkeypatch.chdir(root)
    again, unchanged = workspace.datasets.resolve(".", Recipe())
    assert (str(version), added.new) == ("my-photos-2024:v1", True)
    assert (again, unchanged.new) == (version, False)


def test_a_name_resolves_to_the_dataset_without_adding(workspace, make_folder):
    version = workspace.datasets.add("photos", make_folder({"cat": 3})).version

    assert workspace.datasets.resolve("photos", Recipe()) == (version, None)
    assert workspace.datasets.resolve("photos:v1", Recipe()) == (version, None)


def test_a_folder_comes_before_a_dataset_of_the_same_name(workspace, make_folder, tmp_path, monkeypatch):
    workspace.datasets.add("photos", make_folder({"cat": 3}))
    make_folder({"cat": 4})
    monkeypatch.chdir(tmp_path)

    version, added = workspace.datasets.resolve("photos", Recipe())

    assert (str(version), added.new_pictures) == ("photos:v2", 1)


def test_words_that_name_nothing_are_refused_with_the_nearest_name(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3}))

    hints = []
    for words in ("photoss", "digit", "zzz"):
        with pytest.raises(NotFoundError) as caught:
            workspace.datasets.resolve(words, Recipe())
        assert str(caught.value) == f"There is no folder and no dataset {words!r}."
        hints.append(caught.value.hint)

    assert hints == [
        "Did you mean 'photos'?",
        "Did you mean 'digits'?",
        "Give a folder of class folders, or see `regraft dataset list`.",
    ]


def test_a_path_that_does_not_exist_is_no_name(workspace):
    with pytest.raises(NotFoundError) as caught:
        workspace.datasets.resolve(Path("nowhere/photos"), Recipe())

    assert str(caught.value) == "There is no folder 'nowhere/photos'."


def test_digits_come_along(workspace):
    version, added = workspace.datasets.resolve("digits", Recipe())

    assert (str(version), added.record.count, added.refused) == ("digits:v1", 1797, ())
    assert added.record.labels == tuple(str(digit) for digit in range(10))
    assert added.record.split_sizes() == {"train": 1259, "val": 179, "test": 359}
    assert workspace.datasets.resolve("digits", Recipe()) == (version, None)


def test_given_splits_are_kept_and_the_rule_is_empty(workspace, make_folder):
    root = make_folder({"train/cat": 3, "val/cat": 2, "test/cat": 1, "test/dog": 1})

    added = workspace.datasets.add("photos", root)

    assert added.record.split_sizes() == {"train": 3, "val": 2, "test": 2}
    assert added.record.split_rule == SplitRule(fractions={}, seed=0)


def test_a_folder_that_shares_no_picture_with_the_dataset_of_its_name_is_no_new_version(
    workspace, make_folder, tmp_path
):
    (tmp_path / "other").mkdir()
    workspace.datasets.resolve(make_folder({"cat": 3}), Recipe())
    other = make_folder({"owl": 3}, name="other/photos")

    with pytest.raises(ConflictError) as caught:
        workspace.datasets.resolve(other, Recipe())

    assert str(caught.value) == "There is a dataset 'photos' already, and it has none of these pictures."
    assert caught.value.hint == (
        "Give the folder another name: regraft dataset add NAME FOLDER, then use NAME."
    )
    assert [str(version) for version in workspace.datasets.list()] == ["photos:v1"]


def test_a_dataset_that_is_named_may_change_altogether(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3}))

    added = workspace.datasets.add("photos", make_folder({"owl": 3}, name="other"))

    assert (str(added.version), added.record.labels, added.new_pictures) == ("photos:v2", ("owl",), 3)


@pytest.mark.parametrize("words", ["", "  "])
def test_no_words_name_no_dataset(workspace, words):
    with pytest.raises(InvalidError) as caught:
        workspace.datasets.resolve(words, Recipe())

    assert str(caught.value) == "The dataset has no name."
    assert caught.value.hint == "Give a folder of class folders, or a name."


@pytest.mark.parametrize("words", ["~nosuchuser", "x" * 5000])
def test_words_that_can_be_no_path_name_nothing(workspace, words):
    with pytest.raises(NotFoundError) as caught:
        workspace.datasets.resolve(words, Recipe())

    assert str(caught.value) == f"There is no folder and no dataset {words!r}."


@pytest.mark.parametrize("verb", ["add", "build"])
def test_an_unknown_mode_names_its_neighbour(workspace, make_folder, verb):
    call = {
        "add": lambda: workspace.datasets.add("photos", make_folder({"cat": 3}), mode="apend"),
        "build": lambda: workspace.datasets.build("photos", mode="apend").__enter__(),
    }[verb]

    with pytest.raises(InvalidError) as caught:
        call()

    assert str(caught.value) == "There is no mode 'apend'."
    assert caught.value.hint == "Did you mean 'append'?"


def test_a_checksum_for_what_is_no_url_is_refused(workspace, make_folder):
    with pytest.raises(InvalidError) as caught:
        workspace.datasets.add("photos", make_folder({"cat": 3}), checksum="sha1:00")

    assert str(caught.value).startswith("A checksum is for what a URL gives, and ")
    assert workspace.datasets.list() == []


@pytest.mark.parametrize(
    ("before", "words"), [("", "ungrouped"), ("path:(.*)/0", "by 'path:(.*)/0'")], ids=["none", "other"]
)
def test_a_grouping_that_comes_after_the_splits_were_made_is_refused(workspace, make_folder, before, words):
    folder = make_folder({"cat": 3})
    workspace.datasets.add("photos", folder, recipe=read(None, [f"data.group_by='{before}'"]))

    with pytest.raises(ConflictError) as caught:
        workspace.datasets.add("photos", folder, recipe=read(None, ["data.group_by='path:cat'"]))

    assert str(caught.value) == (
        f"The splits of 'photos' were made {words}, and stay: 'path:cat' comes too late."
    )
    assert caught.value.hint == "Add the pictures under another name, or do not group them."
    assert not workspace.datasets.add("photos", folder).new


def test_a_severity_that_is_none_is_refused(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3}))

    with pytest.raises(InvalidError) as caught:
        workspace.datasets.check("photos", quick=True, fail_on="errors")

    assert str(caught.value) == "There is no severity 'errors'."
    assert caught.value.hint == "It is error, warning, note or never."
    assert workspace.runs.list() == []


def test_recover_takes_the_version_that_is_named_and_no_other(workspace, make_folder):
    folder = make_folder({"cat": 3})
    workspace.datasets.add("photos", folder)
    workspace.datasets.add("photos", make_folder({"cat": 4}))
    workspace.datasets.add("photos", make_folder({"cat": 5}))
    workspace.datasets.remove("photos:v1")
    workspace.datasets.remove("photos:v2")

    with pytest.raises(NotFoundError):
        workspace.datasets.recover("photos:clean")

    assert [str(version) for version in workspace.datasets.recover("photos")] == ["photos:v2"]
    assert [str(version) for version in workspace.datasets.recover("photos:v1")] == ["photos:v1"]
