"""The machine under a net."""

from functools import partial

import pytest
import torch
from torch import nn

from regraft.engine import device
from regraft.engine.device import Device


@pytest.fixture
def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


@pytest.fixture
def batch():
    return torch.randn(4, 3, 16, 16, generator=torch.Generator().manual_seed(1))


def forward(net, batch):
    return net(batch)


def test_float32_computes_what_the_plain_net_computes(net, batch):
    with torch.no_grad():
        expected = net.eval()(batch)

    here = Device("float32", kind="cpu")
    result = here.compute(forward, here.place(net), batch)

    assert torch.equal(result, expected)


@pytest.mark.parametrize("precision", ["float32+channels_last", "bfloat16", "bfloat16+channels_last"])
def test_every_precision_gives_float32_close_to_the_exact_one(net, batch, precision):
    exact = Device("float32", kind="cpu")
    expected = exact.compute(forward, exact.place(net), batch)

    here = Device(precision, kind="cpu")
    result = here.compute(forward, here.place(net), batch)

    assert result.dtype == torch.float32
    assert torch.allclose(result, expected, atol=0.02)


def test_a_placed_net_learns_nothing(net):
    placed = Device("float32", kind="cpu").place(net.train())

    assert not placed.training
    assert not any(parameter.requires_grad for parameter in placed.parameters())


def test_bfloat16_is_taken_only_where_it_pays(net, batch, monkeypatch):
    seconds = iter([3.0, 2.0, 1.9] * 3)
    monkeypatch.setattr(device, "seconds", lambda work: next(seconds))

    chosen = device.fastest_precision(forward, net, batch)

    assert chosen == "float32+channels_last"


def test_bfloat16_is_taken_where_it_wins_by_a_margin(net, batch, monkeypatch):
    seconds = iter([3.0, 2.0, 1.0] * 3)
    monkeypatch.setattr(device, "seconds", lambda work: next(seconds))

    chosen = device.fastest_precision(forward, net, batch)

    assert chosen == "bfloat16+channels_last"


def test_the_number_of_threads_does_not_change_the_features(net, batch):
    before = torch.get_num_threads()
    here = Device("float32", kind="cpu")
    placed = here.place(net)

    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(here.compute(forward, placed, batch))
    torch.set_num_threads(before)

    assert torch.equal(*results)


def test_the_faster_number_of_threads_is_kept(net, batch):
    before = torch.get_num_threads()
    here = Device("float32", kind="cpu")

    chosen = device.choose_threads(partial(here.compute, forward, here.place(net), batch))
    kept = torch.get_num_threads()
    torch.set_num_threads(before)

    assert chosen == kept
    assert 1 <= chosen <= max(1, before, kept)
