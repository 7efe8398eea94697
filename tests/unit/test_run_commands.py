"""`regraft run`: resume, extend, stop, remove, and what is said of a run while it goes."""

import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

import regraft
from regraft.cli.live import duration, metrics_line
from regraft.cli.main import main
from regraft.errors import ConflictError, InvalidError, InvalidRecipe, NotFoundError
from regraft.recipe import Recipe
from regraft.store.journal import Journal

#: So that nothing has to be measured.
EXACT = "train.precision=exact"


@pytest.fixture
def home(workspace):
    return workspace.path


@pytest.fixture(scope="module")
def with_a_net(tmp_path_factory, write_squares):
    """A workspace that has read the pretrained net."""
    home = tmp_path_factory.mktemp("net") / "workspace"
    folder = write_squares(tmp_path_factory.mktemp("first"), 4)
    regraft.open(home).finetune(folder, settings=[EXACT], name="first")
    return home


@pytest.fixture(scope="module")
def write_squares():
    """Write a folder of two classes of coloured squares, so many pictures each."""

    def write(folder, count):
        for label in ("cat", "dog"):
            (folder / label).mkdir()
            for number in range(count):
                seed = np.random.default_rng([count, number, len(label), ord(label[0])])
                squares = Image.fromarray(seed.integers(0, 256, (4, 6, 3), dtype=np.uint8))
                squares.save(folder / label / f"{number}.png")
        return folder

    return write


@pytest.fixture
def journal(home):
    return Journal(home / "runs")


@pytest.fixture
def command(home, monkeypatch, capsys):
    """Call `regraft WORDS` on the workspace; return its exit code and what it wrote."""

    def call(*words):
        monkeypatch.setattr(sys, "argv", ["regraft", *words, "--workspace", str(home)])
        with pytest.raises(SystemExit) as ended:
            main()
        return (ended.value.code, *capsys.readouterr())

    return call


@pytest.fixture
def sleeping(with_a_net, home, tmp_path, write_squares):
    """A fine-tuning in a process of its own, which sleeps five seconds before it fits the head."""
    shutil.copytree(with_a_net, home, dirs_exist_ok=True)
    folder = write_squares(tmp_path, 8)
    words = ["finetune", folder, "--set", EXACT, "--name", "photos", "--workspace", home]
    with subprocess.Popen(
        [sys.executable, "-m", "regraft", *words],
        env={**os.environ, "REGRAFT_FAILPOINTS": "cache.write=sleep:5"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as child:
        while not list((home / "cache" / "features").rglob(".draft-*")) and child.poll() is None:
            time.sleep(0.02)
        yield child
        child.kill()


def finetuning(journal, **train):
    recipe = Recipe.model_validate({"train": train}).model_dump(mode="json")
    inputs = {
        "model": "gone:v1",
        "model_digest": "0" * 64,
        "dataset": "gone:v1",
        "dataset_digest": "0" * 64,
        "name": "photos",
        "split": "test",
    }
    return journal.create("finetune", inputs=inputs, recipe=recipe)


def test_a_fine_tuning_that_the_system_ended_is_resumed(workspace, sleeping, command):
    sleeping.terminate()
    _, err = sleeping.communicate(timeout=60)
    cut_off = workspace.runs.get("latest").record
    said = command("run", "resume", "latest", "--json")
    after = workspace.runs.get("latest").record

    assert (sleeping.returncode, cut_off.status, cut_off.error) == (143, "interrupted", "Terminated.")
    assert err.splitlines()[-1] == f"Terminated. Resume it with: regraft run resume {cut_off.id}"
    assert said[0] == 0, said[2]
    assert (after.id, after.status, after.error, after.started) == (cut_off.id, "done", None, cut_off.started)
    result = json.loads(said[1])
    assert (result["model"], result["run"]["id"]) == ("photos:v1", cut_off.id)
    assert (workspace.path / "runs" / cut_off.id / "report.html").exists()


def test_a_fine_tuning_that_was_stopped_on_request_is_resumed(workspace, sleeping, command):
    run_id = workspace.runs.get("latest").id

    with pytest.raises(ConflictError) as refused:
        workspace.runs.resume(run_id)
    stopped = command("run", "stop")
    _, err = sleeping.communicate(timeout=60)
    record = workspace.runs.get(run_id).record
    result = workspace.runs.resume(run_id)

    assert str(refused.value).startswith(f"Run {run_id} is being executed by process {sleeping.pid} of ")
    assert stopped[:2] == (
        0,
        f"run     {run_id}\nstatus  stopped\nresume  regraft run resume {run_id}\n",
    )
    assert (sleeping.returncode, record.status) == (1, "stopped")
    assert err.splitlines()[-2:] == [
        f"Error: Run {run_id} was stopped on request.",
        f"Resume it with: regraft run resume {run_id}",
    ]
    assert (result.run.status, result.model) == ("done", "photos:v1")
    assert result.report == workspace.reports.get("photos:v1")


def test_a_run_that_another_version_recorded_is_not_trained_longer(workspace, journal):
    run = journal.create("finetune", inputs={}, recipe={"train": {"warp": 9}})

    with pytest.raises(InvalidRecipe) as caught:
        workspace.runs.extend(run.record.id, epochs="+1")

    assert str(caught.value) == f"run:{run.record.id}: Unknown key 'warp' in 'train'."
    assert caught.value.hint == "Another version of Regraft has recorded it, and can read it."


def test_a_run_that_fails_says_how_it_is_resumed(journal, command):
    run = finetuning(journal)
    run.end("interrupted")

    code, out, err = command("run", "resume", run.id)
    _, _, as_json = command("run", "resume", run.id, "--json")

    assert (code, out, run.record.status) == (3, "", "failed")
    assert err.splitlines()[-1] == f"Resume it with: regraft run resume {run.id}"
    assert json.loads(as_json)["notes"] == [f"Resume it with: regraft run resume {run.id}"]


def test_a_run_that_somebody_executes_is_not_resumed(workspace, journal):
    run = finetuning(journal)
    run.end("interrupted")

    with run.held(), pytest.raises(ConflictError) as caught:
        workspace.runs.resume(run.id)

    assert str(caught.value).startswith(f"Run {run.id} is being executed by process ")
    assert run.record.status == "interrupted"


@pytest.mark.parametrize(
    ("kind", "inputs", "again"),
    [
        (
            "evaluate",
            {"model": "m:v1", "dataset": "d:v2", "split": "all"},
            "regraft evaluate m:v1 d:v2 --split all",
        ),
        ("check", {"dataset": "d:v2", "quick": "False"}, "regraft dataset check d:v2"),
    ],
)
@pytest.mark.parametrize("verb", ["resume", "extend"])
def test_what_trains_nothing_is_run_again(workspace, journal, kind, inputs, again, verb):
    run = journal.create(kind, inputs=inputs, recipe={})
    run.end("failed")
    more = {"epochs": "+1"} if verb == "extend" else {}

    with pytest.raises(InvalidError) as caught:
        getattr(workspace.runs, verb)(run.id, **more)

    assert (str(caught.value), caught.value.hint) == (
        f"Run {run.id} trains nothing that could go on: its kind is {kind!r}.",
        f"Run it again: {again}",
    )


@pytest.mark.parametrize(("epochs", "total"), [("+10", 15), ("6", 6), (20, 20), (" +1 ", 6)])
def test_a_run_is_extended_by_a_new_one_that_begins_where_it_ended(workspace, journal, epochs, total):
    old = finetuning(journal, strategy="full", epochs=5)
    old.checkpoints().put(50, b"fifty")
    before = old.end("done")

    with pytest.raises(NotFoundError, match="gone"):
        workspace.runs.extend(old.id, epochs=epochs)

    new = journal.find("latest")
    assert (old.record, new.id != old.id) == (before, True)
    assert new.record.inputs == {**before.inputs, "extends": old.id}
    assert new.record.recipe == {
        **before.recipe,
        "train": {**before.recipe["train"], "epochs": total},
    }
    assert new.checkpoints().latest() == (50, b"fifty")


@pytest.mark.parametrize("epochs", ["5", "0", "+0", "-3", "ten", "1e3", "", "+10000000"])
def test_epochs_that_are_no_more_are_refused(workspace, journal, epochs):
    old = finetuning(journal, strategy="full", epochs=5)
    old.checkpoints().put(50, b"fifty")
    old.end("done")

    with pytest.raises(InvalidError) as caught:
        workspace.runs.extend(old.id, epochs=epochs)

    assert (str(caught.value), caught.value.hint, caught.value.where) == (
        f"'epochs' cannot be {epochs!r}: the run had 5.",
        "Write +10 for ten more, or a number above 5 for so many in all.",
        "epochs",
    )
    assert journal.ids() == [old.id]


@pytest.mark.parametrize(
    ("strategy", "status", "message"),
    [
        ("probe", "done", "has no epochs: it fitted a head on a frozen net."),
        ("auto", "done", "cannot train longer: 'auto' finds out what to train, and for how long."),
        ("full", "interrupted", "is not done, but interrupted."),
        ("full", "done", "There is no checkpoint to go on from."),
    ],
)
def test_what_cannot_be_extended_is_refused(workspace, journal, strategy, status, message):
    old = finetuning(journal, strategy=strategy, epochs=5)
    old.end(status)

    with pytest.raises(regraft.RegraftError) as caught:
        workspace.runs.extend(old.id, epochs="+1")

    assert str(caught.value).removeprefix(f"Run {old.id} ") == message
    assert caught.value.hint
    assert journal.ids() == [old.id]


def test_a_run_that_has_ended_is_not_stopped(journal, command):
    run = finetuning(journal)
    run.end("failed")

    code, _, err = command("run", "stop")

    assert (code, err) == (4, f"Error: Run {run.id} is not running: it is failed.\n")
    assert not run.stop_asked


def test_who_does_not_wait_is_told_that_it_was_asked(journal, command):
    run = finetuning(journal)

    code, out, _ = command("run", "stop", run.id, "--no-wait")

    assert (code, run.stop_asked) == (0, True)
    assert (
        out == f"{run.id} was asked to stop, and ends as soon as it can; see `regraft run info {run.id}`.\n"
    )


def test_a_run_is_removed(journal, command):
    run = finetuning(journal)
    run.checkpoints().put(1, b"one")
    refused = command("run", "remove", run.id)
    run.end("failed")

    code, out, _ = command("run", "remove", run.id)

    assert refused[0] == 4
    assert (code, out) == (0, f"{run.id} is removed; what it gave stays.\n")
    assert (journal.ids(), run.path.exists()) == ([], False)


def test_information_on_a_run_that_was_cut_off_says_how_it_goes_on(journal, command):
    run = finetuning(journal)
    during = command("run", "info", run.id)
    run.end("stopped")

    after = command("run", "info", run.id)

    line = f"regraft run resume {run.id}"
    assert (line in during[1], line in after[1]) == (False, True)


def test_a_run_is_watched_epoch_by_epoch(journal, command):
    run = finetuning(journal)
    run.metric(step=10, loss=0.51234)
    run.metric(
        seconds_left=200.4,
        memory_mb=1024.4,
        data_share=0.123,
        pictures_per_second=1182.04,
        lr={"body": 1e-4, "head": 0.001},
        val_accuracy=0.9123,
        val_loss=0.39214,
        loss=0.43126,
        step=1200,
        epoch=3,
    )
    run.metric(event="resumed", step=10)
    run.end("done")

    code, out, _ = command("run", "watch", run.id)

    assert code == 0
    assert [line.partition("  ")[2] for line in out.splitlines()] == [
        "step 10  loss 0.5123",
        "epoch 3  step 1,200  loss 0.4313  val loss 0.3921  accuracy 91.2 %  rate body 0.0001, head 0.001  "
        "1,182.0 pictures/s  data 12%  1,024 MB  3 min left",
        "resumed  step 10",
    ]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epoch": 1, "loss": 1.0, "val_loss": None, "lr": 0.1}, "epoch 1  loss 1.0000  rate 0.1"),
        ({"epoch": 1, "lr": {"all": 0.25}}, "epoch 1  rate 0.25"),
        ({"lr": {"a": 1e-5, "b": 1e-4, "c": 0.1, "d": 1e-3}}, "rate 1e-05 to 0.1"),
        ({"C": 0.1, "log_loss": 0.123456789, "split": "t\x1bst"}, "C 0.1  log_loss 0.123457  split t\\x1bst"),
    ],
)
def test_a_line_of_metrics_says_what_is_there(values, words):
    line = metrics_line({"time": "2025-01-02T03:04:05.678+00:00", **values})

    assert line == f"03:04:05  {words}"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (36000, "10.0 h")],
)
def test_a_time_that_is_left_is_said_as_exactly_as_it_is_known(seconds, words):
    assert duration(seconds) == words
