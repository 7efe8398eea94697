"""A training in two processes that is cut off leaves nobody behind, and ends as if it had not been."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from regraft.hub import nets

#: The fourth checkpoint of the first process takes its time; the one that holds the run writes no fourth.
SLOW = "checkpoint.write=sleep:3@4"
COUNTS = {"train/cat": 9, "train/dog": 8, "val/cat": 2, "val/dog": 2, "test/cat": 2, "test/dog": 2}
SETTINGS = (
    "train.strategy=full",
    "train.epochs=2",
    "train.batch_size=4",
    "train.checkpoint_seconds=0",
    "train.precision=exact",
    "eval.precision=exact",
    "data.size=32",
    "data.workers=0",
)


def processes():
    """Return the ids of the processes that train, by the folder that they were given."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue  # it has just ended
        if "regraft.backends.worker" in words:
            found.setdefault(Path(words[-2]).parent, []).append(int(path.parent.name))
    return found


def wait_until(true):
    patience = time.monotonic() + 120
    while not (found := true()):
        assert time.monotonic() < patience
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("kills")


@pytest.fixture
def regraft(home):
    """Begin `regraft ...` on a workspace that the tests of this module share."""

    def begin(*words, failpoints=""):
        environment = {
            **os.environ,
            "REGRAFT_HOME": str(home / "workspace"),
            "REGRAFT_FAILPOINTS": failpoints,
        }
        return subprocess.Popen(
            [sys.executable, "-m", "regraft", *map(str, words)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return begin


@pytest.fixture
def words(home, make_folder):
    """Return the words that train a tiny net on a few pictures, in two processes."""
    weights = home / "net.safetensors"
    if not weights.exists():
        torch.manual_seed(0)
        save_file(nets.original_state(nets.build("test_convnext")), weights)
    settings = [word for each in (*SETTINGS, f"model.weights={weights}") for word in ("--set", each)]
    photos = make_folder(COUNTS)
    return ("finetune", photos, "--model", "timm:test_convnext", *settings, "--devices", 2, "--json")


def last_checkpoint(run):
    return max(path.name for path in (run / "checkpoints").glob("step-*"))


@pytest.fixture
def uninterrupted(home, regraft, words):
    """Return the name of the last checkpoint of a run that nobody disturbs: a digest of the whole state."""
    note = home / "uninterrupted"
    if not note.exists():
        out, err = (child := regraft(*words)).communicate()
        assert (child.returncode, json.loads(out)["run"]["status"]) == (0, "done"), err
        note.write_text(last_checkpoint(home / "workspace" / "runs" / json.loads(out)["run"]["id"]))
    return note.read_text()


def kill_the_holder(child, workers):
    child.kill()


def kill_a_worker(child, workers):
    os.kill(workers[1], signal.SIGKILL)


def terminate_all(child, workers):
    for process in (*workers, child.pid):
        os.kill(process, signal.SIGTERM)


@pytest.mark.parametrize(
    ("disturb", "code", "status", "error"),
    [
        (kill_the_holder, -signal.SIGKILL, "lost", None),
        (kill_a_worker, 1, "failed", "Process 1 of 2 was killed (SIGKILL)."),
        (terminate_all, 143, "interrupted", "Terminated."),
    ],
)
def test_what_is_cut_off_ends_as_if_it_had_not_been(
    home, regraft, words, require, uninterrupted, disturb, code, status, error
):
    require(sys.platform == "linux", "processes are looked up in /proc")
    child = regraft(*words, failpoints=SLOW)
    run = wait_until(lambda: next((folder for folder in processes() if home in folder.parents), None))
    wait_until(lambda: list((run / "checkpoints").glob("step-00000003-*")))
    wait_until(lambda: list((run / "checkpoints").glob(".draft-*")))  # the fourth is being written
    workers = sorted(processes()[run])

    disturb(child, workers)
    child.communicate()
    wait_until(lambda: run not in processes())
    info = json.loads(regraft("run", "info", run.name, "--json").communicate()[0])
    out, err = (resumed := regraft("run", "resume", run.name, "--json")).communicate()

    assert (child.returncode, info["status"], info["error"]) == (code, status, error)
    assert last_checkpoint(run).startswith("step-00000010-")
    assert (resumed.returncode, last_checkpoint(run)) == (0, uninterrupted), err
    assert json.loads(out)["run"]["status"] == "done"
    assert list(run.glob("workers*")) == []
