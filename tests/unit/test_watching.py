"""Looking on while a net trains: lines, checkpoints, and the end of a training that somebody asks for."""

import pytest
import torch
from torch import nn

from regraft.engine import optim
from regraft.engine.device import Device
from regraft.engine.groups import parameter_groups
from regraft.engine.state import State
from regraft.errors import RunStopped, Terminated
from regraft.jobs.watching import Watch
from regraft.recipe import OptimSection, check
from regraft.store.journal import Journal

pytestmark = pytest.mark.usefixtures("one_thread")

STEPS = 4


@pytest.fixture
def run(tmp_path):
    return Journal(tmp_path / "runs").create("finetune", inputs={}, recipe={})


@pytest.fixture
def state():
    torch.manual_seed(0)
    net = nn.Sequential()
    net.add_module("head", nn.Linear(3, 2))
    groups = parameter_groups(dict(net.named_parameters()), layers=(), optim=OptimSection(head_lr_scale=3))
    return State(net, optim.build("adamw", groups, lr=0.01, weight_decay=0.1))


@pytest.fixture
def told():
    """What was said to the person who waits."""
    return []


@pytest.fixture
def watch(run, told):
    def make(**train):
        recipe = check({"train": {"epochs": 3, **train}})
        return Watch(
            run,
            recipe,
            Device("float32", kind="cpu"),
            lambda *words: told.append(words),
            steps_per_epoch=STEPS,
        )

    return make


def go(watch, state, steps=1, *, loss=0.5):
    """Let so many steps be over."""
    for _ in range(steps):
        state.at.step += 1
        state.at.batch += 1
        watch.step(state, rate=1.0, loss=loss, pictures=8)


def close(watch, state, *, better=True):
    """Let an epoch be over."""
    at = state.at
    at.epoch, at.batch = at.epoch + 1, 0
    at.epochs.append({"epoch": at.epoch, "rate": 1.0, "train_loss": 0.75, "loss": 0.5, "accuracy": 0.875})
    watch.epoch(state, better=better)


def steps(run):
    return [(found.step, found.best) for found in run.checkpoints().list()]


def test_the_state_is_kept_after_each_epoch_and_the_best_stays(watch, state, run):
    eyes = watch()

    for better in (True, False, False):
        go(eyes, state, STEPS)
        close(eyes, state, better=better)

    assert steps(run) == [(4, True), (12, False)]
    assert run.checkpoints().latest() == (12, state.pack())


def test_within_an_epoch_it_is_kept_as_often_as_the_recipe_says(watch, state, run):
    often, seldom = watch(checkpoint_seconds=0), watch(checkpoint_seconds=1000)

    go(seldom, state, 1)
    before = steps(run)
    go(often, state, 2)

    assert (before, steps(run)) == ([], [(3, False)])
    assert run.checkpoints().latest() == (3, state.pack())


def test_the_last_step_of_an_epoch_is_kept_with_what_the_epoch_gave(watch, state, run):
    eyes = watch(checkpoint_seconds=0)

    go(eyes, state, STEPS)
    before = steps(run)
    close(eyes, state)

    assert before == [(3, False)]
    assert steps(run) == [(3, False), (4, True)]


def test_a_state_whose_loss_nobody_has_looked_at_is_not_kept(watch, state, run):
    eyes = watch(checkpoint_seconds=0)

    go(eyes, state, 2, loss=None)
    before = steps(run)
    go(eyes, state)

    assert (before, steps(run)) == ([], [(3, False)])


def test_each_epoch_is_a_line_of_metrics_and_of_words(watch, state, run, told):
    eyes = watch()

    go(eyes, state, STEPS)
    close(eyes, state)

    (line,) = run.metrics()
    assert {key: line[key] for key in ("epoch", "step", "loss", "val_loss", "val_accuracy")} == {
        "epoch": 1,
        "step": 4,
        "loss": 0.75,
        "val_loss": 0.5,
        "val_accuracy": 0.875,
    }
    assert set(line["lr"]) == {"head", "head, no decay"}
    assert line["lr"]["head"] == pytest.approx(0.03)
    assert line["pictures_per_second"] > 0
    assert line["seconds_left"] > 0
    assert told[-1][0] == "Epoch 1 of 3: loss 0.7500, validation loss 0.5000, accuracy 87.5%, the best so far"
    assert [(done, total) for _, done, total in told[:STEPS]] == [(n, STEPS) for n in range(1, STEPS + 1)]


@pytest.mark.parametrize(
    ("accuracy", "words"),
    [
        (None, "Epoch 1 of 3: loss 0.7500"),
        (0.5, "Epoch 1 of 3: loss 0.7500, validation loss is not a number"),
    ],
)
def test_a_loss_that_is_no_number_is_called_so_and_one_that_there_is_not_is_left_out(
    watch, state, told, accuracy, words
):
    state.at.epochs.append({"epoch": 1, "rate": 1.0, "train_loss": 0.75, "loss": None, "accuracy": accuracy})

    watch().epoch(state, better=accuracy is None)

    assert told[-1][0] == words


def test_the_time_that_the_loop_waits_for_pictures_is_counted(watch, state):
    class Slow:
        def __len__(self):
            return 2

        def epoch(self, epoch, start=0):
            return iter(["first", "second"][start:])

    eyes = watch()
    timed = eyes.timed(Slow())

    assert (len(timed), list(timed.epoch(0)), list(timed.epoch(0, 1))) == (2, ["first", "second"], ["second"])
    assert eyes.waited > 0


def test_a_request_to_stop_is_heard_at_the_next_step_and_the_state_is_kept(watch, state, run):
    eyes = watch()
    go(eyes, state)
    run.ask_to_stop()

    with pytest.raises(RunStopped, match=f"^Run {run.id} was stopped on request.$"):
        go(eyes, state)

    assert run.checkpoints().latest() == (2, state.pack())


def test_a_signal_is_heard_too(watch, state, run):
    eyes = watch()
    run.signal = 15

    with pytest.raises(Terminated):
        go(eyes, state)

    assert steps(run) == [(1, False)]


def test_a_request_at_the_end_of_an_epoch_waits_until_it_is_measured(watch, state, run):
    eyes = watch()
    go(eyes, state, STEPS - 1)
    run.ask_to_stop()
    go(eyes, state)
    before = steps(run)

    with pytest.raises(RunStopped):
        close(eyes, state)

    assert (before, steps(run)) == ([], [(4, True)])


def test_a_time_limit_ends_the_epoch_that_is_under_way(watch, state, run):
    eyes = watch(time_limit=1e-9, checkpoint_seconds=0)

    go(eyes, state)

    assert state.at.ended == "the time limit of 1e-09 s"
    # the state is kept when the epoch is closed: it could not be closed after a resume
    assert steps(run) == []


def test_a_request_and_the_time_limit_at_once_leave_a_measured_epoch(watch, state, run):
    eyes = watch(time_limit=1e-9)
    run.ask_to_stop()
    go(eyes, state)

    with pytest.raises(RunStopped):
        close(eyes, state)

    assert steps(run) == [(1, True)]


def test_within_its_time_a_training_goes_on(watch, state):
    eyes = watch(time_limit=1000)

    go(eyes, state, 2)

    assert state.at.ended == ""
