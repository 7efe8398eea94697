"""Fine-tunings that are cut off: what is resumed ends as if nothing had happened, to the last bit.

Between them these tests kill a training about thirty times.
"""

import json
import os
import signal

import pytest
from tests.faults.tuning import EACH_EPOCH, EACH_STEP, PER_EPOCH, STEPS

KILLED = -signal.SIGKILL


def chains(*chains):
    """Name each chain of deaths by its words."""
    return [pytest.param(chain, id=" ".join(chain).replace("checkpoint.", "")) for chain in chains]


def kill_again_and_again(place, begun, deaths):
    """Kill the execution that was begun, and those that resume it, each in its way; then let one through."""
    statuses = [begun.end().status]
    for death in deaths[1:]:
        statuses.append(place.run("run", "resume", "latest", **death).status)
    last = place.run("run", "resume", "latest")
    assert last.status == 0, last.err
    return statuses


@pytest.mark.parametrize(
    "points",
    chains(
        ("checkpoint.write=kill@1", "checkpoint.flush=kill@2", "checkpoint.publish=kill@3"),
        ("checkpoint.published=kill@1", "checkpoint.write=kill@6", "checkpoint.flush=kill@5"),
        ("checkpoint.published=kill@12", "checkpoint.published=kill@1"),
        ("checkpoint.publish=kill@5", "checkpoint.published=kill@4", "checkpoint.write=kill@4"),
    ),
)
def test_a_training_that_is_killed_while_it_saves_ends_as_if_it_had_not_been(tuning, points):
    place = tuning.copy()
    deaths = [{"failpoints": point} for point in points]

    statuses = kill_again_and_again(place, tuning.begin(place, EACH_STEP, **deaths[0]), deaths)

    assert statuses == [KILLED] * len(points)
    assert place.outcome == tuning.whole.outcome


@pytest.mark.parametrize("steps", [(3, 2, 6, 5), (4, 8, 12, 11)], ids=str)
def test_a_training_that_is_killed_at_any_step_ends_as_if_it_had_not_been(tuning, steps):
    place = tuning.copy()
    deaths = [{"step": step, "do": "kill"} for step in steps]

    statuses = kill_again_and_again(place, tuning.begin(place, EACH_EPOCH, **deaths[0]), deaths)

    assert statuses == [KILLED] * len(steps)
    assert same_weights(place, tuning.whole)


def same_weights(place, whole):
    """Tell whether two runs whose recipes differ gave the same weights, and the same last state."""
    ours, theirs = place.model, whole.model
    parts = ("trunk", "head", "temperature", "training", "precision")
    last = [name for name in whole.checkpoints if name.startswith(f"step-{STEPS:08}")]
    found = {part: ours[part] for part in parts} == {part: theirs[part] for part in parts}
    return found and last[0] in place.checkpoints


def test_a_run_that_is_killed_after_its_training_publishes_its_model_once(tuning):
    place = tuning.copy()
    # of the model, of the model, and of the report
    points = (
        "catalog.commit.write",
        "catalog.commit.published",
        "catalog.commit.publish",
        "journal.end.write",
    )
    deaths = [{"failpoints": f"{point}=kill@1"} for point in points]

    begun = tuning.begin(place, EACH_STEP, **deaths[0])
    statuses = kill_again_and_again(place, begun, deaths)

    assert statuses == [KILLED] * len(points)
    assert place.outcome == tuning.whole.outcome


def test_a_run_whose_end_was_written_is_done_though_its_process_was_killed(tuning):
    place = tuning.copy()

    killed = tuning.finetune(place, EACH_STEP, failpoints="journal.end.published=kill@1")
    again = place.run("run", "resume", "latest")

    assert (killed.status, again.status) == (KILLED, 4)
    assert place.outcome == tuning.whole.outcome


@pytest.mark.parametrize("workers", [0, 1, 4])
def test_however_many_workers_prepare_the_pictures_the_weights_are_the_same(tuning, workers):
    place = tuning.copy()
    deaths = [{"step": 6, "do": "kill"}]

    begun = tuning.begin(place, EACH_STEP, f"data.workers={workers}", **deaths[0])
    statuses = kill_again_and_again(place, begun, deaths)

    assert statuses == [KILLED]
    assert place.record["recipe"]["data"]["workers"] == workers
    assert tuning.whole.record["recipe"]["data"]["workers"] == 2
    assert same_weights(place, tuning.whole)


@pytest.mark.parametrize(
    ("number", "status", "word"),
    [(signal.SIGINT, 130, "Interrupted."), (signal.SIGTERM, 143, "Terminated.")],
    ids=["ctrl-c", "sigterm"],
)
def test_a_signal_lets_the_training_save_and_end_so_that_it_can_be_resumed(tuning, number, status, word):
    place = tuning.copy()

    begun = tuning.begin(place, EACH_EPOCH, step=6, do="wait")
    begun.await_step()
    os.kill(begun.process, number)
    ended = begun.end()
    cut_off, kept = place.record, place.checkpoints
    resumed = place.run("run", "resume", "latest")

    assert ended.status == status, ended.err
    assert ended.err.splitlines()[-1] == f"{word} Resume it with: regraft run resume {cut_off['id']}"
    assert (cut_off["status"], cut_off["error"]) == ("interrupted", word)
    assert any(name.startswith("step-00000006-") for name in kept)
    assert resumed.status == 0, resumed.err
    assert same_weights(place, tuning.whole)


@pytest.mark.parametrize("step", [PER_EPOCH + 1, 2 * PER_EPOCH], ids=["within an epoch", "at its end"])
def test_a_training_that_is_stopped_on_request_saves_and_can_be_resumed(tuning, step):
    place = tuning.copy()

    begun = tuning.begin(place, EACH_EPOCH, step=step, do="wait")
    begun.await_step()
    asked = place.run("run", "stop")
    ended = begun.end()
    stopped, kept = place.record, place.checkpoints
    resumed = place.run("run", "resume", "latest")

    assert (asked.status, ended.status, stopped["status"]) == (0, 1, "stopped"), ended.err
    assert asked.out.split()[:4] == ["run", stopped["id"], "status", "stopped"]
    assert any(name.startswith(f"step-{step:08}") for name in kept)
    assert resumed.status == 0, resumed.err
    assert same_weights(place, tuning.whole)


def test_a_run_that_is_done_can_be_extended_and_stays_what_it_was(tuning):
    place, other = tuning.copy(tuning.whole), tuning.copy(tuning.whole)
    old = place.folder
    before = {path.name: path.read_bytes() for path in old.iterdir() if path.is_file()}

    longer = place.run("run", "extend", "latest", "--epochs", "+2")
    killed = other.run("run", "extend", "latest", "--epochs", "5", step=15, do="kill")
    resumed = other.run("run", "resume", "latest")

    assert (longer.status, killed.status, resumed.status) == (0, KILLED, 0), longer.err + resumed.err
    assert {path.name: path.read_bytes() for path in old.iterdir() if path.is_file()} == before
    new = place.record
    assert (new["inputs"]["extends"], new["recipe"]["train"]["epochs"]) == (old.name, 5)
    assert new["outputs"]["model"] == "photos:v2"
    manifest = json.loads((place.path / "models" / "photos" / "v2.json").read_bytes())
    epochs = [epoch["epoch"] for epoch in manifest["training"]["epochs"]]
    assert (epochs, manifest["training"]["steps"]) == ([1, 2, 3, 4, 5], 5 * PER_EPOCH)
    assert other.checkpoints == place.checkpoints


def test_what_was_written_after_the_last_checkpoint_is_not_part_of_the_curve(tuning):
    place = tuning.copy()
    tuning.finetune(place, EACH_STEP, step=6, do="kill")
    place.run("run", "resume", "latest")

    watched = place.run("run", "watch", "latest", "--json")

    lines = [json.loads(line) for line in watched.out.splitlines()]
    assert [line["step"] for line in lines if line.get("event") == "resumed"] == [5]
    assert [line["epoch"] for line in lines if "epoch" in line] == [1, 2, 3]
