"""Bad input: a clear sentence, what to do, the exit code, nothing half-written; the next command works."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

CASES = {
    "missing": (
        lambda root: root / "phots",
        3,
        "There is no folder '{path}'.",
        "Did you mean 'photos'?",
    ),
    "empty": (
        lambda root: (root / "empty").mkdir() or root / "empty",
        5,
        "The folder '{path}' has no pictures in class folders.",
        "Make a folder for each class and put its pictures there: photos/cat/1.jpg, photos/dog/2.jpg.",
    ),
    "file": (
        lambda root: root / "photos" / "cat" / "0.png",
        5,
        "'{path}' is a file, not a folder.",
        "Give a folder of class folders, a zip or tar of one, a list (CSV or JSON Lines), or Parquet.",
    ),
    "one class": (
        lambda root: root / "one",
        5,
        "There is one class only: 'cat'.",
        "A classifier needs two classes or more, a folder for each: photos/cat, photos/dog.",
    ),
    "nothing to measure on": (
        lambda root: root / "lone",
        5,
        "There is nothing to measure on: no class has two pictures.",
        "Add pictures; three of each class are the least, thirty a beginning.",
    ),
    "class that is only tested": (
        lambda root: root / "odd",
        5,
        "Class 'bird' has pictures in 'test' and none in 'train'.",
        "Add pictures to learn it from, or take its folder away; spell names alike.",
    ),
}


@pytest.fixture
def folders(make_folder):
    make_folder({"cat": 4, "dog": 4})
    make_folder({"cat": 4}, name="one")
    make_folder({"cat": 1, "dog": 1}, name="lone")
    return make_folder({"train/cat": 3, "train/dog": 3, "test/cat": 2, "test/bird": 2}, name="odd").parent


@pytest.mark.parametrize("case", CASES)
def test_a_folder_that_cannot_be_used_gets_a_clear_error(run, folders, tmp_path, case):
    make, code, message, hint = CASES[case]
    path = make(folders)

    said = run("finetune", path, "--json", home=tmp_path / "home")

    told = json.loads(said.err.splitlines()[-1])
    assert (said.code, told["message"], told["hint"]) == (code, message.format(path=path), hint)
    assert said.out == ""
    assert run("model", "list", home=tmp_path / "home").code == 0


def test_a_class_with_one_picture_is_learned_and_said(run, make_folder, tmp_path):
    folder = make_folder({"cat": 9, "dog": 9, "owl": 1})

    said = run("finetune", folder, home=tmp_path / "home")

    assert said.code == 0, said.err
    assert "note    Not measured, for want of pictures in 'test': 'owl'." in said.out
    assert "note    Fewer than 30 pictures to measure on (4): the interval is wide." in said.out


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (("finetune", "digts"), 3, "There is no folder and no dataset 'digts'.", "Did you mean 'digits'?"),
        (("predict", "nobody", "x.jpg"), 3, "No model is named 'nobody'.", "See `regraft model list`."),
        (("evaluate", "no:v", "x"), 3, "No model is named 'no'.", "See `regraft model list`."),
        (
            ("model", "info", "a b"),
            5,
            "'a b' cannot be a name.",
            "Use letters, digits, '.', '_' and '-', a letter or digit first, 100 at most.",
        ),
        (
            ("finetune", "digits", "--set", "train.sed=1"),
            5,
            "Unknown key 'sed' in 'train'.",
            "Did you mean 'seed'?",
        ),
        (
            ("model", "info", "embedded:resnet"),
            3,
            "No embedded model is named 'resnet'.",
            "There is efficientnet_lite0.",
        ),
        (("report", "info", "x"), 3, "No report is named 'x'.", "See `regraft report list`."),
        (("run", "info", "x"), 3, "No run is named 'x'.", "See `regraft run list`."),
    ],
)
def test_wrong_words_get_a_clear_error(run, tmp_path, arguments, code, message, hint):
    said = run(*arguments, home=tmp_path)

    assert (said.code, said.err) == (code, f"Error: {message}\nTry:   {hint}\n")


def test_an_unknown_split_is_refused_with_those_that_there_are(tuned, run, home):
    said = run("evaluate", "photos", "photos", "--split", "tset", home=home)

    assert (said.code, said.err.splitlines()) == (
        5,
        [
            "Error: The dataset 'photos:v1' has no split 'tset'.",
            "Try:   It has train, val, test; 'all' is every picture.",
        ],
    )


def test_a_picture_without_a_name_is_refused(tuned, run, home):
    said = run("predict", "photos", "", home=home)

    assert (said.code, said.err.splitlines()[0]) == (5, "Error: A picture has no name.")


def test_a_folder_of_photos_is_not_turned_into_a_workspace(run, photos):
    said = run("model", "list", "--workspace", photos, home=photos)

    assert (said.code, "is no workspace, and it is not empty." in said.err) == (4, True)
    assert not (photos / "store.json").exists()


def test_a_folder_that_only_shares_its_name_with_a_dataset_is_refused(tuned, run, home, make_folder):
    folder = make_folder({"leaf": 3, "sea": 3}, name="photos")

    said = run("finetune", folder, home=home)

    assert said.code == 4
    assert "Error: There is a dataset 'photos' already, and it has none of these pictures." in said.err


def test_a_wrong_option_is_a_usage_error(run, tmp_path):
    said = run("finetune", "--bugdet", "5m", home=tmp_path)

    assert (said.code, "No such option '--bugdet'" in said.err) == (2, True)


def test_labels_that_the_model_does_not_know_are_named_and_left_out(tuned, run, home, make_folder):
    folder = make_folder({"leaf": 3, "moon": 3}, name="other")

    said = run("evaluate", "photos", f"{folder}@all", home=home)

    assert said.code == 0
    assert (
        "note    Left out, since the model does not know their labels: 3 pictures of 'moon'. The numbers do "
        "not speak for these." in said.out
    )
    assert "3 of 3 pictures" in said.out or "of 3 pictures" in said.out


def test_labels_of_which_the_model_knows_none_are_refused_and_may_be_renamed(tuned, run, home, make_folder):
    folder = make_folder({"sun": 3, "moon": 3}, name="odd")

    refused = run("evaluate", "photos", folder, home=home)
    wrong = run("evaluate", "photos", folder, "--rename", "sun=leef", home=home)
    renamed = run("evaluate", "photos", folder, "--rename", "sun=leaf", home=home)

    assert refused.code == 5
    assert "Error: The model knows none of the dataset's labels: 'moon', 'sun'." in refused.err
    assert "--rename OLD=NEW says which is which." in refused.err
    assert (wrong.code, "Did you mean 'leaf'?" in wrong.err) == (5, True)
    assert (renamed.code, "3 pictures of 'moon'" in renamed.out) == (0, True)


@pytest.mark.parametrize(
    ("point", "sentence", "code"),
    [
        ("blob.write=ENOSPC", "The disk has no room for", 1),
        ("catalog.commit.flush=ENOSPC@2", "The disk has no room for", 1),
        ("cache.write=ENOSPC", "The disk has no room for", 1),
        ("journal.create.write=EACCES", "cannot be written (Permission denied).", 7),
    ],
)
def test_a_disk_that_refuses_is_said_and_the_next_command_works(run, photos, tmp_path, point, sentence, code):
    said = run("finetune", photos, home=tmp_path / "home", REGRAFT_FAILPOINTS=point)
    again = run("finetune", photos, home=tmp_path / "home")

    assert (said.code, sentence in said.err) == (code, True), said.err
    assert again.code == 0, again.err
    assert not list((tmp_path / "home").rglob(".draft-*"))


def test_a_place_that_may_not_be_written_is_said(run, photos):
    said = run("finetune", photos, home="/sys/regraft")

    assert (said.code, "'/sys/regraft' cannot be written" in said.err) == (7, True), said.err
    assert (
        "Choose a place that you may write to; a workspace, with --workspace DIR or REGRAFT_HOME." in said.err
    )


@pytest.mark.parametrize(
    "moment", ["journal.create.published", "blob.published", "cache.published", "catalog.commit.publish"]
)
def test_ctrl_c_at_any_moment_ends_quietly_and_the_next_command_works(run, photos, tmp_path, moment):
    home = tmp_path / "home"
    environment = {**os.environ, "REGRAFT_HOME": str(home), "REGRAFT_FAILPOINTS": f"{moment}=sleep:60"}
    command = [sys.executable, "-m", "regraft", "finetune", str(photos)]

    with subprocess.Popen(
        command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        _wait_until_asleep(child)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    again = run("finetune", photos, home=home)

    runs = run("run", "list", "--json", home=home).json
    words = "Interrupted. Nothing half-written is kept; run the command again to go on."
    for begun in [item["id"] for item in runs if item["status"] == "interrupted"]:
        words = f"Interrupted. Resume it with: regraft run resume {begun}"
    assert (child.returncode, out, err.splitlines()[-1]) == (130, "", words)
    assert "Traceback" not in err
    assert again.code == 0, again.err
    assert not list(home.rglob(".draft-*"))
    assert {item["status"] for item in runs} <= {"done", "interrupted", "lost"}


def _wait_until_asleep(child):
    """Wait until the process has been in a sleep of its main thread for a while."""
    quiet = 0
    previous = None
    while quiet < 20:
        assert child.poll() is None, child.communicate()
        with Path(f"/proc/{child.pid}/stat").open() as file:
            ticks = file.read().rsplit(")", 1)[1].split()[11:13]
        quiet = quiet + 1 if ticks == previous else 0
        previous = ticks
        time.sleep(0.1)
