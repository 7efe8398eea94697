"""Splits: stratified, seeded and sticky."""

from __future__ import annotations

from collections import Counter
from hashlib import sha256
from random import Random

import pytest

from regraft.data.splits import assign

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def test_every_class_is_split_by_the_fractions():
    pictures = [*made("cat", 100), *made("dog", 40)]

    splits = assign(pictures, FRACTIONS, seed=0, old={})

    assert counted(pictures, splits) == {
        ("cat", "train"): 70,
        ("cat", "val"): 10,
        ("cat", "test"): 20,
        ("dog", "train"): 28,
        ("dog", "val"): 4,
        ("dog", "test"): 8,
    }


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, {"train": 1}),
        (2, {"train": 1, "test": 1}),
        (3, {"train": 1, "test": 1, "val": 1}),
        (4, {"train": 2, "test": 1, "val": 1}),
        (10, {"train": 7, "test": 2, "val": 1}),
        (12, {"train": 9, "test": 2, "val": 1}),
    ],
)
def test_a_small_class_fills_train_then_test_then_val(count, expected):
    splits = assign(made("cat", count), FRACTIONS, seed=0, old={})

    assert Counter(splits.values()) == expected


def test_a_fraction_of_zero_gives_no_split():
    splits = assign(made("cat", 50), {"train": 0.8, "val": 0.0, "test": 0.2}, seed=0, old={})

    assert Counter(splits.values()) == {"train": 40, "test": 10}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_pictures_has_no_say(seed):
    pictures = [*made("cat", 30), *made("dog", 7), *made("owl", 2)]
    shuffled = Random(seed).sample(pictures, len(pictures))

    splits = assign(shuffled, FRACTIONS, seed=3, old={})

    assert splits == assign(pictures, FRACTIONS, seed=3, old={})


def test_a_seed_gives_its_own_splits_and_always_the_same():
    pictures = made("cat", 30)

    splits = [assign(pictures, FRACTIONS, seed=seed, old={}) for seed in (0, 1, 0)]

    assert splits[0] == splits[2]
    assert splits[0] != splits[1]
    assert Counter(splits[0].values()) == Counter(splits[1].values())


def test_other_classes_have_no_say_in_the_splits_of_a_class():
    cats, dogs = made("cat", 30), made("dog", 17)

    alone, together = (assign(pictures, FRACTIONS, seed=0, old={}) for pictures in (cats, dogs + cats))

    assert {digest: together[digest] for digest, _ in cats} == alone


@pytest.mark.parametrize("seed", range(40))
def test_adding_pictures_never_moves_the_old_ones(seed):
    chance = Random(seed)
    fractions = chance.choice(
        [FRACTIONS, {"train": 0.5, "val": 0.25, "test": 0.25}, {"train": 0.9, "test": 0.1}]
    )
    pictures, old = [], {}
    for step in range(8):
        for label in "abcd":
            pictures += made(label, chance.choice([0, 1, 1, 2, 5, 30]), start=step * 100)
        chance.shuffle(pictures)

        new = assign(pictures, fractions, seed=seed, old=old)

        assert new.keys() == {digest for digest, _ in pictures}
        assert {digest: new[digest] for digest in old} == old
        assert classes_without(pictures, new, fractions) == []
        old = new


@pytest.mark.parametrize("fractions", [FRACTIONS, {"train": 0.04, "val": 0.48, "test": 0.48}])
def test_a_class_that_grows_one_by_one_is_in_every_split_from_the_third_picture_on(fractions):
    old = {}
    sizes = []
    for count in range(1, 13):
        old = assign(made("cat", count), fractions, seed=0, old=old)
        sizes.append(len(set(old.values())))

    assert sizes == [1, 2, *[3] * 10]


def test_a_class_that_grows_one_by_one_keeps_to_the_fractions():
    old = {}
    for count in range(1, 101):
        old = assign(made("cat", count), FRACTIONS, seed=0, old=old)

    assert Counter(old.values()) == {"train": 70, "test": 20, "val": 10}


def test_old_pictures_that_are_gone_have_no_split():
    pictures = made("cat", 10)
    old = assign(pictures, FRACTIONS, seed=0, old={})

    splits = assign(pictures[:4], FRACTIONS, seed=0, old=old)

    assert splits == {digest: old[digest] for digest, _ in pictures[:4]}


def test_an_old_picture_keeps_its_split_under_a_new_label():
    pictures = made("cat", 10)
    old = assign(pictures, FRACTIONS, seed=0, old={})

    splits = assign([(digest, "dog") for digest, _ in pictures], FRACTIONS, seed=0, old=old)

    assert splits == old


def made(label, count, start=0):
    return [(sha256(f"{label}{start + i}".encode()).hexdigest(), label) for i in range(count)]


def counted(pictures, splits):
    return Counter((label, splits[digest]) for digest, label in pictures)


def classes_without(pictures, splits, fractions):
    """Return the classes of three or more pictures that lack one of the splits."""
    sizes = Counter(label for _, label in pictures)
    have = counted(pictures, splits)
    return [label for label in sizes if sizes[label] >= 3 and not all(have[label, s] for s in fractions)]
