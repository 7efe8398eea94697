"""Datasets row by row from a program: what can be appended, and when it counts."""

import gc
import json
import weakref
from io import BytesIO

import numpy as np
import pytest
from PIL import ExifTags, Image

import regraft
from regraft.cli.main import cli
from regraft.errors import ConflictError, InvalidError
from regraft.recipe import DataSection, Recipe
from regraft.records import digest


def drawn(workspace, ref):
    """The rows of a version, as a person thinks of them."""
    return {row.key: (row.label, row.group, json.loads(row.metadata)) for row in workspace.datasets.get(ref)}


def test_leaving_the_block_commits_what_was_appended(workspace, draw, encoded):
    with workspace.datasets.build("hotdog") as rows:
        rows.append(encoded(draw(1), "PNG"), label="hotdog", key="a.png", taken="noon", weight=2.5)
        rows.append(draw(2), label=7, key="b.png", group="tray")
        before = workspace.datasets.list()

    assert before == []
    assert (str(rows.added.version), rows.added.new, rows.added.new_pictures) == ("hotdog:v1", True, 2)
    assert drawn(workspace, "hotdog") == {
        "a.png": ("hotdog", "", {"taken": "noon", "weight": 2.5}),
        "b.png": ("7", "tray", {}),
    }


def test_an_exception_commits_nothing(workspace, draw):
    with pytest.raises(RuntimeError), workspace.datasets.build("hotdog") as rows:  # noqa: PT012 (the block is the test)
        rows.append(draw(1), label="hotdog")
        raise RuntimeError("the camera is gone")

    assert workspace.datasets.list() == []
    assert list((workspace.path / "leases").iterdir()) == []


def test_bytes_paths_pictures_and_arrays_can_be_appended(workspace, draw, encoded, make_folder):
    path = make_folder({"cat": 1}) / "cat" / "0.png"
    pixels = np.asarray(draw(3))

    with workspace.datasets.build("all") as rows:
        keys = [
            rows.append(encoded(draw(1), "JPEG"), label="x"),
            rows.append(path, label="x"),
            rows.append(str(path), label="x"),
            rows.append(draw(2), label="x"),
            rows.append(pixels, label="x"),
        ]

    dataset = workspace.datasets.get("all")
    assert keys[1] == "x/0.png"
    assert len(set(keys)) == 5
    assert dataset.read(dataset["x/0.png"]) == path.read_bytes()
    assert np.array_equal(np.asarray(dataset.image(dataset[keys[4]])), pixels)
    assert [(item.key, item.reason) for item in rows.added.refused] == [
        (keys[2], "the same picture as 'x/0.png'")
    ]


def test_what_was_appended_is_not_kept_in_memory(workspace, draw):
    picture = draw(1)
    watched = weakref.ref(picture)

    with workspace.datasets.build("hotdog") as rows:
        rows.append(picture, label="hotdog")
        del picture
        gc.collect()
        assert watched() is None

    assert len(workspace.datasets.get("hotdog")) == 1


def test_a_picture_that_cannot_be_used_is_named_and_the_others_stay(workspace, draw, tmp_path):
    with workspace.datasets.build("hotdog") as rows:
        rows.append(b"<html>not found</html>", label="hotdog", key="broken.jpg")
        rows.append(tmp_path / "gone.jpg", label="hotdog")
        rows.append(np.zeros((2, 2, 7), np.uint8), label="hotdog", key="array")
        rows.append(draw(1), label="hotdog", key="good.png")

    assert list(drawn(workspace, "hotdog")) == ["good.png"]
    assert [(item.key, item.reason.partition(" (")[0]) for item in rows.added.refused] == [
        ("array", "cannot be written as PNG"),
        ("broken.jpg", "not a picture: a web page"),
        ("hotdog/gone.jpg", "vanished while it was read"),
    ]


def test_modes_say_what_becomes_of_the_rows_before(workspace, draw):
    with workspace.datasets.build("set") as rows:
        rows.append(draw(1), label="a", key="1")
    with workspace.datasets.build("set", mode="append") as rows:
        rows.append(draw(2), label="b", key="2")
    with pytest.raises(ConflictError) as caught, workspace.datasets.build("set") as rows:
        rows.append(draw(3), label="a", key="3")
    with workspace.datasets.build("set", mode="overwrite") as rows:
        rows.append(draw(3), label="a", key="3")

    assert str(caught.value) == "There is a dataset 'set' already."
    assert caught.value.hint == "Choose another name, or mode 'append' or 'overwrite'."
    assert [list(drawn(workspace, f"set:v{number}")) for number in (1, 2, 3)] == [["1"], ["1", "2"], ["3"]]


def test_appending_what_is_there_already_is_no_new_version(workspace, draw):
    with workspace.datasets.build("set") as rows:
        rows.append(draw(1), label="a", key="1")
    with workspace.datasets.build("set", mode="append") as rows:
        rows.append(draw(1), label="a", key="1")

    assert (rows.added.new, str(rows.added.version)) == (False, "set:v1")


def test_a_picture_that_is_there_already_is_refused_by_name(workspace, draw):
    with workspace.datasets.build("set") as rows:
        rows.append(draw(1), label="a", key="1")
        rows.append(draw(2), label="a", key="2")
    with workspace.datasets.build("set", mode="append") as rows:
        rows.append(draw(1), label="b", key="other label")
        rows.append(draw(2), label="a", key="other name")
        rows.append(draw(4), label="b", key="new")

    assert [(item.key, item.reason) for item in rows.added.refused] == [
        ("other label", "the same picture is labelled 'a' as '1'"),
        ("other name", "the same picture as '2'"),
    ]
    assert list(drawn(workspace, "set")) == ["1", "2", "new"]


def test_another_picture_with_a_name_that_is_taken_gets_a_longer_one(workspace, make_folder, draw):
    folder, more = make_folder({"cat": 3}), make_folder({"cat": 3}, name="more")
    for number in range(3):
        draw(90 + number).save(more / "cat" / f"{number}.png")
    workspace.datasets.add("set", folder)

    first = workspace.datasets.add("set", more, mode="append")
    again = workspace.datasets.add("set", more, mode="append")

    keys = list(drawn(workspace, "set"))
    longer = [f"cat/{row.key.partition('/')[2]}" for row in workspace.datasets.get("set")][3:]
    digests = [row.digest[:12] for row in workspace.datasets.get("set")][3:]
    assert (first.refused, first.new_pictures, again.new, again.refused) == ((), 3, False, ())
    assert keys[:3] == ["cat/0.png", "cat/1.png", "cat/2.png"]
    assert longer == [f"cat/{number}-{digest}.png" for number, digest in zip(range(3), digests, strict=True)]


def test_an_append_tells_of_its_own_files_and_the_version_of_all(workspace, make_folder):
    folder, more = make_folder({"cat": 2}), make_folder({"dog": 2}, name="more")
    (folder / "cat" / "bad.png").write_bytes(b"no picture")
    (more / "dog" / "worse.png").write_bytes(b"none either")
    workspace.datasets.add("set", folder)

    added = workspace.datasets.add("set", more, mode="append")

    assert [item.key for item in added.refused] == ["dog/worse.png"]
    assert [item.key for item in workspace.datasets.get("set").refused] == ["cat/bad.png", "dog/worse.png"]


def test_what_the_source_has_no_more_is_counted(workspace, make_folder):
    folder = make_folder({"cat": 3, "dog": 3})
    workspace.datasets.add("set", folder)
    (folder / "cat" / "0.png").unlink()

    added = workspace.datasets.add("set", folder)

    assert (added.gone, added.new_pictures, added.record.count) == (1, 0, 5)


def test_groups_are_kept_where_the_source_gives_the_splits(workspace, make_folder):
    folder = make_folder({"shots": 6})
    lines = [f"shots/{n}.png,{'ab'[n % 2]},{'train' if n < 4 else 'test'},p{n // 2 % 2}" for n in range(6)]
    (folder / "shots.csv").write_text("\n".join(["path,label,split,patient", *lines]))
    recipe = Recipe(data=DataSection(group_by="column:patient"))

    workspace.datasets.add("set", folder / "shots.csv", recipe=recipe)

    rows = list(workspace.datasets.get("set"))
    found = workspace.datasets.check("set", quick=True).checkup.findings
    assert [row.group for row in rows] == [f"patient=p{n // 2 % 2}" for n in range(6)]
    assert [item.title for item in found if item.code == "parted-groups"] == [
        "1 group stands in more than one split."
    ]


def test_a_rule_that_finds_nothing_is_refused_even_where_the_source_gives_the_splits(workspace, make_folder):
    folder = make_folder({"train/cat": 2, "test/cat": 2})
    recipe = Recipe(data=DataSection(group_by="column:nosuch"))

    with pytest.raises(InvalidError) as caught:
        workspace.datasets.add("set", folder, recipe=recipe)

    assert str(caught.value) == "The rule 'column:nosuch' finds no group in any picture."


def test_words_are_kept_as_those_of_a_list(workspace, draw):
    with workspace.datasets.build("set") as rows:
        rows.append(draw(1), label=True, key="1", group=3)
        rows.append(draw(2), label=" cafe\u0301 ", key="2", split="Valid")

    assert [(row.label, row.group, row.split) for row in workspace.datasets.get("set")][1:] == [
        ("caf\u00e9", "", "val")
    ]
    assert drawn(workspace, "set")["1"] == ("true", "3", {})


def test_files_of_one_name_are_appended_one_after_the_other(workspace, draw, encoded, tmp_path):
    monday, tuesday = (tmp_path / day / "0.png" for day in ("monday", "tuesday"))
    for number, path in enumerate((monday, tuesday)):
        path.parent.mkdir()
        path.write_bytes(encoded(draw(number), "PNG"))
    with workspace.datasets.build("set") as rows:
        rows.append(monday, label="cat")
    with workspace.datasets.build("set", mode="append") as rows:
        keys = [rows.append(monday, label="cat"), rows.append(tuesday, label="cat")]

    assert rows.added.refused == ()
    assert keys == ["cat/0.png", f"cat/{digest(tuesday.read_bytes())[:16]}"]
    assert [row.key for row in workspace.datasets.get("set")] == keys


def test_a_name_that_is_not_utf_8_is_written_out(workspace, make_folder, tmp_path):
    odd = tmp_path / "a\udce9.png"
    odd.write_bytes((make_folder({"cat": 1}) / "cat" / "0.png").read_bytes())

    with workspace.datasets.build("set") as rows:
        rows.append(odd, label="cat")
        rows.append("no\0path", label="cat", key="gone")

    assert list(drawn(workspace, "set")) == ["cat/a\\xe9.png"]
    assert [item.reason for item in rows.added.refused] == ["no path of a file"]


def test_a_picture_of_pillow_is_turned_and_converted_like_its_file(workspace, draw, encoded):
    wide = draw(1).resize((80, 40))
    exif = Image.Exif()
    exif[0x112] = 6
    turned = encoded(wide, "JPEG", exif=exif)

    with workspace.datasets.build("set") as rows:
        rows.append(turned, label="a", key="file")
        rows.append(Image.open(BytesIO(turned)), label="a", key="picture")
        rows.append(draw(2).convert("CMYK"), label="a", key="printed")

    dataset = workspace.datasets.get("set")
    sizes = {row.key: (row.width, row.height) for row in dataset}
    assert sizes["file"] == sizes["picture"] == (40, 80)
    assert np.array_equal(*(np.asarray(dataset.image(dataset[key])) for key in ("file", "picture")))
    assert "printed" in sizes


def test_a_group_stays_on_one_side_when_it_grows(workspace, draw):
    with workspace.datasets.build("herd") as rows:
        for number in range(30):
            rows.append(draw(number), label="cow", group=f"cow {number // 3}", key=f"{number}")
    first = {row.group: row.split for row in workspace.datasets.get("herd")}
    with workspace.datasets.build("herd", mode="append") as rows:
        for number in range(30, 60):
            rows.append(draw(number), label="cow", group=f"cow {number // 3 - 10}", key=f"{number}")

    after = [(row.group, row.split) for row in workspace.datasets.get("herd")]
    assert len(after) == 60
    assert set(first.values()) == {"train", "val", "test"}
    assert all(first[group] == split for group, split in after)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"label": " "}, "A picture has no label."),
        ({"label": "a", "split": "learn"}, "There is no split 'learn'."),
        ({"label": "a", "key": "taken"}, "Two pictures are called 'taken'."),
        (
            {"label": "a", "when": object},
            "A picture cannot be described like this: its metadata cannot be kept (Object of type",
        ),
        ({"label": "a", "size": float("nan")}, "A picture cannot be described like this: its metadata"),
        ({"label": "\ud800"}, "A picture cannot be described like this: holds half a letter"),
        ({"label": "a", "seen": "\ud800"}, "A picture cannot be described like this: holds half a letter"),
        ({"label": ["a"]}, "A picture cannot be described like this: a list in place of a text."),
    ],
)
def test_what_cannot_be_meant_is_an_error_at_once(workspace, draw, words, message):
    with pytest.raises(InvalidError) as caught, workspace.datasets.build("set") as rows:  # noqa: PT012
        rows.append(draw(1), label="a", key="taken")
        rows.append(draw(2), **words)

    assert str(caught.value).startswith(message)
    assert caught.value.hint.endswith(".")
    assert workspace.datasets.list() == []


def test_a_version_built_row_by_row_equals_that_of_the_folder(workspace, make_folder):
    folder = make_folder({"train/cat": 4, "train/dog": 4, "test/cat": 2, "test/dog": 2})
    added = workspace.datasets.add("folder", folder)

    with workspace.datasets.build("rows") as rows:
        for path in sorted(folder.rglob("*.png")):
            split, label = path.relative_to(folder).parts[:2]
            rows.append(path, label=label, split=split, key=path.relative_to(folder).as_posix())

    assert rows.added.version.digest == added.version.digest


def test_bytes_are_in_the_store_once_however_they_came(workspace, make_folder):
    folder = make_folder({"cat": 4, "dog": 4})
    workspace.datasets.add("one", folder)
    packs = {path.name for path in (workspace.path / "packs").rglob("*") if path.is_file()}

    with workspace.datasets.build("two") as rows:
        for path in sorted(folder.rglob("*.png")):
            rows.append(path, label=path.parent.name, key=path.relative_to(folder).as_posix())

    after = {path.name for path in (workspace.path / "packs").rglob("*") if path.is_file()}
    assert packs == after
    assert regraft.open(workspace.path).store.verify(deep=True).faults == ()


def test_a_new_dataset_that_somebody_else_makes_meanwhile_is_a_conflict(workspace, draw):
    def beside_another():
        with workspace.datasets.build("set") as rows:
            rows.append(draw(1), label="mine")
            with workspace.datasets.build("set") as others:
                others.append(draw(2), label="theirs")

    with pytest.raises(ConflictError) as caught:
        beside_another()

    assert str(caught.value) == "There is a dataset 'set' already."
    assert [row.label for row in workspace.datasets.get("set")] == ["theirs"]


def test_a_version_without_pictures_is_never_made(workspace):
    with pytest.raises(InvalidError) as caught, workspace.datasets.build("set", mode="append") as rows:
        rows.append(b"Buy more film.", label="cat")

    assert str(caught.value) == "The version would have no pictures."
    assert workspace.datasets.list() == []


def test_a_new_picture_goes_where_an_old_one_stands_that_has_its_group_only_now(workspace, draw):
    with workspace.datasets.build("herd") as rows:
        for number in range(30):
            rows.append(draw(number), label="cow", key=f"{number}")
    before = {row.key: row.split for row in workspace.datasets.get("herd")}
    with workspace.datasets.build("herd", mode="overwrite") as rows:
        for number in range(60):
            rows.append(draw(number), label="cow", key=f"{number}", group=f"cow {number % 30}")

    after = {row.key: row.split for row in workspace.datasets.get("herd")}
    assert after == {f"{number}": before[f"{number % 30}"] for number in range(60)}


def test_a_new_picture_of_a_group_on_both_sides_stays_out(workspace, draw):
    with workspace.datasets.build("herd") as rows:
        rows.append(draw(1), label="cow", split="train", group="g", key="1")
        rows.append(draw(2), label="cow", split="test", group="g", key="2")
    with workspace.datasets.build("herd", mode="append") as rows:
        rows.append(draw(3), label="cow", group="g", key="3")

    (refused,) = rows.added.refused
    assert refused.reason == "belongs with '2' in 'test' and '1' in 'train': it would stand on both sides"
    assert [row.key for row in workspace.datasets.get("herd")] == ["1", "2"]


def test_a_picture_that_somebody_takes_out_meanwhile_comes_back_beside_one_that_looks_like_it(
    workspace, draw
):
    brighter = draw(0).point(lambda value: value * 0.9 + 20)
    with workspace.datasets.build("set") as rows:
        for number in range(12):
            rows.append(draw(number), label="cat", key=f"{number}")
    first = workspace.datasets.get("set")[0]
    other = next(split for split in ("test", "val") if split != first.split)
    with workspace.datasets.build("set", mode="append") as rows:
        rows.append(draw(0), label="cat", key="0")
        with workspace.datasets.build("set", mode="overwrite") as others:
            others.append(brighter, label="cat", key="brighter", split=other)

    found = workspace.datasets.get("set")
    assert {row.key: row.split for row in found} == {"brighter": other, "0": other}
    assert found["0"].family == found["brighter"].family


def test_a_dropped_picture_that_somebody_takes_back_meanwhile_is_a_conflict(workspace, draw):
    with workspace.datasets.build("set") as rows:
        rows.append(draw(0), label="cat", key="0")
        rows.append(draw(1), label="cat", key="1")
    with workspace.datasets.edit("set") as edit:
        edit.drop("0")

    def beside_another():
        with workspace.datasets.build("set", mode="append") as rows:
            rows.append(draw(0), label="cat", key="0")
            with workspace.datasets.edit("set:v1") as edit:
                edit.drop("1")
            with workspace.datasets.build("set", mode="overwrite") as others:
                others.append(draw(2), label="cat", key="2")

    with pytest.raises(ConflictError) as caught:
        beside_another()

    assert str(caught.value) == "Picture '0' was taken back into 'set' meanwhile."


@pytest.mark.parametrize("line", [b'{"path": "a.png", "label": "d\xff"}', b"[]", b'{"path"'])
def test_the_command_names_a_line_that_is_no_object(workspace, tmp_path, line):
    rows = tmp_path / "rows.jsonl"
    rows.write_bytes(b"\n" + line)

    with pytest.raises(InvalidError) as caught:
        cli.main(
            ["dataset", "build", "set", str(rows), "--workspace", str(workspace.path)], standalone_mode=False
        )

    assert str(caught.value) == "Line 2 is no JSON object."
    assert workspace.datasets.list() == []


def test_a_burst_of_the_camera_stays_on_one_side_when_it_grows(workspace, draw, encoded):
    def shot(seed, second):
        exif = Image.Exif()
        moment = f"2024:05:01 12:{second // 60:02}:{second % 60:02}"
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = moment
        return encoded(draw(seed), "JPEG", exif=exif)

    recipe = Recipe(data=DataSection(group_by="time:30"))
    with workspace.datasets.build("walk", recipe=recipe) as rows:
        for number in range(30):  # ten bursts of three, a hundred seconds apart
            rows.append(shot(number, 100 * (number // 3) + number % 3), label="bird", key=f"{number}")
    first = list(workspace.datasets.get("walk"))
    with workspace.datasets.build("walk", mode="append") as rows:
        for burst in range(10):
            rows.append(shot(100 + burst, 100 * burst + 20), label="bird", key=f"later {burst}")

    later = list(workspace.datasets.get("walk"))[30:]
    bursts = {row.group: {other.split for other in first if other.group == row.group} for row in first}
    assert (len(bursts), all(len(sides) == 1 for sides in bursts.values())) == (10, True)
    assert set().union(*bursts.values()) == {"train", "val", "test"}
    assert [(row.group, {row.split}) for row in later] == list(bursts.items())
