"""Splits: stratified, seeded and sticky; pictures of one family stay together."""

from __future__ import annotations

from collections import Counter, defaultdict
from hashlib import sha256
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regraft.data.splits import Unplaced, assign, folds

FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}


def test_every_class_is_split_by_the_fractions():
    pictures = [*made("cat", 100), *made("dog", 40)]

    splits = assign(pictures, FRACTIONS, seed=0, standing={})

    assert counted(pictures, splits) == {
        "cat": {"train": 70, "val": 10, "test": 20},
        "dog": {"train": 28, "val": 4, "test": 8},
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
    splits = assign(made("cat", count), FRACTIONS, seed=0, standing={})

    assert Counter(splits.values()) == expected


def test_a_fraction_of_zero_gives_no_split():
    splits = assign(made("cat", 50), {"train": 0.8, "val": 0.0, "test": 0.2}, seed=0, standing={})

    assert Counter(splits.values()) == {"train": 40, "test": 10}


@pytest.mark.parametrize("seed", range(5))
def test_the_order_of_the_pictures_has_no_say(seed):
    pictures = [*made("cat", 30, family_of=4), *made("dog", 7), *made("owl", 2)]
    shuffled = Random(seed).sample(pictures, len(pictures))

    splits = assign(shuffled, FRACTIONS, seed=3, standing={})

    assert splits == assign(pictures, FRACTIONS, seed=3, standing={})


def test_a_seed_gives_its_own_splits_and_always_the_same():
    pictures = made("cat", 30)

    splits = [assign(pictures, FRACTIONS, seed=seed, standing={}) for seed in (0, 1, 0)]

    assert splits[0] == splits[2]
    assert splits[0] != splits[1]
    assert Counter(splits[0].values()) == Counter(splits[1].values())


def test_other_classes_have_no_say_in_the_splits_of_a_class():
    cats, dogs = made("cat", 30), made("dog", 17)

    alone, together = (assign(pictures, FRACTIONS, seed=0, standing={}) for pictures in (cats, dogs + cats))

    assert {picture.digest: together[picture.digest] for picture in cats} == alone


def test_new_pictures_go_where_their_class_lacks_most():
    standing = {"cat": {"train": 7}, "dog": {"train": 70, "val": 10, "test": 20}}
    pictures = [*made("cat", 3), *made("dog", 1)]

    splits = assign(pictures, FRACTIONS, seed=0, standing=standing)

    assert counted(pictures, splits) == {"cat": {"test": 2, "val": 1}, "dog": {"train": 1}}


@pytest.mark.parametrize("seed", range(10))
def test_a_class_that_grows_is_in_every_split_and_keeps_to_the_fractions(seed):
    chance = Random(seed)
    fractions = chance.choice([FRACTIONS, {"train": 0.5, "val": 0.25, "test": 0.25}])
    standing = defaultdict(Counter)

    for step in range(8):
        pictures = [
            picture
            for label in "abcd"
            for picture in made(label, chance.choice([0, 1, 1, 2, 5, 30]), start=step * 100)
        ]
        add_to(standing, pictures, assign(pictures, fractions, seed=seed, standing=standing))

        for counts in standing.values():
            total = counts.total()
            assert total < 3 or set(+counts) == set(fractions)
            assert all(abs(counts[split] - total * fractions[split]) < 2.5 for split in fractions)


@pytest.mark.parametrize("fractions", [FRACTIONS, {"train": 0.04, "val": 0.48, "test": 0.48}])
def test_a_class_that_grows_one_by_one_is_in_every_split_from_the_third_picture_on(fractions):
    standing = defaultdict(Counter)
    sizes = []

    for picture in made("cat", 12):
        add_to(standing, [picture], assign([picture], fractions, seed=0, standing=standing))
        sizes.append(len(standing["cat"]))

    assert sizes == [1, 2, *[3] * 10]


def test_a_class_that_grows_one_by_one_keeps_to_the_fractions():
    standing = defaultdict(Counter)

    for picture in made("cat", 100):
        add_to(standing, [picture], assign([picture], FRACTIONS, seed=0, standing=standing))

    assert standing["cat"] == {"train": 70, "test": 20, "val": 10}


def test_what_stands_already_is_only_counted():
    standing = {"cat": Counter(train=7)}

    assign(made("cat", 3), FRACTIONS, seed=0, standing=standing)

    assert standing == {"cat": Counter(train=7)}


def test_families_stay_together_and_the_fractions_are_kept_as_well_as_they_allow():
    pictures = made("cat", 100, family_of=5)

    splits = assign(pictures, FRACTIONS, seed=0, standing={})

    assert Counter(splits.values()) == {"train": 70, "test": 20, "val": 10}
    assert torn(pictures, splits) == []


def test_a_class_of_three_families_is_in_every_split():
    pictures = [*made("cat", 20, family_of=20), *made("cat", 2, start=20)]

    splits = assign(pictures, FRACTIONS, seed=0, standing={})

    assert sorted(Counter(splits.values()).items()) == [("test", 1), ("train", 20), ("val", 1)]


def test_a_family_of_several_classes_counts_for_each():
    pictures = [
        Unplaced(digest=digest("one"), label="cat", family="f"),
        Unplaced(digest=digest("two"), label="dog", family="f"),
        *made("cat", 2),
        *made("dog", 2),
    ]

    splits = assign(pictures, FRACTIONS, seed=0, standing={})

    assert torn(pictures, splits) == []
    assert counted(pictures, splits) == {
        "cat": {"train": 1, "test": 1, "val": 1},
        "dog": {"train": 1, "test": 1, "val": 1},
    }


PICTURES = st.lists(
    st.builds(
        Unplaced,
        digest=st.integers(0, 10**6).map(lambda number: digest(str(number))),
        label=st.sampled_from(["cat", "dog", "owl"]),
        family=st.integers(0, 12).map(str),
    ),
    max_size=40,
    unique_by=lambda picture: picture.digest,
)


@settings(derandomize=True, max_examples=60, deadline=None)
@given(PICTURES, st.integers(0, 5))
def test_every_picture_gets_a_split_and_no_family_stands_in_two(pictures, seed):
    splits = assign(pictures, FRACTIONS, seed=seed, standing={})

    assert splits.keys() == {picture.digest for picture in pictures}
    assert set(splits.values()) <= set(FRACTIONS)
    assert torn(pictures, splits) == []


@settings(derandomize=True, max_examples=60, deadline=None)
@given(PICTURES, st.integers(2, 5), st.integers(0, 5))
def test_every_picture_gets_a_fold_and_no_family_stands_in_two(pictures, k, seed):
    found = folds(pictures, k, seed=seed)

    assert found == folds(pictures[::-1], k, seed=seed)
    assert found.keys() == {picture.digest for picture in pictures}
    assert set(found.values()) <= set(range(k))
    assert torn(pictures, found) == []


def test_folds_are_stratified():
    pictures = [*made("cat", 20), *made("dog", 8)]

    found = folds(pictures, 4, seed=0)

    assert counted(pictures, found) == {
        "cat": {0: 5, 1: 5, 2: 5, 3: 5},
        "dog": {0: 2, 1: 2, 2: 2, 3: 2},
    }


def made(label, count, *, start=0, family_of=1):
    """Return so many pictures of a class, in families of a size."""
    return [
        Unplaced(
            digest=digest(f"{label}{number}"), label=label, family=f"{label} {start} {number // family_of}"
        )
        for number in range(start, start + count)
    ]


def digest(words):
    return sha256(words.encode()).hexdigest()


def counted(pictures, splits):
    """Count the pictures of each class by split."""
    counts = defaultdict(Counter)
    add_to(counts, pictures, splits)
    return counts


def add_to(standing, pictures, splits):
    for picture in pictures:
        standing[picture.label][splits[picture.digest]] += 1


def torn(pictures, splits):
    """Return the families that stand in several splits."""
    sides = defaultdict(set)
    for picture in pictures:
        sides[picture.family].add(splits[picture.digest])
    return [family for family, where in sides.items() if len(where) > 1]
