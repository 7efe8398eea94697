"""The search for a rate: on losses that are known, and on a real descent."""

import math

import pytest
import torch

from regraft.engine.finder import find


def test_the_rates_grow_by_equal_factors():
    seen = []

    found = find(lambda rate: seen.append(rate) or 1.0, lowest=1e-4, highest=1e-1, steps=4)

    assert seen == pytest.approx([1e-4, 1e-3, 1e-2, 1e-1])
    assert found.rates == tuple(seen)
    assert found.losses == (1.0,) * 4


def test_the_suggestion_lies_where_the_loss_falls_fastest():
    """The loss falls along a sigmoid around 1e-3, and rises again from 1e-1 on."""

    def loss(rate):
        decades = math.log10(rate)
        return 1 + 2 / (1 + math.exp(4 * (decades + 3))) + max(0, decades + 1)

    found = find(loss, steps=200)

    assert found.steepest == pytest.approx(1e-3, rel=0.2)
    assert 1e-3 < found.below_lowest < 2e-2
    assert found.suggestion == found.steepest


def test_the_suggestion_is_a_tenth_of_the_lowest_where_that_is_less():
    """The loss falls faster and faster until it jumps."""

    def loss(rate):
        return 3 - rate if rate < 0.3 else 4.0

    found = find(loss, steps=200)

    assert found.steepest == pytest.approx(0.25, rel=0.3)
    assert found.below_lowest == pytest.approx(0.024, rel=0.25)
    assert found.suggestion == found.below_lowest


@pytest.mark.parametrize("blown", [1e6, float("inf"), float("nan")])
def test_the_search_ends_where_the_loss_blows_up(blown):
    seen = []

    def loss(rate):
        seen.append(rate)
        return 2 - math.log10(rate / 1e-7) / 10 if rate < 1e-2 else blown

    found = find(loss, steps=100)

    assert 1e-2 <= seen[-1] < 2e-2
    assert found.rates == tuple(seen[:-1])
    assert all(math.isfinite(value) for value in found.losses)


@pytest.mark.parametrize("loss", [lambda rate: 1.0, lambda rate: 1 + rate, lambda rate: math.nan])
def test_a_loss_that_does_not_fall_suggests_nothing(loss):
    found = find(loss, steps=40)

    assert (found.suggestion, found.steepest, found.below_lowest) == (None, None, None)


def test_a_descent_learns_at_the_suggested_rate():
    """A quadratic bowl whose curvatures are 1 and 20: descent diverges from a rate of 0.1 on."""
    curvature = torch.tensor([1.0, 20.0])
    noise = torch.Generator().manual_seed(0)

    def step(point, rate):
        wobble = 0.1 * torch.randn(2, generator=noise)
        loss = float((curvature * (point + wobble) ** 2).sum() / 2)
        point -= rate * curvature * (point + wobble)
        return loss

    walker = torch.tensor([3.0, 3.0])
    found = find(lambda rate: step(walker, rate), lowest=1e-6, highest=1.0, steps=100)

    point = torch.tensor([3.0, 3.0])
    losses = [step(point, found.suggestion) for _ in range(100)]
    assert 1e-3 < found.suggestion < 0.1
    assert losses[-1] < losses[0] / 10
