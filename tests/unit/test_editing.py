"""Changing a dataset by hand: a new version with those changes, which hold when the source is added again."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regraft
from regraft.data import ingest
from regraft.data.assembly import open_rows
from regraft.data.corrections import read_corrections
from regraft.data.measured import Measured
from regraft.data.sources.listing import Entry, Listing
from regraft.errors import ConflictError, InvalidError, NotFoundError
from regraft.progress import silent
from regraft.records import Correction, Refused, SplitRule, digest
from regraft.store import tables
from regraft.store.opening import open_store

RULE = SplitRule(fractions={"train": 0.6, "val": 0.2, "test": 0.2}, seed=0, similar=False)
DROPPED = "was dropped by hand"


@pytest.fixture
def photos(workspace, make_folder):
    """A folder of two classes, added as `photos`."""
    root = make_folder({"cat": 4, "dog": 3})
    workspace.datasets.add("photos", root)
    return root


def test_a_relabelled_picture_has_its_new_label_and_everything_else_stays(workspace, photos):
    before = rows(workspace)

    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.relabel(before["dog/2.png"], "  wolf ")

    record = workspace.datasets.get("photos").record
    assert str(edit.result) == "photos:v2"
    assert rows(workspace) == {
        **before,
        "cat/1.png": replace(before["cat/1.png"], label="dog"),
        "dog/2.png": replace(before["dog/2.png"], label="wolf"),
    }
    assert list(rows(workspace)) == list(before)
    assert record.labels == ("cat", "dog", "wolf")
    assert sizes(record) == {"cat": 3, "dog": 3, "wolf": 1}
    assert record.parent == workspace.datasets.get("photos:v1").version.digest
    assert rows(workspace, "photos:v1") == before


def test_a_label_is_the_same_in_either_form_of_unicode(workspace, photos):
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "A\u0308pfel")
        edit.relabel("cat/2.png", "\u00c4pfel")

    assert workspace.datasets.get("photos").record.labels == ("cat", "dog", "\u00c4pfel")


def test_a_label_that_nothing_has_any_more_is_gone(workspace, photos):
    with workspace.datasets.edit("photos") as edit:
        for key in ("dog/0.png", "dog/1.png", "dog/2.png"):
            edit.relabel(key, "cat")

    record = workspace.datasets.get("photos").record
    assert (record.labels, sizes(record), record.count) == (("cat",), {"cat": 7}, 7)


@pytest.mark.parametrize("label", ["", " \t"])
def test_an_empty_label_is_refused(workspace, photos, label):
    with pytest.raises(InvalidError) as caught, workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", label)

    assert (str(caught.value), caught.value.where) == ("A label cannot be empty.", "label")


def test_a_misspelt_key_names_its_neighbour(workspace, photos):
    with pytest.raises(NotFoundError) as caught, workspace.datasets.edit("photos") as edit:
        edit.drop("cat/1.jpg")

    assert str(caught.value) == "No picture has the key 'cat/1.jpg'."
    assert caught.value.hint == "Did you mean 'cat/1.png'?"


def test_a_row_of_another_dataset_is_not_found(workspace, photos, make_folder):
    workspace.datasets.add("birds", make_folder({"owl": 2}, name="birds"))

    with pytest.raises(NotFoundError) as caught, workspace.datasets.edit("photos") as edit:
        edit.relabel(rows(workspace, "birds")["owl/1.png"], "cat")

    assert str(caught.value) == "'photos:v1' has no picture 'owl/1.png'."


def test_a_dropped_picture_is_gone_and_listed_as_refused(workspace, photos):
    (photos / "dog" / "bad.png").write_bytes(b"")
    workspace.datasets.add("photos", photos)
    before = rows(workspace)
    name = before["cat/1.png"].digest

    with workspace.datasets.edit("photos") as edit:
        edit.drop("cat/1.png")

    dataset = workspace.datasets.get("photos")
    assert rows(workspace) == {key: row for key, row in before.items() if key != "cat/1.png"}
    assert sizes(dataset.record) == {"cat": 3, "dog": 3}
    assert dataset.record.size == sum(row.length for row in dataset)
    assert dataset.refused == (
        Refused(key="cat/1.png", reason=DROPPED, digest=name, label="cat"),
        Refused(key="dog/bad.png", reason="empty file", digest=digest(b""), label="dog"),
    )


def test_a_dropped_picture_cannot_be_changed(workspace, photos):
    def changes(edit):
        edit.drop("cat/1.png")
        edit.relabel("cat/1.png", "dog")

    with pytest.raises(NotFoundError) as caught:
        change(workspace, changes)

    assert str(caught.value) == "Picture 'cat/1.png' was dropped."
    assert caught.value.hint == "undo() takes it back."


def test_a_pack_of_dropped_pictures_alone_is_not_of_the_version(workspace, photos, make_folder):
    [first] = workspace.datasets.get("photos").record.packs
    workspace.datasets.add("photos", make_folder({"cat": 5, "dog": 3}))

    with workspace.datasets.edit("photos") as edit:
        edit.drop("cat/4.png")

    assert workspace.datasets.get("photos").record.packs == (first,)


def test_the_last_picture_cannot_be_dropped(workspace, photos):
    def changes(edit):
        for key in rows(workspace):
            edit.drop(key)

    with pytest.raises(InvalidError) as caught:
        change(workspace, changes)

    assert str(caught.value) == "The edit leaves no picture."
    assert versions(workspace) == ["photos:v1"]


def test_a_picture_moves_with_its_family(store, workspace):
    add(store, {"a": "cat", "b": "cat", "c": "dog", "d": "dog"}, groups={"a": "x", "c": "x", "d": "y"})
    before = rows(workspace)
    split = next(name for name in ("train", "val", "test") if name != before["a"].split)

    with workspace.datasets.edit("photos") as edit:
        moved = edit.move("c", split)
        again = edit.move("a", split)

    expected = [replace(before[key], split=split) for key in ("a", "c")]
    assert (moved, again) == (expected, [])
    assert rows(workspace) == {**before, "a": expected[0], "c": expected[1]}
    assert sum(workspace.datasets.get("photos").record.split_sizes().values()) == 4


def test_there_are_three_splits_to_move_to(workspace, photos):
    with pytest.raises(InvalidError) as caught, workspace.datasets.edit("photos") as edit:
        edit.move("cat/1.png", "training")

    assert str(caught.value) == "There is no split 'training'."
    assert (caught.value.hint, caught.value.where) == ("It is train, val or test.", "split")


def test_an_exception_in_the_block_commits_nothing(workspace, photos):
    def changes(edit):
        edit.relabel("cat/1.png", "dog")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        change(workspace, changes)

    assert versions(workspace) == ["photos:v1"]


def test_where_nothing_changes_there_is_no_version(workspace, photos):
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.relabel("cat/1.png", "cat")
        edit.relabel("cat/2.png", "cat")

    assert (edit.result, versions(workspace)) == (None, ["photos:v1"])


def test_the_changes_are_told_before_they_are_made(workspace, photos):
    before = rows(workspace)
    split = "val" if before["cat/2.png"].split != "val" else "train"

    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.relabel("cat/1.png", "wolf")
        edit.move("cat/2.png", split)
        edit.drop("dog/0.png")
        changes = edit.changes

    assert changes == [
        correction(before["cat/1.png"], "label", "cat", "wolf"),
        correction(before["cat/2.png"], "split", before["cat/2.png"].split, split),
        correction(before["dog/0.png"], "dropped"),
    ]


def test_only_segments_with_changed_rows_are_written(workspace, make_folder, monkeypatch):
    monkeypatch.setattr(tables, "SEGMENT", 3)
    workspace.datasets.add("photos", make_folder({"cat": 9}))
    before = workspace.datasets.get("photos").record.segments

    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/4.png", "dog")
        for key in ("cat/6.png", "cat/7.png", "cat/8.png"):
            edit.drop(key)

    after = workspace.datasets.get("photos").record.segments
    assert [segment.count for segment in after] == [3, 3]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)
    assert list(rows(workspace)) == [f"cat/{number}.png" for number in range(6)]


def test_after_an_edit_no_picture_is_looked_at_again(store, workspace, photos):
    dataset = workspace.datasets.get("photos")
    before = Measured(store, open_rows(store, dataset.record)).facts()
    with workspace.datasets.edit("photos") as edit:
        edit.drop("cat/1.png")
    shutil.rmtree(workspace.path / "packs")

    after = Measured(store, open_rows(store, workspace.datasets.get("photos").record)).facts()

    assert after.tobytes() == before[[0, 2, 3, 4, 5, 6]].tobytes()


def test_undo_takes_the_last_change_of_the_block_back(workspace, photos):
    before = rows(workspace)

    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.relabel("cat/1.png", "dog")
        edit.drop("cat/1.png")
        edit.undo()

    assert rows(workspace) == {**before, "cat/1.png": replace(before["cat/1.png"], label="dog")}


def test_undo_without_a_change_takes_back_what_made_the_version(store, workspace, photos):
    before = rows(workspace)
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.drop("cat/2.png")

    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/3.png", "dog")
        edit.undo()
        edit.undo()
        edit.relabel("cat/0.png", "wolf")

    record = workspace.datasets.get("photos").record
    assert str(edit.base) == "photos:v1"
    assert str(edit.result) == "photos:v3"
    assert record.parent == workspace.datasets.get("photos:v2").version.digest
    assert rows(workspace) == {**before, "cat/0.png": replace(before["cat/0.png"], label="wolf")}
    assert record.refused is None
    assert read_corrections(store, record) == (correction(before["cat/0.png"], "label", "cat", "wolf"),)


def test_before_the_first_version_there_is_nothing_to_undo(workspace, photos):
    with pytest.raises(ConflictError) as caught, workspace.datasets.edit("photos") as edit:
        edit.undo()

    assert str(caught.value) == "There is nothing to undo: no version before 'photos:v1' is here."
    assert versions(workspace) == ["photos:v1"]


def test_a_removed_version_does_not_come_back_by_undo(workspace, photos):
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
    workspace.datasets.remove("photos:v1")

    with pytest.raises(ConflictError) as caught, workspace.datasets.edit("photos") as edit:
        edit.undo()

    assert str(caught.value) == "There is nothing to undo: no version before 'photos:v2' is here."


def test_an_edit_of_an_older_version_goes_back_to_it(workspace, photos, make_folder):
    before = rows(workspace)
    workspace.datasets.add("photos", make_folder({"cat": 6, "owl": 2}))

    with workspace.datasets.edit("photos:v1") as edit:
        edit.relabel("cat/1.png", "dog")

    assert str(edit.result) == "photos:v3"
    assert (
        workspace.datasets.get("photos").record.parent == workspace.datasets.get("photos:v2").version.digest
    )
    assert rows(workspace) == {**before, "cat/1.png": replace(before["cat/1.png"], label="dog")}


def test_what_another_writer_committed_meanwhile_stays(store, workspace, photos, make_folder):
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "wolf")
        edit.drop("dog/0.png")
        edit.drop("dog/1.png")
        workspace.datasets.add("photos", make_folder({"cat": 5}))
        with workspace.datasets.edit("photos") as other:
            other.relabel("cat/2.png", "dog")
            other.relabel("cat/1.png", "wolf")
            other.drop("dog/0.png")

    after = rows(workspace)
    assert [str(other.result), str(edit.result)] == ["photos:v3", "photos:v4"]
    assert {key: row.label for key, row in after.items()} == {
        "cat/0.png": "cat",
        "cat/1.png": "wolf",
        "cat/2.png": "dog",
        "cat/3.png": "cat",
        "dog/2.png": "dog",
        "cat/4.png": "cat",
    }
    assert {item.key for item in read_corrections(store, workspace.datasets.get("photos").record)} == {
        "cat/1.png",
        "cat/2.png",
        "dog/0.png",
        "dog/1.png",
    }


def test_a_picture_that_both_labelled_otherwise_is_a_conflict(workspace, photos):
    def changes(edit):
        edit.relabel("cat/1.png", "dog")
        with workspace.datasets.edit("photos") as other:
            other.relabel("cat/1.png", "wolf")

    with pytest.raises(ConflictError) as caught:
        change(workspace, changes)

    assert str(caught.value) == "Picture 'cat/1.png' has been labelled 'wolf' meanwhile."
    assert caught.value.hint == "Open the latest version, and repeat what should be done to it."
    assert versions(workspace) == ["photos:v1", "photos:v2"]


def test_a_picture_that_was_relabelled_meanwhile_is_not_dropped(workspace, photos):
    def changes(edit):
        edit.drop("cat/1.png")
        with workspace.datasets.edit("photos") as other:
            other.relabel("cat/1.png", "wolf")

    with pytest.raises(ConflictError) as caught:
        change(workspace, changes)

    assert str(caught.value) == "Picture 'cat/1.png' has been labelled 'wolf' meanwhile."


def test_a_picture_that_is_gone_meanwhile_is_a_conflict(workspace, photos):
    def changes(edit):
        edit.relabel("cat/1.png", "dog")
        with workspace.datasets.edit("photos") as other:
            other.drop("cat/1.png")

    with pytest.raises(ConflictError) as caught:
        change(workspace, changes)

    assert str(caught.value) == "Picture 'cat/1.png' is not in 'photos:v2' any more."


def test_a_picture_that_both_moved_elsewhere_is_a_conflict(workspace, photos):
    one, other_split = (s for s in ("train", "val", "test") if s != rows(workspace)["cat/1.png"].split)

    def changes(edit):
        edit.move("cat/1.png", one)
        with workspace.datasets.edit("photos") as other:
            other.move("cat/1.png", other_split)

    with pytest.raises(ConflictError) as caught:
        change(workspace, changes)

    assert str(caught.value) == f"Picture 'cat/1.png' has been moved to {other_split!r} meanwhile."


def test_who_came_into_a_family_meanwhile_moves_with_it(store, workspace):
    pictures, groups = {"a": "cat", "b": "cat", "c": "cat"}, {"a": "x", "d": "x"}
    add(store, pictures, groups=groups)
    split = next(name for name in ("train", "val", "test") if name != rows(workspace)["a"].split)

    with workspace.datasets.edit("photos") as edit:
        edit.move("a", split)
        add(store, {**pictures, "d": "cat"}, groups=groups)

    assert str(edit.result) == "photos:v3"
    assert {key: row.split for key, row in rows(workspace).items() if row.group == "x"} == {
        "a": split,
        "d": split,
    }


def test_what_was_made_meanwhile_is_not_undone(workspace, photos):
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")

    def changes(edit):
        edit.undo()
        with workspace.datasets.edit("photos") as other:
            other.relabel("cat/2.png", "dog")

    with pytest.raises(ConflictError) as caught:
        change(workspace, changes)

    assert str(caught.value) == "'photos:v3' was made meanwhile, and would be undone too."


def test_the_same_folder_added_again_changes_nothing(workspace, photos):
    before = rows(workspace)
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.move("cat/2.png", "val" if before["cat/2.png"].split != "val" else "train")
        edit.drop("cat/3.png")
    files = {path: path.read_bytes() for path in photos.rglob("*.png")}

    added = [workspace.datasets.add("photos", photos, mode=mode) for mode in ("overwrite", "append")]

    assert [(one.version, one.new) for one in added] == [(edit.result, False)] * 2
    assert {path: path.read_bytes() for path in photos.rglob("*.png")} == files


def test_corrections_hold_where_the_folder_has_grown(store, workspace, photos, make_folder):
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.drop("cat/2.png")
    known = read_corrections(store, workspace.datasets.get("photos").record)

    added = workspace.datasets.add("photos", make_folder({"cat": 6, "dog": 3}))

    assert {key: row.label for key, row in rows(workspace).items() if key.startswith("cat")} == {
        "cat/0.png": "cat",
        "cat/1.png": "dog",
        "cat/3.png": "cat",
        "cat/4.png": "cat",
        "cat/5.png": "cat",
    }
    assert [(item.key, item.reason) for item in added.refused] == [("cat/2.png", DROPPED)]
    assert read_corrections(store, added.record) == known


def test_a_source_that_was_put_right_wins_and_the_correction_is_forgotten(store, workspace, photos):
    before = rows(workspace)
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/1.png", "dog")
        edit.relabel("cat/2.png", "dog")
    (photos / "owl").mkdir()
    (photos / "cat/1.png").rename(photos / "owl/1.png")
    (photos / "cat/2.png").rename(photos / "dog/9.png")

    first = workspace.datasets.add("photos", photos)
    (photos / "owl/1.png").rename(photos / "cat/1.png")
    workspace.datasets.add("photos", photos)

    labels = {row.digest: row.label for row in rows(workspace).values()}
    assert read_corrections(store, first.record) == ()
    assert rows(workspace, str(first.version))["owl/1.png"].label == "owl"
    assert (labels[before["cat/1.png"].digest], labels[before["cat/2.png"].digest]) == ("cat", "dog")


def test_a_split_that_the_source_puts_right_wins(store, workspace):
    pictures = {"a": "cat", "b": "cat", "c": "cat"}
    add(store, pictures, splits={"a": "train", "b": "train", "c": "test"})
    with workspace.datasets.edit("photos") as edit:
        edit.move("a", "val")
        edit.move("b", "val")

    added = add(store, pictures, splits={"a": "test", "b": "train", "c": "test"})

    after = rows(workspace)
    assert {key: row.split for key, row in after.items()} == {"a": "test", "b": "val", "c": "test"}
    assert read_corrections(store, added.record) == (correction(after["b"], "split", "train", "val"),)


def test_a_moved_picture_that_was_away_comes_back_to_where_it_was_moved(store, workspace):
    pictures = dict.fromkeys("abcdefgh", "cat")
    add(store, pictures)
    before = rows(workspace)["a"].split
    split = next(name for name in ("test", "val") if name != before)
    with workspace.datasets.edit("photos") as edit:
        edit.move("a", split)
    add(store, dict.fromkeys("bcdefgh", "cat"))

    add(store, pictures)

    assert rows(workspace)["a"].split == split


def test_an_appended_source_does_not_take_back_what_was_corrected(store, workspace):
    add(store, {"a": "cat", "b": "cat", "c": "dog"})
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("a", "dog")
    known = read_corrections(store, workspace.datasets.get("photos").record)

    added = add(store, {"a": "owl", "b": "cat", "e": "owl"}, mode="append")

    assert {key: row.label for key, row in rows(workspace).items()} == {
        "a": "dog",
        "b": "cat",
        "c": "dog",
        "e": "owl",
    }
    assert [item.reason for item in added.refused] == ["the same picture is labelled 'dog' as 'a'"]
    assert read_corrections(store, added.record) == known


def test_a_correction_remembers_what_the_source_said_first(store, workspace, photos):
    before = rows(workspace)
    for label in ("dog", "wolf"):
        with workspace.datasets.edit("photos") as edit:
            edit.relabel("cat/1.png", label)
            edit.relabel("cat/2.png", label)
    with workspace.datasets.edit("photos") as edit:
        edit.relabel("cat/2.png", "cat")
        edit.drop("cat/1.png")
        edit.relabel("cat/3.png", "dog")

    dataset = workspace.datasets.get("photos")
    expected = [
        correction(before["cat/1.png"], "dropped"),
        correction(before["cat/3.png"], "label", "cat", "dog"),
    ]
    assert read_corrections(store, dataset.record) == tuple(sorted(expected, key=lambda item: item.digest))
    assert [item.label for item in dataset.refused] == ["cat"]


def test_a_source_whose_every_picture_was_dropped_is_refused(store, workspace):
    add(store, {"a": "cat", "b": "cat"})
    with workspace.datasets.edit("photos") as edit:
        edit.drop("a")

    with pytest.raises(InvalidError) as caught:
        add(store, {"a": "cat"})

    assert str(caught.value) == "Every picture of the source was dropped by hand."
    assert versions(workspace) == ["photos:v1", "photos:v2"]


PICTURES = {"a": "cat", "b": "cat", "c": "dog", "d": "dog", "e": "dog", "f": "owl"}
GROUPS = {"a": "x", "c": "x", "d": "y", "e": "y"}
EDITS = st.lists(
    st.one_of(
        st.tuples(
            st.just("relabel"), st.sampled_from(sorted(PICTURES)), st.sampled_from(["cat", "dog", "new"])
        ),
        st.tuples(
            st.just("move"), st.sampled_from(sorted(PICTURES)), st.sampled_from(["train", "val", "test"])
        ),
        st.tuples(st.just("drop"), st.sampled_from("abcde")),
    ),
    max_size=8,
)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(EDITS)
def test_any_edits_that_are_all_undone_change_nothing(tmp_path_factory, edits):
    workspace, store = fresh(tmp_path_factory)
    add(store, PICTURES, groups=GROUPS)

    with workspace.datasets.edit("photos") as edit:
        for _ in range(apply(edit, edits)):
            edit.undo()
        changes = edit.changes

    assert (changes, edit.result) == ([], None)


@settings(derandomize=True, max_examples=15, deadline=None)
@given(EDITS, EDITS)
def test_any_edits_hold_when_the_source_is_added_again_and_split_no_family(tmp_path_factory, one, two):
    workspace, store = fresh(tmp_path_factory)
    add(store, PICTURES, groups=GROUPS)

    for edits in (one, two):
        with workspace.datasets.edit("photos") as edit:
            apply(edit, edits)
    added = [add(store, PICTURES, groups=GROUPS, mode=mode) for mode in ("overwrite", "append")]

    after = rows(workspace).values()
    assert [one.new for one in added] == [False, False]
    assert len({(row.family, row.split) for row in after}) == len({row.family for row in after})


@pytest.fixture
def store(workspace):
    return open_store(workspace.path)


def fresh(factory):
    workspace = regraft.open(factory.mktemp("store") / "workspace")
    return workspace, open_store(workspace.path)


def change(workspace, changes):
    """Make changes to the latest version of `photos`."""
    with workspace.datasets.edit("photos") as edit:
        changes(edit)


def apply(edit, edits):
    """Make the edits that can be made; return how many changed something."""
    count = 0
    for name, *arguments in edits:
        before = edit.changes
        try:
            getattr(edit, name)(*arguments)
        except NotFoundError:  # it was dropped
            continue
        count += edit.changes != before
    return count


def add(store, pictures, *, groups=None, splits=None, mode="overwrite"):
    """Add tiny pictures to `photos`: labels, groups and splits by key; a key gives its picture."""
    listing = Listing(
        reader="test",
        entries=[
            Entry(
                key=key,
                label=label,
                split=(splits or {}).get(key, ""),
                group=(groups or {}).get(key, ""),
                read=lambda key=key: bitmap(ord(key)),
            )
            for key, label in pictures.items()
        ],
    )
    return ingest.add(store, "photos", listing, RULE, silent, mode=mode)


def bitmap(value):
    """Return one grey pixel as a BMP file."""
    pixel = bytes([value, value, value, 0])
    return (
        b"BM"
        + (54 + 4).to_bytes(4, "little")
        + bytes(4)
        + (54).to_bytes(4, "little")
        + (40).to_bytes(4, "little")
        + (1).to_bytes(4, "little") * 2
        + (1).to_bytes(2, "little")
        + (24).to_bytes(2, "little")
        + bytes(4)
        + (4).to_bytes(4, "little")
        + bytes(16)
        + pixel
    )


def correction(row, change, old="", new=""):
    return Correction(digest=row.digest, key=row.key, change=change, old=old, new=new)


def rows(workspace, ref="photos"):
    return {row.key: row for row in workspace.datasets.get(ref)}


def versions(workspace):
    return [str(version) for version in workspace.datasets.history("photos")]


def sizes(record):
    """Return the number of pictures by label."""
    return {label: sum(labels.get(label, 0) for labels in record.splits.values()) for label in record.labels}
