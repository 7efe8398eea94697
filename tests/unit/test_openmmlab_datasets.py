"""Where a config of OpenMMLab says that pictures are, and what becomes of them."""

import pytest

from regraft.dialects.openmmlab import main
from regraft.errors import InvalidError, InvalidRecipe
from regraft.recipe import Recipe

CONFIG = """
_base_ = ['_base_/models/resnet50.py', '_base_/datasets/custom.py', '_base_/schedules/imagenet_bs256.py']
model = dict(head=dict(num_classes={classes}))
{text}
"""


@pytest.fixture
def imported(tmp_path, monkeypatch, make_folder):
    """Import a config on `photos`, in which there is nothing else: `imported("data = ...", classes=2)`."""
    monkeypatch.chdir(tmp_path)
    make_folder({"train/cat": 3, "train/dog": 4, "val/cat": 1, "val/dog": 1})

    def read(text, classes=2):
        (tmp_path / "config.py").write_text(CONFIG.format(text=text, classes=classes))
        return main.read("config.py")

    return read


FOLDERS = """
data = dict(train=dict(data_prefix='photos/train'), val=dict(data_prefix='photos/val'),
            test=dict(data_prefix='photos/val'))
"""


def splits(workspace, source):
    version, _ = workspace.datasets.resolve(source.open(workspace), Recipe())
    return workspace.datasets.get(str(version)).record.splits


def test_folders_of_splits_side_by_side_are_one_dataset_of_regraft(imported, workspace):
    found = imported(FOLDERS)

    assert found.dataset == "photos"
    assert splits(workspace, found.source) == {"train": {"cat": 3, "dog": 4}, "val": {"cat": 1, "dog": 1}}


def test_folders_elsewhere_are_put_together(imported, workspace, make_folder):
    make_folder({"cat": 2, "dog": 2}, name="elsewhere")

    found = imported(FOLDERS.replace("photos/val", "elsewhere"))

    assert found.dataset == "photos/train, elsewhere"
    assert splits(workspace, found.source) == {"train": {"cat": 3, "dog": 4}, "test": {"cat": 2, "dog": 2}}


def test_a_list_of_paths_and_numbers_names_the_sorted_folders_of_train(imported, workspace, tmp_path):
    (tmp_path / "val.txt").write_text("dog/0.png 1\ncat/0.png 0\n")

    found = imported(FOLDERS.replace("'photos/val')", "'photos/val', ann_file='val.txt')"))

    assert splits(workspace, found.source) == {"train": {"cat": 3, "dog": 4}, "test": {"cat": 1, "dog": 1}}


def test_lists_with_names_of_classes_need_no_folders_for_them(imported, workspace, tmp_path):
    (tmp_path / "train.txt").write_text("train/dog/0.png 1\ntrain/cat/0.png 0\n")
    (tmp_path / "names.txt").write_text("tom\nrex\n")
    entry = "data_prefix='photos', ann_file='train.txt', classes='names.txt'"

    found = imported(f"data = dict(train=dict({entry}), val=dict({entry}), test=dict({entry}))")

    rows = found.source.open(workspace)
    assert (rows, workspace.datasets.get(rows).labels) == ("photos:v1", ("rex", "tom"))
    assert found.source.open(workspace) == "photos:v1"  # what has not changed is no new version


def test_a_line_that_is_no_path_and_number_is_refused_with_its_number(imported, workspace, tmp_path):
    (tmp_path / "val.txt").write_text("dog/0.png 1\ncat/0.png 7\n")
    found = imported(FOLDERS.replace("'photos/val')", "'photos/val', ann_file='val.txt')"))

    with pytest.raises(InvalidError) as caught:
        found.source.open(workspace)

    assert (str(caught.value), caught.value.hint) == (
        "Line 2 of 'val.txt' is 'cat/0.png 7'.",
        "Each line is a path, a space, and the number of a class from 0 to 1.",
    )


def test_classes_of_the_head_are_compared_with_the_folders(imported):
    with pytest.raises(InvalidRecipe) as caught:
        imported(FOLDERS, classes=3)

    assert (str(caught.value), caught.value.hint) == (
        "config.py, line 3: The head tells 3 classes apart, and the pictures are of 2.",
        "Write head=dict(num_classes=2).",
    )


def test_steps_are_counted_by_the_pictures_that_are_there(imported):
    found = imported(
        FOLDERS + "lr_config = dict(policy='step', step=[2], warmup='linear', warmup_iters=3)\n"
        "auto_scale_lr = dict(base_batch_size=2)\n"
    )

    assert found.document["train"]["batch_size"] == 2
    assert found.document["optim"]["warmup_epochs"] == 3 / 4  # seven pictures are four steps


def test_the_set_of_cifar_is_taken_from_its_folder_or_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config.py").write_text(
        CONFIG.format(text="", classes=100).replace("custom", "cifar100_bs16")
    )
    absent = main.read("config.py")

    (tmp_path / "data" / "cifar100").mkdir(parents=True)
    (tmp_path / "data" / "cifar100" / "train").touch()
    there = main.read("config.py")

    assert (absent.dataset, there.dataset) == ("cifar100", "data/cifar100")
    assert "There is nothing in 'data/cifar100': the set 'cifar100' is fetched, and checked." in absent.notes
