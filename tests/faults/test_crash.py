"""Kills and power cuts at random moments; what was acknowledged before is the judge."""

import pytest

SEED = 20_260


def faults_of(rounds):
    return [fault for one in rounds for fault in one["faults"]]


def test_two_hundred_kills_lose_nothing_that_was_acknowledged(crash):
    rounds = crash(200, seed=SEED, delays=(0.0, 0.06))

    assert faults_of(rounds) == []
    assert (len(rounds), {status for one in rounds for status in one["ended"]}) == (200, {-9})
    assert sum(one["acks"] for one in rounds) > 100


@pytest.mark.parametrize(
    ("writers", "cuts", "pause"), [(1, 60, 0.02), (4, 40, 0)], ids=["alone", "four writers"]
)
def test_a_hundred_power_cuts_lose_nothing_that_was_acknowledged(crash, image, writers, cuts, pause):
    rounds = crash(cuts, seed=SEED + writers, writers=writers, image=image, delays=(0.0, 0.2), pause=pause)

    assert faults_of(rounds) == []
    assert len(rounds) == cuts
    assert sum(one["acks"] for one in rounds) > cuts // 2
