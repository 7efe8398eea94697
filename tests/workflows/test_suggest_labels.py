"""Wrong labels: those that were planted are found, mended, and the head is refitted without the net."""

import csv
import shutil

import numpy as np
import pytest

import regraft
from regraft.errors import ConflictError, InvalidError, MismatchError
from regraft.jobs import trunk
from regraft.records import DatasetVersion


@pytest.fixture
def wrong(photos, tmp_path):
    """A folder of three classes that are easily told apart, with two pictures in the folder of another."""
    root = tmp_path / "wrong"
    shutil.copytree(photos, root)
    (root / "leaf" / "3.jpg").rename(root / "sea" / "from-leaf.jpg")
    (root / "sand" / "5.jpg").rename(root / "leaf" / "from-sand.jpg")
    return root


PLANTED = {"sea/from-leaf.jpg": "leaf", "leaf/from-sand.jpg": "sand"}


def labels(workspace, ref):
    return {row.key: row.label for row in workspace.datasets.get(ref)}


def test_flipped_labels_of_rubbish_are_among_the_first(shared_data, tmp_path):
    workspace = regraft.open(tmp_path)
    right = workspace.datasets.add("garbage", shared_data / "garbage").version
    rows = list(workspace.datasets.get(str(right)))
    known = right.read(DatasetVersion).labels
    count = round(0.05 * len(rows))

    scores = []
    for seed in range(3):
        random = np.random.default_rng(seed)
        planted = {
            rows[place].digest: known[(known.index(rows[place].label) + random.integers(1, 6)) % 6]
            for place in random.choice(len(rows), count, replace=False)
        }
        with workspace.datasets.edit(str(right)) as edit:
            for row in rows:
                edit.relabel(row, planted.get(row.digest, row.label))
        found = [item.digest in planted for item in workspace.datasets.suggest_labels("garbage").suggestions]
        scores.append((sum(found[:count]) / count, sum(found) / count))

    assert [(precision >= 0.6, recall >= 0.7) for precision, recall in scores] == [(True, True)] * 3, scores


def test_wrong_labels_are_listed_mended_and_relearned_without_the_net(wrong, tmp_path, monkeypatch):
    workspace = regraft.open(tmp_path / "workspace")
    first = workspace.finetune(wrong, strategy="probe")
    seen = []
    monkeypatch.setattr(trunk, "compute", lambda *arguments, **options: seen.append(1) or iter(()))

    result = workspace.datasets.suggest_labels("wrong", apply=True, least=0.9)
    second = workspace.finetune("wrong", strategy="probe")

    assert {item.key: item.suggested for item in result.suggestions} == PLANTED
    assert all(item.probability >= 0.9 for item in result.suggestions)
    assert str(result.version) == "wrong:v2"
    assert labels(workspace, "wrong") == labels(workspace, "wrong:v1") | PLANTED
    assert (first.model, second.model, seen) == ("wrong:v1", "wrong:v2", [])
    assert "from-leaf.jpg" in result.page.read_text()


def test_a_list_may_be_edited_before_it_is_used(run, wrong, tmp_path):
    home, file = tmp_path / "home", tmp_path / "labels.csv"
    run("dataset", "add", "wrong", wrong, home=home)

    said = run("dataset", "suggest-labels", "wrong", "-o", file, home=home)
    with file.open(newline="") as written:
        lines = list(csv.DictReader(written))
    kept = [line for line in lines if line["key"] == "sea/from-leaf.jpg"]
    with file.open("w", newline="") as written:
        again = csv.DictWriter(written, kept[0].keys(), delimiter=";")
        again.writeheader()
        again.writerows([kept[0] | {"suggested": "moss"}])
    edited = run("dataset", "edit", "wrong", "--from", file, home=home)

    assert "sea/from-leaf.jpg" in said.out, said.err
    assert edited.out == "wrong:v2  1 relabelled, new class 'moss'\n", edited.err
    assert labels(regraft.open(home), "wrong")["sea/from-leaf.jpg"] == "moss"


def test_a_list_about_another_picture_is_refused(workspace, make_folder, tmp_path):
    workspace.datasets.add("photos", make_folder({"cat": 3, "dog": 3}))
    file = tmp_path / "labels.csv"
    file.write_text(f"key,suggested,digest\ncat/0.png,dog,{'0' * 64}\n")

    with pytest.raises(InvalidError) as caught, workspace.datasets.edit("photos") as edit:
        edit.relabel_from(file)

    assert str(caught.value) == f"The picture 'cat/0.png' is another one than in line 2 of {str(file)!r}."


def test_few_pictures_are_not_doubted_and_it_is_said(workspace, make_folder):
    workspace.datasets.add("photos", make_folder({"cat": 3, "dog": 3}))

    result = workspace.datasets.suggest_labels("photos", apply=True)

    assert (result.suggestions, result.version) == ((), None)
    assert result.notes == ("There are too few pictures to hold some of them out.",)


def test_a_file_that_exists_is_left_alone(workspace, make_folder, tmp_path):
    workspace.datasets.add("photos", make_folder({"cat": 3, "dog": 3}))
    file = tmp_path / "labels.csv"
    file.write_text("mine")

    with pytest.raises(ConflictError):
        workspace.datasets.suggest_labels("photos", out=file, apply=True)

    assert file.read_text() == "mine"


def test_a_net_that_has_learned_the_labels_is_no_judge(workspace, make_folder):
    folder = make_folder({"cat": 12, "dog": 12})
    settings = ["data.size=32", "train.batch_size=8"]
    workspace.finetune(folder, model="timm:test_resnet", strategy="scratch", epochs=1, settings=settings)

    with pytest.raises(MismatchError) as caught:
        workspace.datasets.suggest_labels("photos", model="photos")

    assert "has learned from" in str(caught.value)
    assert caught.value.hint == "Leave --model out, or name a net that was not tuned on them."
