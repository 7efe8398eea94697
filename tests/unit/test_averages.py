"""Averages of weights: the moving one against its formula and timm's, and the greedy soup."""

import pytest
import torch
from torch import nn

from regraft.engine.averages import Ema, soup
from regraft.hub import operators


def walk(net, steps):
    """Let a net's weights and statistics wander; yield after every step."""
    random = torch.Generator().manual_seed(1)
    for step in range(steps):
        with torch.no_grad():
            for parameter in net.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=random))
        net(torch.randn(4, 3, generator=random))
        yield step


@pytest.fixture
def net():
    made = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    with torch.no_grad():
        made[0].weight.copy_(torch.arange(6.0).reshape(2, 3))
        made[0].bias.zero_()
    return made


def test_the_average_follows_its_formula_and_keeps_less_at_first(net):
    average = Ema(net.state_dict(), 0.6)
    by_hand = net[0].weight.detach().clone()

    for step in walk(net, 12):
        average.update(net, step)
        keep = min(0.6, (1 + step) / (10 + step))
        by_hand = keep * by_hand + (1 - keep) * net[0].weight.detach()

    assert torch.allclose(average.state_dict()["0.weight"], by_hand, atol=1e-5)


def test_the_average_is_timms(net):
    operators.register()
    from timm.utils import ModelEmaV3

    average, theirs = Ema(net.state_dict(), 0.1), ModelEmaV3(net, decay=0.1)  # never below 1/10

    for step in walk(net, 5):
        average.update(net, step)
        theirs.update(net)

    found, expected = average.state_dict(), theirs.module.state_dict()
    assert {name: tensor.dtype for name, tensor in found.items()} == {
        name: tensor.dtype for name, tensor in expected.items()
    }
    assert all(torch.allclose(found[name].float(), expected[name].float(), atol=1e-5) for name in expected)


def test_statistics_are_averaged_and_counts_are_the_latest(net):
    average = Ema(net.state_dict(), 0.5)

    for step in walk(net, 3):
        average.update(net, step)

    found, latest = average.state_dict(), net.state_dict()
    assert int(found["1.num_batches_tracked"]) == int(latest["1.num_batches_tracked"]) == 3
    assert not torch.equal(found["1.running_mean"], latest["1.running_mean"])


def test_what_does_not_move_stays_bit_for_bit(net):
    start = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    average = Ema(net.state_dict(), 0.999)

    for step in range(2000, 2050):
        average.update(net, step)

    assert all(torch.equal(tensor, start[name]) for name, tensor in average.state_dict().items())


def test_an_average_that_was_written_down_goes_on_as_if_it_had_not_been(net):
    whole = Ema(net.state_dict(), 0.9)
    resumed = None
    for step in walk(net, 6):
        if step == 3:
            resumed = Ema(net.state_dict(), 0.9)
            resumed.load_state_dict({name: tensor.clone() for name, tensor in whole.state_dict().items()})
        for average in filter(None, (whole, resumed)):
            average.update(net, step)

    found = resumed.state_dict()
    assert all(torch.equal(tensor, found[name]) for name, tensor in whole.state_dict().items())


def test_the_net_is_not_moved_by_its_average(net):
    average = Ema(net.state_dict(), 0.9)
    next(walk(net, 1))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}

    average.update(net, 0)

    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


def state(value, count=1):
    return {"weight": torch.tensor([float(value)]), "count": torch.tensor(count)}


def test_a_soup_takes_what_does_not_make_it_worse():
    target = 2.0
    states = [state(1.5, count=7), state(3.5), state(2.5), state(1.0)]

    mixed, used = soup(states, lambda tensors: -abs(float(tensors["weight"]) - target))

    # 1.5 is off by 0.5, as (1.5 + 3.5) / 2 is; 2.5 is (1.5 + 3.5 + 2.5) / 3, off by 0.5 too; then 2.125
    assert used == [0, 1, 2, 3]
    assert mixed["weight"].item() == pytest.approx(2.125)
    assert mixed["count"].item() == 7


def test_a_soup_leaves_out_what_makes_it_worse():
    seen = []

    def score(tensors):
        seen.append(float(tensors["weight"]))
        return -abs(seen[-1] - 2.0)

    mixed, used = soup([state(1.5), state(9), state(2.7)], score)

    assert used == [0, 2]
    assert mixed["weight"].item() == pytest.approx(2.1)
    assert seen == pytest.approx([1.5, 5.25, 2.1])


def test_a_soup_of_one_is_the_one():
    only = state(1)

    mixed, used = soup([only], lambda tensors: 0.0)

    assert used == [0]
    assert mixed["weight"] is only["weight"]
