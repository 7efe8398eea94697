"""Chance that follows from the seed, the epoch and the picture alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kstest

from regraft.data.draws import Chance, again, draws, generator, identities
from regraft.records import digest

PICTURES = identities([digest(str(index).encode()) for index in range(4000)])


def test_numbers_are_these_for_ever():
    pictures = np.array([1, 2**63], dtype=np.uint64)

    numbers = draws(0, 3, pictures, 2)

    assert numbers.tolist() == [
        [0.6656178510364327, 0.4632179013531963],
        [0.7532419395336951, 0.6954664416940199],
    ]


def test_numbers_fill_the_unit_interval_evenly():
    numbers = draws(0, 0, PICTURES, 5)

    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert min(kstest(column, "uniform").pvalue for column in numbers.T) > 1e-3


def test_numbers_of_one_picture_tell_nothing_about_each_other_or_about_its_neighbour():
    near = np.arange(4000, dtype=np.uint64)  # identities as alike as can be

    numbers = np.concatenate(
        [draws(0, epoch, near, 3, stream=stream) for epoch in (0, 1) for stream in (0, 1)], 1
    )

    between = np.corrcoef(numbers.T) - np.eye(12)
    along = [np.corrcoef(column[1:], column[:-1])[0, 1] for column in numbers.T]
    assert np.abs(between).max() < 0.07
    assert np.abs(along).max() < 0.07


@pytest.mark.parametrize("change", [{"seed": 1}, {"epoch": 1}, {"stream": 1}])
def test_another_seed_epoch_or_stream_gives_other_numbers(change):
    usual = {"seed": 0, "epoch": 0, "stream": 0}

    numbers, others = (
        draws(facts["seed"], facts["epoch"], PICTURES, 2, stream=facts["stream"])
        for facts in (usual, usual | change)
    )

    assert not np.isin(numbers, others).any()


def test_a_picture_has_its_numbers_in_any_company():
    order = np.random.default_rng(0).permutation(len(PICTURES))

    alone = np.concatenate([draws(7, 2, PICTURES[i : i + 1], 4) for i in range(20)])

    assert np.array_equal(draws(7, 2, PICTURES[order], 4), draws(7, 2, PICTURES, 4)[order])
    assert np.array_equal(alone, draws(7, 2, PICTURES, 4)[:20])


def test_equal_pictures_have_numbers_of_their_own():
    one, other = digest(b"one"), digest(b"other")

    found = identities([one, other, one, one])

    assert len(set(found.tolist())) == 4
    assert found[:2].tolist() == identities([one, other]).tolist()


def test_a_picture_that_comes_again_in_an_epoch_has_other_numbers():
    turns = np.array([0, 1, 2], dtype=np.uint64)

    found = again(PICTURES[[5, 5, 5]], turns)

    assert found[0] == PICTURES[5]
    assert len(set(found.tolist())) == 3


def test_what_is_taken_twice_differs_and_follows_from_the_place():
    first, second = (chance.take(3) for chance in [Chance(0, 0, PICTURES)] * 2)

    repeated = Chance(0, 0, PICTURES)
    assert not np.isin(first, second).any()
    assert np.array_equal(repeated.take(3), first)
    assert np.array_equal(repeated.take(3), second)
    assert not np.isin(Chance(0, 0, PICTURES, stream=1).take(3), first).any()


def test_words_for_generators_differ_by_picture_and_by_time():
    chance = Chance(0, 0, PICTURES[:10])

    words = [*chance.words(), *chance.words()]

    assert len(set(words)) == 20
    assert words[:10] == Chance(0, 0, PICTURES[:10]).words()


def test_a_generator_follows_from_its_words():
    assert generator("a").permutation(50).tolist() == generator("a").permutation(50).tolist()
    assert generator("a").permutation(50).tolist() != generator("b").permutation(50).tolist()


def test_no_pictures_have_no_numbers():
    assert draws(0, 0, PICTURES[:0], 3).shape == (0, 3)
    assert identities([]).shape == (0,)
