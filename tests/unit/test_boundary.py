"""The boundary in a net: found by watching, and refused wherever the two parts would not be the net."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from regraft.engine.device import Device
from regraft.hub import nets
from regraft.hub.boundary import split
from regraft.hub.freezing import Frozen, find
from regraft.hub.nets import Net

PICTURES = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


class Trunk(nn.Module):
    """Two layers that are frozen in these tests, and one that learns."""

    def __init__(self, *, between=None, skip=False, own=False):
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3, stride=2)
        self.between = between or nn.Identity()
        self.second = nn.Conv2d(4, 4, 3)
        self.third = nn.Conv2d(4, 5, 3)
        self.skip = skip
        if own:
            self.own = nn.Parameter(torch.ones(()))

    def forward(self, pictures):
        low = self.between(self.first(pictures) * getattr(self, "own", 1))
        top = self.third(self.second(low))
        if self.skip:
            top = top + low.mean()
        return top.relu().mean((2, 3))


def make(**options):
    torch.manual_seed(0)
    net = Net(Trunk(**options), nn.Linear(5, 3), architecture="", classifier="")
    lowest = ("trunk.first", "trunk.between", "trunk.second")
    names = frozenset(name for name, _ in net.named_parameters() if name.startswith(lowest))
    return net, Frozen(names=names, stages=0)


@pytest.fixture
def tiny():
    torch.manual_seed(0)
    net = nets.build("test_resnet")
    return net, find(net, 2)


def test_the_last_frozen_module_is_the_boundary():
    net, frozen = make()

    boundary = split(net, frozen, PICTURES)

    assert boundary.name == "trunk.second"
    assert boundary.shape == (4, 13, 13)


def test_the_parts_together_are_the_net_for_any_number_of_pictures(tiny):
    net, frozen = tiny
    boundary = split(net, frozen, PICTURES)
    pictures = torch.randn(5, 3, 32, 32)

    net.eval()
    with torch.no_grad():
        activations = boundary.lower(pictures)
        again = boundary.upper(activations)

    assert activations.shape == (5, *boundary.shape)
    assert torch.equal(again, net(pictures))


def test_patterns_have_a_boundary_too_where_they_name_all_that_is_below_it(tiny):
    net, _ = tiny

    low = split(net, find(net, ["conv1.*", "bn1.*", "layer1.*"]), PICTURES)
    high = split(net, find(net, ["layer1.*", "layer2.*"]), PICTURES)

    assert low.name == "trunk.layer1"
    assert high is None


def test_a_net_of_which_nothing_is_frozen_has_no_boundary(tiny):
    net, _ = tiny

    assert split(net, find(net, 0), PICTURES) is None


def test_a_net_whose_frozen_statistics_move_has_no_boundary(tiny):
    net, _ = tiny

    assert split(net, find(net, 2, stats=False), PICTURES) is None


def test_a_net_that_looks_past_the_boundary_has_none():
    net, frozen = make(skip=True)

    assert split(net, frozen, PICTURES) is None


def test_a_net_with_chance_below_the_boundary_has_none():
    net, frozen = make(between=nn.Dropout(0.5))

    assert split(net, frozen, PICTURES) is None


def test_a_net_in_which_something_learns_below_the_boundary_has_none():
    net, frozen = make(own=True)

    assert split(net, frozen, PICTURES) is None


def test_a_net_that_counts_below_the_boundary_has_none():
    net, frozen = make(between=nn.BatchNorm2d(4, affine=False))

    assert split(net, frozen, PICTURES) is None


def test_a_module_that_runs_again_above_the_boundary_is_none():
    relu = nn.ReLU()
    net, frozen = make(between=relu)
    net.head = nn.Sequential(relu, net.head)

    boundary = split(net, frozen, PICTURES)

    assert boundary.name == "trunk.second"
    assert torch.equal(boundary.upper(boundary.lower(PICTURES)), net(PICTURES))


def test_a_container_without_anything_in_it_may_be_the_boundary():
    net, frozen = make()
    net.trunk.second = nn.Sequential()
    frozen = Frozen(names=frozenset(name for name in frozen.names if "first" in name), stages=0)

    boundary = split(net, frozen, PICTURES)

    assert boundary.name == "trunk.second"


def test_splitting_leaves_the_net_as_it_was():
    net, frozen = make(between=nn.BatchNorm2d(4))
    net.trunk.second.eval()
    net.head.requires_grad_(False)
    before = everything(net)

    boundary = split(net, frozen, PICTURES)
    boundary.lower(PICTURES)

    assert boundary is not None
    assert everything(net) == before


def test_nothing_above_the_boundary_runs_for_the_lower_part(tiny):
    net, frozen = tiny
    boundary = split(net, frozen, PICTURES)
    ran = []
    for name, module in net.named_modules():
        module.register_forward_hook(lambda *_, name=name: ran.append(name))

    boundary.lower(PICTURES)

    assert ran[-1] == boundary.name == "trunk.layer2"


def test_nothing_below_the_boundary_runs_for_the_upper_part(tiny):
    net, frozen = tiny
    boundary = split(net, frozen, PICTURES)
    activations = boundary.lower(PICTURES)
    for name, parameter in net.named_parameters():
        if name in frozen.names:
            parameter.data.fill_(torch.nan)

    assert boundary.upper(activations).isfinite().all()


def test_the_upper_part_is_in_the_mode_of_the_net(tiny):
    net, frozen = tiny
    net.head = nn.Sequential(nn.Dropout(0.5), net.head)
    boundary = split(net, frozen, PICTURES)
    activations = boundary.lower(PICTURES)

    learning = [boundary.upper(activations) for _ in range(2)]
    net.eval()
    used = [boundary.upper(activations) for _ in range(2)]

    assert not torch.equal(*learning)
    assert torch.equal(*used)


def test_training_the_upper_part_trains_the_net(tiny):
    net, frozen = tiny
    boundary = split(net, frozen, PICTURES)
    frozen.apply(net)
    frozen.train(net)
    before = {name: parameter.detach().clone() for name, parameter in net.named_parameters()}
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=1.0)

    boundary.upper(boundary.lower(PICTURES)).square().sum().backward()
    optimizer.step()

    after = dict(net.named_parameters())
    moved = {name for name in after if not torch.equal(after[name], before[name])}
    assert {name for name in after if after[name].grad is not None} == after.keys() - frozen.names
    assert {"head.weight", "head.bias"} < moved <= after.keys() - frozen.names
    net.eval()
    assert torch.equal(boundary.upper(boundary.lower(PICTURES)), net(PICTURES))


@pytest.mark.parametrize("precision", ["float32+channels_last", "bfloat16+channels_last"])
def test_a_device_computes_both_parts_as_it_computes_the_net(tiny, precision):
    net, frozen = tiny
    boundary = split(net, frozen, PICTURES)
    device = Device(precision)
    device.settle(net.eval())

    activations = device.compute(lambda _, pictures: boundary.lower(pictures), net, PICTURES)
    logits = device.compute(lambda _, below: boundary.upper(below), net, activations)

    whole = device.compute(lambda net, pictures: net(pictures), net, PICTURES)
    assert torch.allclose(logits, whole, rtol=0.05 if "bfloat" in precision else 1e-5, atol=1e-2)


def everything(net):
    tensors = {**net.state_dict(), **dict(net.named_buffers())}
    return (
        {name: tensor.tolist() for name, tensor in tensors.items()},
        {name: parameter.requires_grad for name, parameter in net.named_parameters()},
        {name: module.training for name, module in net.named_modules()},
        {name: len(module._forward_hooks) for name, module in net.named_modules()},
    )
