"""The soup's epochs: which are kept while a net trains, in which order, and when there can be none."""

import pytest
import torch
from safetensors.torch import load
from torch import nn

from regraft.engine import optim
from regraft.engine.groups import parameter_groups
from regraft.engine.state import Counters, State
from regraft.errors import InvalidRecipe, RunStopped
from regraft.jobs.soup import Keeper, best_epochs
from regraft.recipe import OptimSection
from regraft.store.checkpoints import Checkpoints


@pytest.fixture
def kept(tmp_path):
    return Checkpoints(tmp_path / "checkpoints", 1).soup


@pytest.fixture
def state():
    net = nn.Sequential()
    net.add_module("head", nn.Linear(2, 1))
    groups = parameter_groups(dict(net.named_parameters()), layers=(), optim=OptimSection(head_lr_scale=1))
    return State(net, optim.build("adamw", groups, lr=0.01, weight_decay=0.1))


class Onlooker:
    """Sees what is kept whenever it hears of an epoch, and may end the training then."""

    def __init__(self, kept, *, ends_after=0):
        self.kept, self.ends_after = kept, ends_after
        self.heard = []

    def step(self, state, *, rate, loss, pictures):
        self.heard.append((state.at.step, rate, loss, pictures))

    def epoch(self, state, *, better):
        self.heard.append((state.at.epoch, better, epochs_in(self.kept)))
        if state.at.epoch == self.ends_after:
            raise RunStopped("Enough.")


def epochs_in(kept):
    return [item.step for item in kept.list()]


def finish(state, loss):
    """Let an epoch end, with its number as the weights."""
    state.at.epoch += 1
    state.at.epochs.append({"epoch": state.at.epoch, "loss": loss})
    with torch.no_grad():
        state.net.head.weight.fill_(state.at.epoch)


def test_the_weights_of_the_best_epochs_are_kept(state, kept):
    keeper = Keeper(Onlooker(kept), kept, 2)

    for loss in (0.5, 0.9, 0.4, 0.7):
        finish(state, loss)
        keeper.epoch(state, better=False)

    assert epochs_in(kept) == [1, 3]
    assert [load(kept.at(epoch))["head.weight"].tolist() for epoch in (1, 3)] == [[[1.0, 1.0]], [[3.0, 3.0]]]


def test_an_epoch_is_kept_before_its_checkpoint_and_what_it_supersedes_goes_after_it(state, kept):
    onlooker = Onlooker(kept)
    keeper = Keeper(onlooker, kept, 1)

    for loss in (0.5, 0.4, 0.6):
        finish(state, loss)
        keeper.epoch(state, better=loss < 0.5)

    assert onlooker.heard == [(1, False, [1]), (2, True, [1, 2]), (3, False, [2])]
    assert epochs_in(kept) == [2]


def test_where_training_ends_with_an_epoch_nothing_is_lost(state, kept):
    keeper = Keeper(Onlooker(kept, ends_after=2), kept, 1)
    finish(state, 0.5)
    keeper.epoch(state, better=True)
    finish(state, 0.4)

    with pytest.raises(RunStopped):
        keeper.epoch(state, better=True)

    assert epochs_in(kept) == [1, 2]


def test_steps_are_passed_on(state, kept):
    onlooker = Onlooker(kept)

    Keeper(onlooker, kept, 1).step(state, rate=0.5, loss=1.5, pictures=8)

    assert onlooker.heard == [(0, 0.5, 1.5, 8)]


@pytest.mark.parametrize(("count", "best"), [(1, [3]), (2, [3, 2]), (3, [3, 2, 5]), (9, [3, 2, 5])])
def test_the_best_epochs_have_the_lowest_losses_and_of_equals_the_first_is_better(count, best):
    losses = [float("nan"), 0.5, 0.2, None, 0.5]
    at = Counters(epochs=[{"epoch": number, "loss": loss} for number, loss in enumerate(losses, start=1)])

    found = best_epochs(at, count)

    assert found == best


def test_a_soup_without_pictures_to_choose_by_is_refused_before_a_run_exists(workspace, make_folder):
    folder = make_folder({"train/cat": 4, "train/dog": 4, "test/cat": 2, "test/dog": 2})
    settings = ["train.soup=2", "eval.holdout=0", "train.precision=exact", "eval.precision=exact"]

    with pytest.raises(InvalidRecipe) as caught:
        workspace.finetune(folder, model="timm:test_resnet", strategy="scratch", settings=settings)

    assert (caught.value.where, str(caught.value)) == (
        "train.soup",
        "There are no pictures to choose the epochs of a soup by.",
    )
    assert caught.value.hint == "Add a split 'val', or hold a part of train out: --set eval.holdout=0.1."
    assert workspace.runs.list() == []
