"""Before anything is spent: what a dataset needs, and what its owner should know."""

from __future__ import annotations

import pytest

from regraft.errors import InvalidError
from regraft.jobs import preflight
from regraft.progress import silent
from regraft.recipe import check as recipe
from regraft.records import InputSpec, LoadReport, ModelVersion
from regraft.store.opening import open_store

#: Nothing has to be measured for it, and so no net is built.
EXACT = recipe({"train": {"precision": "exact"}})
NEED = "A classifier needs two classes or more, a folder for each: photos/cat, photos/dog."
MODEL = ModelVersion(
    parent=None,
    architecture="net",
    source="embedded:net",
    weights_file="",
    trunk="",
    head="",
    num_features=1,
    labels=("a", "b"),
    input=InputSpec(size=32, crop=1, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic"),
    temperature=1,
    precision=None,
    licence="",
    load_report=LoadReport(loaded=0, converted=0, missing=(), unexpected=()),
    learning=None,
    lineage=None,
)


@pytest.fixture
def check(workspace):
    """Add a folder, and check the dataset that it gives."""

    def add_and_check(folder):
        record = workspace.datasets.add("photos", folder).record
        return preflight.check(open_store(workspace.path), record, MODEL, EXACT, silent)

    return add_and_check


def test_a_good_dataset_passes_without_a_warning(check, make_folder):
    folder = make_folder({"train/cat": 4, "train/dog": 3, "test/cat": 15, "test/dog": 15})

    ready = check(folder)

    assert (ready.split, ready.warnings) == ("test", ())
    assert (ready.recipe.train.precision, ready.recipe.eval.folds) == ("float32", 3)


def test_what_weakens_the_result_is_said(workspace, make_folder):
    folder = make_folder({"train/cat": 10, "train/dog": 3, "val/cat": 2})
    dataset = workspace.datasets.add("photos", folder).record

    said = preflight.notes(dataset, preflight.held_out(dataset))

    assert said == (
        "Learned from fewer than 10 pictures: 'dog'.",
        "There is no test split: measured on 'val', which nothing was chosen by.",
        "Fewer than 30 pictures to measure on (2): the interval is wide.",
        "Not measured, for want of pictures in 'val': 'dog'.",
    )


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_class_without_pictures_to_learn_from_is_named_whichever_split_it_is_in(check, make_folder, split):
    seen = {f"{split}/{label}": 2 for split in ("train", "val", "test") for label in ("cat", "dog")}

    with pytest.raises(InvalidError) as caught:
        check(make_folder({**seen, f"{split}/owl": 1}))

    assert str(caught.value) == f"Class 'owl' has pictures in {split!r} and none in 'train'."
    assert caught.value.hint == "Add pictures to learn it from, or take its folder away; spell names alike."
    assert caught.value.where == f"{split}/owl"


def test_a_class_of_which_no_file_can_be_used_is_named_with_the_reason(check, make_folder):
    seen = {f"{split}/{label}": 15 for split in ("train", "test") for label in ("cat", "dog")}
    folder = make_folder({**seen, "train/owl": 0})
    (folder / "train" / "owl" / "0.png").write_bytes(b"")
    (folder / "train" / "owl" / "1.png").write_bytes(b"Buy more film.")
    (folder / "train" / "cat" / "bad.png").write_bytes(b"")

    ready = check(folder)

    assert ready.warnings == (
        "Class 'owl' is left out, since none of its files can be used (2); "
        "the first, 'train/owl/0.png': empty file.",
    )


def test_where_one_class_is_left_the_lost_ones_are_named(check, make_folder):
    folder = make_folder({"cat": 3, "dog": 0})
    (folder / "dog" / "0.png").write_bytes(b"")

    with pytest.raises(InvalidError) as caught:
        check(folder)

    lost = (
        "Class 'dog' is left out, since none of its files can be used (1); "
        "the first, 'dog/0.png': empty file."
    )
    assert str(caught.value) == "There is one class only: 'cat'."
    assert caught.value.hint == f"{lost} {NEED}"
    assert caught.value.where == "cat"


@pytest.mark.parametrize(
    ("counts", "message", "hint"),
    [
        ({"cat": 3}, "There is one class only: 'cat'.", NEED),
        (
            {"val/cat": 2, "test/dog": 2},
            "There are no pictures to learn from: the splits are val, test.",
            "Add a folder 'train', or give the class folders without splits above them.",
        ),
        (
            {"cat": 1, "dog": 1},
            "There is nothing to measure on: no class has two pictures.",
            "Add pictures; three of each class are the least, thirty a beginning.",
        ),
    ],
)
def test_a_dataset_that_does_not_suit_is_refused(check, make_folder, counts, message, hint):
    with pytest.raises(InvalidError) as caught:
        check(make_folder(counts))

    assert (str(caught.value), caught.value.hint) == (message, hint)
