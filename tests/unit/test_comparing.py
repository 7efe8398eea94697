"""Two models on the same pictures: differences that are there are found, and chance is not called one."""

from itertools import combinations

import numpy as np
import pytest

from regraft.data.slicing import LEAST
from regraft.engine import comparing, probe, slices
from regraft.engine.predict import scores
from regraft.engine.scoring import Scored
from regraft.recipe import OptimSection

ALONE = np.arange(200)


def of_accuracy(share, random, targets):
    """What a model says that is right so often, by chance."""
    right = random.random(len(targets)) < share
    said = np.where(right, targets, 1 - targets)
    return Scored(np.eye(2)[said] * 0.8 + 0.1, targets)


@pytest.mark.parametrize(
    ("fixed", "broken", "p_value"), [(0, 0, 1.0), (5, 5, 1.0), (6, 0, 0.03125), (1, 8, 0.0390625)]
)
def test_an_uneven_change_is_unlikely_by_chance(fixed, broken, p_value):
    before, after = np.zeros(200, bool), np.zeros(200, bool)
    after[:fixed], before[fixed : fixed + broken] = True, True

    assert comparing.probability(before, after, ALONE) == pytest.approx(p_value)


def test_what_a_family_gained_counts_once():
    before, after = np.zeros(200, bool), np.zeros(200, bool)
    after[:20] = True  # two families of ten

    alone = comparing.probability(before, after, ALONE)
    together = comparing.probability(before, after, np.arange(200) // 10)

    assert alone < 1e-5
    assert together == pytest.approx(0.5, abs=0.02)


def test_two_models_that_differ_by_chance_alone_are_hardly_ever_called_different():
    random = np.random.default_rng(0)
    called = 0
    for _ in range(100):
        targets = random.integers(0, 2, 200)
        one, other = (of_accuracy(0.9, random, targets) for _ in range(2))
        right, also = one.predicted == targets, other.predicted == targets
        called += comparing.probability(right, also, ALONE) < comparing.LEVEL

    assert called <= 5


def called_different(one, other):
    """Tell whether a verdict would name any number in which two models differ."""
    chance = comparing.probability(
        one.predicted == one.targets, other.predicted == other.targets, ALONE[: one.count]
    )
    return chance < comparing.LEVEL or bool(comparing.beside_accuracy(one, other, ALONE[: one.count]))


def test_models_that_differ_by_chance_are_hardly_ever_called_different_in_anything():
    random = np.random.default_rng(5)
    called = 0
    for _ in range(100):
        targets = random.integers(0, 2, 140)
        hard = random.normal(1.5, 1.5, 140)  # the same for both
        models = []
        for _ in range(2):
            margin = hard + random.normal(0, 0.7, 140)
            right = 1 / (1 + np.exp(-margin))
            models.append(
                Scored(np.where(np.eye(2)[targets] == 1, right[:, None], 1 - right[:, None]), targets)
            )
        called += called_different(*models)

    assert called <= 5


def test_heads_that_differ_by_their_seed_alone_are_hardly_ever_called_different():
    random = np.random.default_rng(6)
    targets = np.arange(300) % 3
    features = (random.normal(size=(3, 12))[targets] * 0.7 + random.normal(size=(300, 12))).astype(np.float32)
    learned, asked = np.arange(160), np.arange(160, 300)
    said = []
    for seed in range(15):
        sample = np.random.default_rng(seed).permutation(learned)[:140]
        head = probe.fit(
            features[sample],
            targets[sample],
            OptimSection(),
            folds=5,
            seed=seed,
            step=lambda done, total: None,
        )
        said.append(Scored(scores(features[asked], head.weight, head.bias, head.temperature), targets[asked]))

    called = [called_different(one, other) for one, other in combinations(said, 2)]

    assert len(called) == 105
    assert sum(called) <= 5


def test_models_that_are_right_alike_and_otherwise_sure_differ_in_log_loss():
    random = np.random.default_rng(7)
    targets = random.integers(0, 2, 200)
    said = np.where(random.random(200) < 0.9, targets, 1 - targets)
    modest, sure = (Scored(np.eye(2)[said] * (2 * top - 1) + 1 - top, targets) for top in (0.6, 0.9))

    assert comparing.probability(modest.predicted == targets, sure.predicted == targets, ALONE) == 1
    assert comparing.beside_accuracy(modest, sure, ALONE) == ("log_loss", "brier_score")


def test_a_model_that_is_better_is_told_by_a_paired_interval():
    random = np.random.default_rng(1)
    targets = random.integers(0, 2, 200)

    found = comparing.differences(
        of_accuracy(0.7, random, targets), of_accuracy(0.95, random, targets), ALONE
    )

    assert found["accuracy"].difference == found["accuracy"].second - found["accuracy"].first > 0.15
    assert found["accuracy"].interval.low > 0
    assert found["log_loss"].interval.high < 0


def test_the_same_model_does_not_differ_from_itself():
    targets = np.arange(200) % 2
    one = of_accuracy(0.8, np.random.default_rng(2), targets)

    found = comparing.differences(one, one, ALONE)

    assert {(d.difference, d.interval.low, d.interval.high) for d in found.values()} == {(0.0, 0.0, 0.0)}


def test_a_slice_that_fares_worse_is_told_from_those_that_do_by_chance():
    random = np.random.default_rng(3)
    dark = np.arange(400) < 80
    right = np.where(dark, random.random(400) < 0.5, random.random(400) < 0.95)
    others = [(f"folder: {number}", random.random(400) < 0.2) for number in range(8)]

    found = slices.compare([("dark", dark), *others], right, np.arange(400))

    assert found[0].name == "dark"
    assert [one.name for one in found if one.distinct] == ["dark"]
    assert (found[0].count, found[0].accuracy, found[0].rest) == (
        80,
        right[dark].mean(),
        right[~dark].mean(),
    )


def test_models_that_differ_by_chance_in_whole_families_are_hardly_ever_called_different():
    random = np.random.default_rng(4)
    members = np.repeat(np.arange(30), 8)
    called = told = 0
    for _ in range(100):
        right, also = (np.repeat(random.random(30) < 0.8, 8) for _ in range(2))
        called += comparing.probability(right, also, members) < comparing.LEVEL
        marks = np.repeat(random.random(30) < 0.3, 8)
        if LEAST <= marks.sum() <= 240 - LEAST:
            told += slices.compare([("half", marks)], right, members)[0].distinct

    assert (called <= 8, told <= 10) == (True, True)
