"""`regraft dataset`: what it prints of versions, tags and changes, and what it exits with."""

import json
from pathlib import Path

import pytest

from regraft.cli.main import cli
from regraft.cli.output import columns, short
from regraft.errors import ConflictError, IntegrityError, InvalidError, InvalidRef, NotFoundError
from regraft.reports.words import classes, number, pictures


@pytest.fixture
def command(workspace, capsys):
    """Run `regraft dataset WORDS`; return what it prints."""

    def run(*words):
        cli.main(["dataset", *map(str, words), "--workspace", str(workspace.path)], standalone_mode=False)
        return capsys.readouterr().out

    return run


@pytest.fixture
def photos(workspace, make_folder):
    """Two versions of `photos`, of 4 and of 5 pictures; the first is tagged `clean`."""
    workspace.datasets.add("photos", make_folder({"cat": 2, "dog": 2}))
    workspace.datasets.add("photos", make_folder({"cat": 3}))
    workspace.datasets.tag("photos:v1", "clean")
    return workspace.datasets


def test_a_list_and_a_history_show_tags_and_what_changed(photos, command):
    listed = command("list").splitlines()

    history = command("history", "photos").splitlines()

    made = [
        photos.made(version).astimezone().strftime("%Y-%m-%d %H:%M") for version in photos.history("photos")
    ]
    assert listed[0].split() == ["DATASET", "PICTURES", "CLASSES", "SPLITS", "SIZE", "TAGS"]
    assert listed[1].endswith("  clean (v1)")
    assert history == [
        "DATASET    MADE              PICTURES  CLASSES  CHANGE   TAGS",
        f"photos:v1  {made[0]}  4         2        4 added  clean",
        f"photos:v2  {made[1]}  5         2        1 added",
    ]


def test_a_history_as_json_has_times_in_utc_and_tags(photos, command):
    told = json.loads(command("history", "photos", "--json"))

    versions = photos.history("photos")
    assert [(item["ref"], item["made"], item["tags"], item["changes"]) for item in told] == [
        ("photos:v1", photos.made(versions[0]).isoformat(timespec="seconds"), {"clean": "v1"}, {"added": 4}),
        ("photos:v2", photos.made(versions[1]).isoformat(timespec="seconds"), {}, {"added": 1}),
    ]
    assert told[0]["made"].endswith("+00:00")


def test_a_tag_is_given_and_taken_away(photos, command):
    said = [command("tag", "photos:v2", "new"), command("tag", "photos", "clean", "--delete")]

    assert said == ["photos:v2 is now also photos:new\n", "photos:v1 is no longer photos:clean\n"]
    assert photos.tags("photos") == {"new": 2}


def test_an_edit_says_what_was_done_and_what_it_leaves_out(photos, command):
    said = [
        command("edit", "photos", "--relabel", "cat/0.png=owl", "--drop", "dog/1.png"),
        command("edit", "photos:v1", "--relabel", "cat/0.png=dog"),
        command("edit", "photos", "--relabel", "cat/0.png=dog"),
        command("edit", "photos", "--undo"),
    ]

    assert said == [
        "photos:v3  1 relabelled, 1 dropped, new class 'owl'\n",
        "photos:v4  1 relabelled (upon photos:v1: what came after it is left out)\n",
        "nothing changed\n",
        "photos:v5  as photos:v3 was\n",
    ]


def test_export_and_import_say_what_travelled(photos, command, tmp_path):
    bundle = tmp_path / "photos.regraft"

    said = [command("export", "photos:v1", bundle), command("import", bundle, "--name", "others")]

    record = photos.get("others").record
    splits = ", ".join(f"{count} {split}" for split, count in record.split_sizes().items())
    assert said == [
        f"photos:v1  4 pictures of 2 classes written to {bundle}\n",
        f"others:v1  4 pictures of 2 classes ({splits})\n",
    ]


def test_head_shows_metadata_where_there_is_any(workspace, command, make_folder):
    folder = make_folder({"cat": 2})
    with workspace.datasets.build("shots") as rows:
        rows.append(folder / "cat" / "0.png", label="cat", key="a.png", camera="phone")
        rows.append(folder / "cat" / "1.png", label="cat", key="b.png")

    lines = command("head", "shots").splitlines()

    assert lines[0].split() == ["KEY", "LABEL", "SPLIT", "PIXELS", "DIGEST", "METADATA"]
    assert [line.split()[5:] for line in lines[1:]] == [['{"camera":"phone"}'], []]


def test_every_version_is_not_removed_while_tags_are_in_the_way(photos):
    photos.tag("photos:v2", "new")

    with pytest.raises(ConflictError) as caught:
        photos.remove("photos", every=True)

    assert str(caught.value) == ("Tags are in the way: 'clean' names 'photos:v1', 'new' names 'photos:v2'.")
    assert caught.value.hint == (
        "Delete them first: regraft dataset tag photos clean --delete && "
        "regraft dataset tag photos new --delete"
    )
    assert len(photos.history("photos")) == 2


@pytest.mark.parametrize("verb", ["remove", "recover"])
def test_a_version_and_every_version_cannot_both_be_meant(photos, verb):
    with pytest.raises(InvalidError) as caught:
        getattr(photos, verb)("photos:v2", every=True)

    assert str(caught.value) == "'photos:v2' names one version, and --all means every one."
    assert caught.value.hint == "Leave --all out, or say photos --all."
    assert len(photos.history("photos")) == 2


def test_what_can_be_recovered_is_and_the_rest_is_named(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 2}))
    workspace.datasets.add("photos", make_folder({"owl": 2}, name="owls"))
    (pack,) = workspace.datasets.get("photos:v2").record.packs
    workspace.datasets.remove("photos", every=True)
    (workspace.path / "packs" / pack[:2] / pack[2:]).unlink()

    with pytest.raises(NotFoundError) as caught:
        workspace.datasets.recover("photos", every=True)

    assert str(caught.value) == "The files of photos:v2 are gone; photos:v1 is back."
    assert [str(version) for version in workspace.datasets.history("photos")] == ["photos:v1"]


def test_a_pretrained_model_is_no_dataset(workspace):
    with pytest.raises(InvalidRef) as caught:
        workspace.datasets.get("timm:photos")

    assert str(caught.value) == "'timm:photos' names a pretrained model, and no dataset."
    assert caught.value.hint == "Name a dataset: see `regraft dataset list`."


def test_a_dataset_tells_which_keys_and_rows_it_has(photos):
    first, second = photos.get("photos:v1"), photos.get("photos:v2")

    has = [
        "cat/2.png" in first,
        "cat/2.png" in second,
        second["cat/2.png"] in first,
        first[0] in first,
        0 in first,
    ]

    assert has == [False, True, False, True, False]
    assert repr(first) == "<Dataset photos:v1: 4 pictures of 2 classes>"
    assert repr(first.version) == f"<Version datasets/photos:v1 {first.version.digest[:12]}>"


def test_a_quick_check_says_that_it_left_labels_out(photos):
    checkup = photos.check("photos", quick=True).checkup

    assert checkup.skipped == {"wrong-labels": "--quick left it out."}


def test_a_workspace_that_lost_its_marker_says_what_to_write(photos, workspace, command):
    marker = Path(workspace.path / "store.json")
    marker.unlink()

    with pytest.raises(IntegrityError) as caught:
        command("list")

    assert str(caught.value) == f"The workspace {str(workspace.path)!r} has lost its marker 'store.json'."
    assert caught.value.hint == (
        f'If it was made by this version of Regraft, write {{"format": 1}} into {str(marker)!r}.'
    )
    marker.write_text('{"format": 1}')
    assert command("list").splitlines()[1].startswith("photos:v2")


def test_long_and_wide_words_keep_a_table_in_shape():
    long = "a" * 50 + "/" + "b" * 50 + ".jpg"

    lines = columns(("key", "label"), [("狗狗", "x"), ("owl", "y")], empty="").splitlines()

    assert lines == ["KEY   LABEL", "狗狗  x", "owl   y"]
    assert short(long) == "a" * 30 + "…" + "b" * 25 + ".jpg"
    assert (len(short("狗" * 40)), short("a" * 60)) == (30, "a" * 60)


def test_one_thing_is_no_many():
    assert (pictures(1), pictures(2), classes(1), classes(0)) == (
        "1 picture",
        "2 pictures",
        "1 class",
        "0 classes",
    )
    assert (number(1, "file"), number(1400, "file")) == ("1 file", "1,400 files")
