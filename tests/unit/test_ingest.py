"""Adding pictures: checked, split, stored once, and never changed afterwards."""

from __future__ import annotations

import os
import shutil
import unicodedata
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

import regraft
from regraft.errors import ConflictError, InvalidError, InvalidRef, NotFoundError
from regraft.recipe import check as recipe
from regraft.records import DatasetVersion, Refused, Row, Segment, SplitRule, digest
from regraft.store import tables


def test_every_field_of_a_tiny_dataset(workspace, make_folder):
    root = make_folder({"train/cat 10": 1, "train/cat 9": 1, "test/cat 9": 1})
    (root / "test/cat 9/notes.txt").write_text("hello")
    (root / ".hidden").write_text("")
    keys = ["test/cat 9/0.png", "train/cat 10/0.png", "train/cat 9/0.png"]
    data = [(root / key).read_bytes() for key in keys]

    added = workspace.datasets.add("tiny", root)

    dataset = workspace.datasets.get("tiny")
    pack = digest(b"".join(data))
    refused = (
        Refused(
            key="test/cat 9/notes.txt",
            reason="not a picture: plain text",
            digest=digest(b"hello"),
            label="cat 9",
        ),
    )
    assert list(dataset) == [
        Row(
            key=key,
            digest=digest(data[index]),
            pack=pack,
            offset=sum(map(len, data[:index])),
            length=len(data[index]),
            label=label,
            split=split,
            group="",
            width=24,
            height=16,
            metadata="{}",
        )
        for index, (key, label, split) in enumerate(
            zip(keys, ["cat 9", "cat 10", "cat 9"], ["test", "train", "train"], strict=True)
        )
    ]
    assert added.record == DatasetVersion(
        parent=None,
        labels=("cat 9", "cat 10"),
        splits={"test": {"cat 9": 1}, "train": {"cat 9": 1, "cat 10": 1}},
        split_rule=SplitRule(fractions={}, seed=0),
        count=3,
        segments=(Segment(digest=added.record.segments[0].digest, count=3),),
        packs=(pack,),
        size=sum(map(len, data)),
        refused=added.record.refused,
        refused_count=1,
    )
    assert (str(added.version), added.new, added.new_pictures) == ("tiny:v1", True, 3)
    assert added.ignored == {"hidden files": 1}
    assert added.refused == dataset.refused == refused
    assert dataset.record == added.record


def test_pictures_without_a_split_get_one_by_the_recipe(workspace, make_folder):
    root = make_folder({"cat": 20, "dog": 10})
    plan = recipe({"data": {"val_fraction": 0.25, "test_fraction": 0.25}, "train": {"seed": 7}})

    added = workspace.datasets.add("photos", root, recipe=plan)

    assert added.record.splits == {
        "train": {"cat": 10, "dog": 6},
        "test": {"cat": 5, "dog": 2},
        "val": {"cat": 5, "dog": 2},
    }
    assert added.record.split_rule == SplitRule(fractions={"train": 0.5, "val": 0.25, "test": 0.25}, seed=7)


def test_the_bytes_that_are_read_back_are_those_of_the_files(workspace, make_folder, draw, encoded):
    root = make_folder({"cat": 3, "dog": 2})
    for kind in ("JPEG", "WEBP", "BMP", "GIF", "TIFF"):
        (root / "dog" / f"picture.{kind}").write_bytes(encoded(draw(7), kind))

    workspace.datasets.add("photos", root)

    dataset = workspace.datasets.get("photos")
    assert len(dataset) == 10
    assert {row.key: dataset.read(row) for row in dataset} == {
        path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*.*")
    }


def test_adding_an_unchanged_folder_makes_no_version_and_stores_nothing(workspace, make_folder):
    root = make_folder({"cat": 5, "dog": 4})
    (root / "cat" / "bad.jpg").write_bytes(b"")
    first = workspace.datasets.add("photos", root)
    before = stored(workspace.path)

    second = workspace.datasets.add("photos", root)

    assert (second.version, second.new, second.new_pictures) == (first.version, False, 0)
    assert second.refused == first.refused
    assert stored(workspace.path) == before


def test_added_pictures_come_after_the_old_ones_which_keep_place_and_split(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 6, "dog": 4}))
    before = list(workspace.datasets.get("photos"))
    packs = stored(workspace.path / "packs")

    added = workspace.datasets.add("photos", make_folder({"ant": 3, "cat": 9, "dog": 4}))

    dataset = workspace.datasets.get("photos")
    fresh = [row.key for row in dataset][10:]
    assert (added.new, added.new_pictures, added.record.count) == (True, 6, 16)
    assert added.record.parent == workspace.datasets.get("photos:v1").version.digest
    assert list(dataset)[:10] == before
    assert fresh == ["ant/0.png", "ant/1.png", "ant/2.png", "cat/6.png", "cat/7.png", "cat/8.png"]
    assert sum(stored(workspace.path / "packs").values()) - sum(packs.values()) == sum(
        row.length for row in list(dataset)[10:]
    )


def test_a_dataset_that_grows_picture_by_picture_keeps_every_split(workspace, make_folder):
    seen = {}
    for count in range(1, 8):
        workspace.datasets.add("photos", make_folder({"cat": count, "dog": 3}))
        now = {row.digest: row.split for row in workspace.datasets.get("photos")}
        assert {name: now[name] for name in seen} == seen
        seen = now

    sizes = workspace.datasets.get("photos").record.splits
    assert {split: counts["cat"] for split, counts in sizes.items()} == {"train": 5, "test": 1, "val": 1}


def test_removed_pictures_vanish_from_the_next_version_only(workspace, make_folder):
    root = make_folder({"cat": 4, "dog": 3})
    workspace.datasets.add("photos", root)
    before = list(workspace.datasets.get("photos"))
    (root / "cat" / "1.png").unlink()
    shutil.rmtree(root / "dog")

    added = workspace.datasets.add("photos", root)

    assert added.record.labels == ("cat",)
    assert list(workspace.datasets.get("photos")) == [
        row for row in before if row.label == "cat" and row.key != "cat/1.png"
    ]
    assert list(workspace.datasets.get("photos:v1")) == before


def test_a_picture_moved_to_another_class_is_relabelled_and_not_stored_again(workspace, make_folder):
    root = make_folder({"cat": 4, "dog": 3})
    workspace.datasets.add("photos", root)
    old = {row.key: row for row in workspace.datasets.get("photos")}["cat/2.png"]
    packs = stored(workspace.path / "packs")
    (root / "cat" / "2.png").rename(root / "dog" / "moved.png")

    added = workspace.datasets.add("photos", root)

    row = {row.digest: row for row in workspace.datasets.get("photos")}[old.digest]
    assert (row.key, row.label) == ("dog/moved.png", "dog")
    assert (row.pack, row.offset, row.length, row.split) == (old.pack, old.offset, old.length, old.split)
    assert (added.new, added.new_pictures) == (True, 0)
    assert stored(workspace.path / "packs") == packs


def test_of_copies_within_a_class_one_is_kept(workspace, make_folder):
    root = make_folder({"cat": 3, "dog": 3})
    name = digest((root / "cat" / "1.png").read_bytes())
    shutil.copy(root / "cat" / "1.png", root / "cat" / "9.png")
    shutil.copy(root / "cat" / "1.png", root / "cat" / "copy.png")

    added = workspace.datasets.add("photos", root)

    reason = "the same picture as 'cat/1.png'"
    assert added.record.count == 6
    assert added.refused == (
        Refused(key="cat/9.png", reason=reason, digest=name, label="cat"),
        Refused(key="cat/copy.png", reason=reason, digest=name, label="cat"),
    )


def test_of_a_picture_with_several_labels_no_copy_is_kept(workspace, make_folder):
    root = make_folder({"cat 10": 3, "cat 9": 3})
    name = digest((root / "cat 9" / "0.png").read_bytes())
    shutil.copy(root / "cat 9" / "0.png", root / "cat 10" / "x.png")
    shutil.copy(root / "cat 9" / "0.png", root / "cat 10" / "y.png")

    added = workspace.datasets.add("photos", root)

    reason = "the same picture is labelled 'cat 9' and 'cat 10'"
    assert added.record.splits["train"].keys() == {"cat 9", "cat 10"}
    assert added.refused == tuple(
        Refused(key=key, reason=reason, digest=name, label=key.partition("/")[0])
        for key in ("cat 10/x.png", "cat 10/y.png", "cat 9/0.png")
    )
    assert name not in {row.digest for row in workspace.datasets.get("photos")}


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_of_a_picture_in_train_and_held_out_the_held_out_copy_is_kept(workspace, make_folder, held_out):
    root = make_folder({"Training/cat": 3, f"{held_out}/cat": 2})
    shutil.copy(root / "Training/cat/1.png", root / held_out / "cat" / "copy.png")

    added = workspace.datasets.add("photos", root)

    assert added.record.splits == {"train": {"cat": 2}, held_out: {"cat": 3}}
    assert [(item.key, item.reason) for item in added.refused] == [
        ("Training/cat/1.png", f"the same picture as '{held_out}/cat/copy.png'")
    ]


def test_a_file_that_is_no_picture_is_listed_and_the_rest_is_added(workspace, make_folder, draw, encoded):
    root = make_folder({"cat": 3, "dog": 3, ".": 1})
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8))
    cut = encoded(noise, "JPEG")[:-500]
    (root / "cat" / "1.png").write_bytes(cut)
    (root / "dog" / "zero.jpg").write_bytes(b"")

    added = workspace.datasets.add("photos", root)

    assert added.record.count == 5
    assert added.refused == (
        Refused(key="0.png", reason="not inside a class folder"),
        Refused(key="cat/1.png", reason="truncated", digest=digest(cut), label="cat"),
        Refused(key="dog/zero.jpg", reason="empty file", digest=digest(b""), label="dog"),
    )


def test_a_file_that_vanishes_while_others_are_read_is_listed(tmp_path, make_folder):
    root = make_folder({"cat": 60})
    last = root / "cat" / "9.png"

    def delete(task, done, total):
        last.unlink(missing_ok=True)

    added = regraft.open(tmp_path / "workspace", progress=delete).datasets.add("photos", root)

    assert added.record.count == 59
    assert added.refused == (Refused(key="cat/9.png", reason="vanished while it was read", label="cat"),)


def test_a_file_that_the_system_does_not_give_is_listed(workspace, make_folder, monkeypatch):
    root = make_folder({"cat": 3})
    read_bytes = type(root).read_bytes

    def refuse(path):
        if path.name == "1.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(type(root), "read_bytes", refuse)

    added = workspace.datasets.add("photos", root)

    reason = "cannot be read (Permission denied)"
    assert added.refused == (Refused(key="cat/1.png", reason=reason, label="cat"),)


def test_where_no_file_can_be_used_nothing_is_added(workspace, make_folder):
    root = make_folder({"cat": 1, "dog": 1})
    shutil.copy(root / "cat" / "0.png", root / "dog" / "0.png")
    (root / "dog" / "empty.jpg").write_bytes(b"")

    with pytest.raises(InvalidError) as caught:
        workspace.datasets.add("photos", root)

    assert str(caught.value) == (
        "None of the 3 files can be used. "
        "The first, 'cat/0.png': the same picture is labelled 'cat' and 'dog'."
    )
    assert caught.value.hint == "Give a folder with one folder of pictures for each class."
    assert workspace.datasets.list() == []


def test_the_folder_is_only_read(workspace, make_folder):
    root = make_folder({"cat": 5, "dog": 4})
    shutil.copy(root / "cat" / "0.png", root / "dog" / "x.png")
    (root / "cat" / "bad.jpg").write_bytes(b"bad")
    before = looked_at(root)

    workspace.datasets.add("photos", root)
    workspace.datasets.add("photos", root)

    assert looked_at(root) == before


def test_equal_folders_give_equal_versions_wherever_they_lie(tmp_path, make_folder):
    here, there = make_folder({"cat": 9, "dog": 12}), tmp_path / "far" / "away"
    for path in sorted(here.rglob("*.png"), reverse=True):
        target = there / path.relative_to(here)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)

    added = [
        regraft.open(tmp_path / f"workspace {index}").datasets.add("photos", root)
        for index, root in enumerate((here, there))
    ]

    assert added[0].version == added[1].version
    assert stored(tmp_path / "workspace 0") == stored(tmp_path / "workspace 1")


def test_a_version_that_another_writer_removed_pictures_from_meanwhile_is_no_obstacle(tmp_path, make_folder):
    path = tmp_path / "workspace"
    regraft.open(path).datasets.add("photos", make_folder({"cat": 3}))
    other, bigger = make_folder({"owl": 3}, name="other"), make_folder({"cat": 3, "dog": 1})

    def interfere(task, done, total):
        if done == 1:
            regraft.open(path).datasets.add("photos", other)

    added = regraft.open(path, progress=interfere).datasets.add("photos", bigger)

    dataset = regraft.open(path).datasets.get("photos")
    assert (str(added.version), added.record.count) == ("photos:v3", 4)
    assert added.record.parent == regraft.open(path).datasets.get("photos:v2").version.digest
    assert [dataset.read(row) for row in dataset] == [(bigger / row.key).read_bytes() for row in dataset]


def test_turned_pictures_are_stored_with_the_size_that_a_person_sees(workspace, make_folder, draw, encoded):
    root = make_folder({"cat": 0})
    turned = Image.Exif()
    turned[0x0112] = 6
    for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
        (root / "cat" / kind).write_bytes(encoded(draw(len(kind), (40, 30)), kind, exif=turned))

    workspace.datasets.add("photos", root)

    sizes = [(row.width, row.height) for row in workspace.datasets.get("photos")]
    assert sizes == [(30, 40)] * 4


def test_file_names_that_are_not_utf8_are_stored_with_their_bytes_escaped(workspace, make_folder):
    root = make_folder({"cat": 3})
    (root / "cat" / "0.png").rename(root / "cat" / os.fsdecode(b"\xe9.png"))
    (root / "cat" / os.fsdecode(b"bad\xff.png")).write_bytes(b"")

    added = workspace.datasets.add("photos", root)

    assert {row.key for row in workspace.datasets.get("photos")} == {
        "cat/1.png",
        "cat/2.png",
        "cat/\\xe9.png",
    }
    assert [item.key for item in added.refused] == ["cat/bad\\xff.png"]


def test_a_name_that_cannot_be_is_refused_before_anything_is_stored(workspace, make_folder):
    root = make_folder({"cat": 3})
    before = stored(workspace.path)

    with pytest.raises(InvalidRef) as caught:
        workspace.datasets.add("my photos", root)

    assert str(caught.value) == "'my photos' cannot be a name."
    assert stored(workspace.path) == before


def test_a_name_is_the_same_in_either_form_of_unicode(workspace, make_folder):
    root = make_folder({"cat": 3})

    added = workspace.datasets.add(unicodedata.normalize("NFD", "Äpfel"), root)

    assert str(added.version) == unicodedata.normalize("NFC", "Äpfel:v1")
    assert workspace.datasets.get(unicodedata.normalize("NFD", "Äpfel")).version == added.version


def test_progress_counts_every_file(tmp_path, make_folder):
    heard = []
    workspace = regraft.open(tmp_path / "workspace", progress=lambda *words: heard.append(words))

    workspace.datasets.add("photos", make_folder({"cat": 3}))

    assert heard == [("Reading pictures", done, 3) for done in (1, 2, 3)]


def test_a_missing_folder_is_not_added(workspace, tmp_path):
    with pytest.raises(NotFoundError) as caught:
        workspace.datasets.add("photos", tmp_path / "nowhere")

    assert str(caught.value) == f"There is no folder {str(tmp_path / 'nowhere')!r}."


def test_a_rule_by_which_splits_were_made_stays(workspace, make_folder):
    plan = recipe({"data": {"val_fraction": 0.25, "test_fraction": 0.25}, "train": {"seed": 7}})
    other = recipe({"data": {"val_fraction": 0.0}, "train": {"seed": 8}})
    first = workspace.datasets.add("photos", make_folder({"cat": 20}), recipe=plan)

    again = workspace.datasets.add("photos", make_folder({"cat": 20}), recipe=other)
    grown = workspace.datasets.add("photos", make_folder({"cat": 40}), recipe=other)

    assert (again.version, again.new) == (first.version, False)
    assert grown.record.split_rule == first.record.split_rule
    assert grown.record.splits == {"train": {"cat": 20}, "val": {"cat": 10}, "test": {"cat": 10}}


def test_a_dataset_whose_splits_were_given_takes_the_rule_of_the_first_call_that_needs_one(
    workspace, make_folder
):
    plan = recipe({"train": {"seed": 7}})
    workspace.datasets.add("photos", make_folder({"train/cat": 3, "test/cat": 1}, name="split"), recipe=plan)

    added = workspace.datasets.add("photos", make_folder({"cat": 5}), recipe=plan)

    assert added.record.split_rule == SplitRule(fractions={"train": 0.7, "val": 0.1, "test": 0.2}, seed=7)


def test_pictures_whose_pack_is_missing_are_stored_anew(workspace, make_folder):
    root = make_folder({"cat": 3})
    first = workspace.datasets.add("photos", root)
    before = stored(workspace.path)
    for path in (workspace.path / "packs").rglob("*"):
        if path.is_file():
            path.unlink()

    again = workspace.datasets.add("photos", root)

    dataset = workspace.datasets.get("photos")
    assert (again.version, again.new, again.new_pictures) == (first.version, False, 0)
    assert [dataset.read(row) for row in dataset] == [(root / row.key).read_bytes() for row in dataset]
    assert stored(workspace.path) == before


def test_pictures_of_a_missing_pack_keep_their_splits_where_the_folder_has_grown(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 5}))
    before = {row.digest: row.split for row in workspace.datasets.get("photos")}
    for path in (workspace.path / "packs").rglob("*"):
        if path.is_file():
            path.unlink()
    root = make_folder({"cat": 9})

    added = workspace.datasets.add("photos", root)

    dataset = workspace.datasets.get("photos")
    assert (str(added.version), added.new_pictures) == ("photos:v2", 4)
    assert [dataset.read(row) for row in dataset] == [(root / row.key).read_bytes() for row in dataset]
    assert {row.digest: row.split for row in list(dataset)[:5]} == before


def test_appended_pictures_come_beside_those_that_are_there(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 4}))
    before = list(workspace.datasets.get("photos"))

    added = workspace.datasets.add("photos", make_folder({"dog": 3}, name="dogs"), mode="append")

    dataset = workspace.datasets.get("photos")
    assert (str(added.version), added.new_pictures, added.record.labels) == ("photos:v2", 3, ("cat", "dog"))
    assert list(dataset)[:4] == before
    assert [row.key for row in dataset][4:] == ["dog/0.png", "dog/1.png", "dog/2.png"]
    assert dataset.record.split_sizes() == {
        split: sum(row.split == split for row in dataset) for split in ("train", "val", "test")
    }


def test_what_the_pictures_that_stay_do_not_allow_is_not_appended(workspace, make_folder):
    root = make_folder({"cat": 3})
    workspace.datasets.add("photos", root)
    other = make_folder({"dog": 1}, name="other")
    (other / "cat").mkdir()
    shutil.copy(other / "dog/0.png", other / "cat/0.png")  # another picture of the same name
    (other / "dog/0.png").unlink()
    shutil.copy(root / "cat/1.png", other / "dog/relabelled.png")
    shutil.copy(root / "cat/2.png", other / "cat/copy.png")

    added = workspace.datasets.add("photos", other, mode="append")

    assert [(item.key, item.reason) for item in added.refused] == [
        ("cat/copy.png", "the same picture as 'cat/2.png'"),
        ("dog/relabelled.png", "the same picture is labelled 'cat' as 'cat/1.png'"),
    ]
    *stayed, longer = workspace.datasets.get("photos")
    assert stayed == list(workspace.datasets.get("photos:v1"))
    assert longer.key == f"cat/0-{longer.digest[:12]}.png"


def test_appending_the_same_again_makes_no_version(workspace, make_folder):
    root = make_folder({"cat": 3})
    (root / "cat" / "bad.png").write_bytes(b"")
    first = workspace.datasets.add("photos", root, mode="append")

    again = workspace.datasets.add("photos", root, mode="append")

    assert (again.version, again.new, again.refused) == (first.version, False, first.refused)


def test_a_new_dataset_takes_no_name_that_is_taken(workspace, make_folder):
    root = make_folder({"cat": 3})
    workspace.datasets.add("photos", root, mode="new")

    with pytest.raises(ConflictError) as caught:
        workspace.datasets.add("photos", root, mode="new")

    assert str(caught.value) == "There is a dataset 'photos' already."
    assert caught.value.hint == "Choose another name, or mode 'append' or 'overwrite'."


def test_without_decoding_a_picture_is_only_glanced_at(workspace, make_folder):
    root = make_folder({"cat": 3})
    whole = (root / "cat/1.png").read_bytes()
    (root / "cat/1.png").write_bytes(whole[:-20])

    glanced = workspace.datasets.add("glanced", root, decode=False)
    decoded = workspace.datasets.add("decoded", root)

    assert (glanced.record.count, glanced.refused) == (3, ())
    assert (decoded.record.count, [item.reason for item in decoded.refused]) == (2, ["truncated"])
    assert {(row.width, row.height) for row in workspace.datasets.get("glanced")} == {(24, 16)}


def test_where_pictures_are_taken_out_the_other_segments_are_shared(workspace, make_folder, monkeypatch):
    monkeypatch.setattr(tables, "SEGMENT", 3)
    root = make_folder({"cat": 9})
    before = workspace.datasets.add("photos", root).record.segments
    (root / "cat/1.png").unlink()

    after = workspace.datasets.add("photos", root).record.segments

    assert [segment.count for segment in after] == [2, 3, 3]
    assert after[1:] == before[1:]


def test_pictures_that_look_alike_stand_in_one_split(workspace, make_folder, encoded, draw):
    root = make_folder({"cat": 10})
    for index in range(10):
        (root / "cat" / f"{index}.png").write_bytes(encoded(draw(index, (96, 64)), "PNG"))
        (root / "cat" / f"{index}.jpg").write_bytes(encoded(draw(index, (48, 32)), "JPEG", quality=90))

    workspace.datasets.add("photos", root)

    rows = list(workspace.datasets.get("photos"))
    families = {row.group: {other.split for other in rows if other.group == row.group} for row in rows}
    assert [
        len({row.group for row in rows if row.key.startswith(f"cat/{index}.")}) for index in range(10)
    ] == [1] * 10
    assert [len(where) for where in families.values()] == [1] * 10


def stored(folder):
    """Return the files below a folder and their sizes; their names are digests."""
    return {
        path.relative_to(folder).as_posix(): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file()
    }


def looked_at(folder):
    """Return the bytes, times and rights of all that is in a folder."""
    return {
        path.relative_to(folder): (
            path.stat().st_mtime_ns,
            path.stat().st_mode,
            sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else sorted(item.name for item in path.iterdir()),
        )
        for path in [folder, *folder.rglob("*")]
    }
