"""Heads that compete on the same folds, the learning curve, and what changes of pictures do."""

import numpy as np
import pytest

from regraft.engine import agreement, closed_heads, contest, learning_curve, probe
from regraft.engine.contest import Standing
from regraft.engine.held_out import HeldOut
from regraft.engine.predict import scores
from regraft.engine.threads import side_by_side
from regraft.recipe import OptimSection
from regraft.records import CurvePoint

OPTIM = OptimSection()


def quiet(done, total):
    pass


@pytest.fixture
def clouds():
    """Two overlapping clouds in 16 dimensions: features, targets, a family for each two pictures."""
    random = np.random.default_rng(3)
    targets = np.repeat([0, 1], [60, 60])
    features = random.normal(size=(2, 16))[targets] + random.normal(scale=1.5, size=(120, 16))
    return features.astype(np.float32), targets, [f"family {number // 2}" for number in range(120)]


def held(clouds, **options):
    features, targets, families = clouds
    return contest.hold(features, targets, OPTIM, families=families, folds=5, seed=0, step=quiet, **options)


def test_all_kinds_are_measured_on_the_same_pictures(clouds):
    found = held(clouds)

    kinds = {standing.kind for standing in found.standings}
    assert kinds >= {"logistic", "ridge", "shrinkage LDA", "nearest mean"}
    assert len(kinds) == len(found.standings) == 5
    assert all(np.isfinite(standing.losses).all() for standing in found.standings)
    assert found.head.learning.log_loss == pytest.approx(found.standings[0].log_loss)


def test_without_a_difference_beyond_doubt_the_plain_head_is_the_one_of_a_probe(clouds):
    features, targets, families = clouds
    plain = probe.fit(features, targets, OPTIM, families=families, folds=5, seed=0, step=quiet)

    found = held(clouds)

    others = [one for one in found.standings[1:] if "nearest" not in one.kind]
    assert not any(contest.beats(found.standings[0], other) for other in others)
    assert found.standings[0].kind == "logistic"
    assert np.array_equal(found.head.weight, plain.weight)


def test_another_kind_is_taken_where_it_is_better_beyond_doubt_and_says_what_it_said_out_of_fold():
    random = np.random.default_rng(1)  # two means that are all there is to know, and few pictures
    targets = np.repeat(range(6), 8)
    features = (random.normal(size=(6, 400))[targets] * 0.5 + random.normal(size=(48, 400))).astype(
        np.float32
    )
    optim = OptimSection(C=(1e-4,))  # too strong

    found = contest.hold(
        features, targets, optim, families=list(map(str, range(48))), folds=4, seed=0, step=quiet
    )

    taken = found.standings[0]
    plain = next(one for one in found.standings if one.kind == "logistic")
    head = found.head
    assert taken.kind == head.learning.kind != "logistic"
    assert contest.beats(plain, taken)
    held = head.held_out
    said = -np.log(held.said[np.arange(len(held.rows)), targets[held.rows]])
    assert np.allclose(held.average(said), taken.losses, atol=1e-5)
    assert (scores(features, head.weight, head.bias, head.temperature).argmax(axis=1) == targets).mean() > 0.9


def test_mirrored_pictures_that_are_like_more_pictures_help():
    random = np.random.default_rng(4)
    targets = np.repeat([0, 1, 2], 40)
    clean = random.normal(size=(3, 30))[targets] * 0.25
    features, mirrored = ((clean + random.normal(size=clean.shape)).astype(np.float32) for _ in "ab")

    found = contest.hold(
        features,
        targets,
        OPTIM,
        families=list(map(str, range(120))),
        folds=5,
        seed=0,
        step=quiet,
        views={"mirrored": mirrored},
    )

    both = next(one for one in found.standings if one.kind == "logistic, mirrored too")
    alone = next(one for one in found.standings if one.kind == "logistic")
    assert contest.gain(alone.losses, both.losses) > 1


def test_too_few_pictures_for_folds_give_a_head_and_no_standings():
    features = np.eye(2, 4, dtype=np.float32)

    found = contest.hold(features, np.array([0, 1]), OPTIM, families=["a", "b"], folds=2, seed=0, step=quiet)

    assert (found.standings, found.losses.tolist()) == ((), [])
    assert found.head.weight.shape == (2, 4)


def standing(losses, accuracy):
    return Standing(
        kind="", accuracy=accuracy, log_loss=float(np.mean(losses)), seconds=0.0, losses=np.array(losses)
    )


def test_beyond_doubt_is_more_than_a_standard_error_and_no_worse_an_accuracy():
    old = standing([1.0, 1.0, 1.0, 1.0], 0.5)

    assert contest.gain(old.losses, np.array([0.5, 0.7, 0.5, 0.7])) == pytest.approx(0.4 / (0.2309401 / 4))
    assert contest.beats(old, standing([0.5, 0.7, 0.5, 0.7], 0.5))
    assert not contest.beats(old, standing([0.5, 0.7, 0.5, 0.7], 0.25))
    assert not contest.beats(old, standing([0.0, 2.0, 0.5, 1.4], 0.75))
    assert contest.gain(old.losses, np.array([np.nan, 0.5, np.nan, np.nan])) == 0


def test_a_lower_loss_that_costs_accuracy_does_not_hide_one_that_does_not():
    old = standing([1.0, 1.0, 1.0, 1.0], 0.5)
    lowest, good, worse = (
        standing([0.2, 0.3, 0.2, 0.3], 0.25),
        standing([0.5, 0.7, 0.5, 0.7], 0.5),
        standing([0.8, 0.9, 0.8, 0.9], 0.75),
    )

    assert contest.best([lowest, worse, good], against=old) is good
    assert contest.best([lowest], against=old) is None


def test_the_strength_of_ridge_is_chosen_without_the_pictures_that_are_held_out():
    random = np.random.default_rng(2)  # nothing to be learned: what a strength gains is luck
    targets = np.tile([0, 1], 20)
    features = random.normal(size=(40, 60)).astype(np.float32)
    families = list(map(str, range(40)))

    found = contest.hold(features, targets, OPTIM, families=families, folds=4, seed=0, step=quiet)

    logits, rows = [], []
    for held in probe.hold_out(targets, families, 4, seed=0):
        rest = np.setdiff1d(np.arange(40), held)
        mean, spread = probe.scaling(features[rest])
        known = (features[rest] - mean) / spread
        strength = closed_heads.ridge_strength(known, targets[rest], 2)
        weight, bias = closed_heads.ridge(strength)(known, targets[rest], 2)
        logits.append((features[held] - mean) / spread @ weight.T + bias)
        rows.append(held)
    asked, wanted = np.concatenate(logits), targets[np.concatenate(rows)]
    temperature = asked.std() * probe.find_temperature(asked / asked.std(), wanted, pictures=40)
    held_out = HeldOut(count=40, rows=np.concatenate(rows), said=np.zeros((0, 2), np.float32))
    losses = held_out.average(probe.each_log_loss(asked / temperature, wanted))
    ridge = next(one for one in found.standings if one.kind == "ridge")
    assert ridge.losses == pytest.approx(losses, rel=1e-4)


def test_the_curve_ends_where_the_cross_validation_does(clouds):
    features, targets, families = clouds
    head = probe.fit(features, targets, OPTIM, families=families, folds=5, seed=0, step=quiet)

    curve = learning_curve.measure(
        features, targets, OPTIM, C=head.learning.C, families=families, folds=5, seed=0, step=quiet
    )

    assert [point.pictures for point in curve] == [12, 24, 48, 96]
    assert curve[-1].accuracy == head.learning.accuracy
    assert curve[0].log_loss > curve[-1].log_loss


def test_errors_that_halved_with_each_doubling_are_expected_to_halve_again():
    curve = [
        CurvePoint(pictures=pictures, accuracy=accuracy, log_loss=0.0)
        for pictures, accuracy in ((100, 0.6), (200, 0.8), (400, 0.9))
    ]

    found = learning_curve.outlook(curve)

    assert (found.last, found.next) == (pytest.approx(0.1), pytest.approx(0.05))
    assert learning_curve.outlook(curve[:2]) is None


def test_a_curve_that_goes_down_promises_nothing():
    curve = [
        CurvePoint(pictures=pictures, accuracy=accuracy, log_loss=0.0)
        for pictures, accuracy in ((100, 0.9), (200, 0.88), (400, 0.87))
    ]

    assert learning_curve.outlook(curve).next == 0


def test_a_change_that_swaps_classes_is_not_harmless_and_a_small_one_is(clouds):
    features, targets, families = clouds
    of = np.arange(0, 120, 2)
    swapped = features[(of + 60) % 120]

    def measure(changed):
        return agreement.measure(
            features, targets, OPTIM, C=0.1, changed=changed, of=of, families=families, folds=5, seed=0
        )

    small, large = measure(features[of] + np.float32(1e-6)), measure(swapped)
    assert (small.harmless, small.same, small.before) == (True, 1.0, small.after)
    assert (large.harmless, large.pictures) == (False, 60)
    assert large.after < 0.4 < large.before


def test_work_side_by_side_comes_back_in_order():
    assert side_by_side(lambda number: number**2, range(9)) == [number**2 for number in range(9)]
