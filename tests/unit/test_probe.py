"""The convex head: folds, the choice of C, temperature, and the folded standardisation."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from regraft.engine.predict import scores
from regraft.engine.probe import assign_folds, find_temperature, fit, hold_out, repeats
from regraft.recipe import OptimSection


@pytest.fixture
def clouds():
    """Three overlapping clouds in 20 dimensions of different spread: features, targets."""
    random = np.random.default_rng(0)
    targets = np.repeat([0, 1, 2], [60, 40, 30])
    centres = random.normal(size=(3, 20))
    features = (centres[targets] + random.normal(scale=1.5, size=(130, 20))) * np.logspace(-0.6, 0.6, 20) + 7
    return features.astype(np.float32), targets


def quiet(done, total):
    pass


def test_the_head_equals_scikit_learn_on_standardised_features(clouds):
    features, targets = clouds
    optim = OptimSection(C=(0.1,), tolerance=1e-6)

    head = fit(features, targets, optim, folds=5, seed=0, step=quiet)
    plain = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, tol=1e-8, max_iter=1000))
    plain.fit(features.astype(np.float64), targets)

    expected = plain.predict_proba(features.astype(np.float64))
    assert np.allclose(scores(features, head.weight, head.bias, 1.0), expected, atol=2e-3)


def test_a_head_for_two_classes_has_a_row_for_each(clouds):
    features, targets = clouds
    two = targets < 2

    head = fit(features[two], targets[two], OptimSection(), folds=5, seed=0, step=quiet)

    plain = make_pipeline(StandardScaler(), LogisticRegression(C=head.learning.C, tol=1e-8, max_iter=1000))
    plain.fit(features[two].astype(np.float64), targets[two])
    expected = plain.predict_proba(features[two].astype(np.float64))
    assert head.weight.shape == (2, 20)
    assert np.allclose(scores(features[two], head.weight, head.bias, 1.0), expected, atol=5e-3)


def test_the_strongest_c_within_one_standard_error_is_taken(clouds):
    features, targets = clouds
    blurred = features + np.random.default_rng(1).normal(
        scale=np.logspace(-0.6, 0.6, 20) * 3, size=features.shape
    )
    optim = OptimSection(C=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1))

    learning = fit(blurred.astype(np.float32), targets, optim, folds=5, seed=0, step=quiet).learning

    best = min(learning.candidates, key=lambda candidate: candidate.log_loss)
    within = [c.C for c in learning.candidates if c.log_loss <= best.log_loss + best.standard_error]
    assert min(within) == learning.C
    assert learning.C < best.C


def test_the_search_stops_when_the_loss_rises(clouds):
    features, targets = clouds

    learning = fit(features, targets, OptimSection(), folds=5, seed=0, step=quiet).learning

    losses = [candidate.log_loss for candidate in learning.candidates]
    assert len(losses) < len(OptimSection().C)
    assert losses.index(min(losses)) == len(losses) - 2


def test_the_same_seed_gives_the_same_bits_and_another_gives_other_folds(clouds):
    features, targets = clouds

    first, again, other = (
        fit(features, targets, OptimSection(), folds=5, seed=s, step=quiet) for s in (1, 1, 2)
    )

    assert first.weight.tobytes() == again.weight.tobytes()
    assert first.learning == again.learning
    assert other.learning.log_loss != first.learning.log_loss


def test_folds_are_stratified_and_never_hold_out_the_only_picture_of_a_class():
    targets = np.array([0] * 11 + [1] * 4 + [2])

    folds = assign_folds(targets, [str(n) for n in range(len(targets))], 5, seed=0)

    zero = np.bincount(folds[targets == 0], minlength=5)
    assert zero.max() - zero.min() <= 1
    assert len(set(folds[targets == 1])) == 4
    assert folds[-1] == -1


def test_without_two_pictures_of_any_class_there_is_a_head_and_no_cross_validation():
    features = np.eye(3, dtype=np.float32)

    head = fit(features, np.array([0, 1, 2]), OptimSection(), folds=2, seed=0, step=quiet)

    assert scores(features, head.weight, head.bias, head.temperature).argmax(axis=1).tolist() == [0, 1, 2]
    assert (head.learning.folds, head.learning.candidates, head.learning.accuracy) == (0, (), None)
    assert head.temperature == 1.0


def test_features_that_never_vary_do_no_harm(clouds):
    features, targets = clouds
    features[:, 3] = 5.0

    head = fit(features, targets, OptimSection(), folds=5, seed=0, step=quiet)

    assert np.isfinite(head.weight).all()


def test_the_temperature_makes_overconfident_logits_honest():
    random = np.random.default_rng(0)
    targets = random.integers(0, 2, 2000)
    honest = np.stack(
        [np.zeros(2000), np.where(random.random(2000) < 0.8, 1, -1) * np.log(4) * (2 * targets - 1)], 1
    )

    temperature = find_temperature(honest * 5, targets)

    assert temperature == pytest.approx(5, rel=0.1)


def test_what_hardly_varies_is_not_blown_up(clouds):
    features, targets = clouds
    features[:, 0] = 1e-6 * np.random.default_rng(0).normal(size=130)

    head = fit(features, targets, OptimSection(), folds=5, seed=0, step=quiet)

    assert np.abs(head.weight[:, 0]).max() < 10 * np.abs(head.weight[:, 1:]).max()


def test_a_handful_of_pictures_is_no_reason_to_be_sure(clouds):
    features, targets = clouds
    few = np.array([0, 1, 60, 61, 100, 101])

    head = fit(features[few], targets[few], OptimSection(), folds=2, seed=0, step=quiet)

    rest = np.delete(np.arange(130), few)
    true = scores(features[rest], head.weight, head.bias, head.temperature)[
        np.arange(len(rest)), targets[rest]
    ]
    assert -np.log(true).mean() < 1.5
    assert 0.5 < head.temperature < 2


def test_a_family_is_held_out_together_and_a_class_of_one_family_never():
    targets = np.repeat([0, 1, 2], [12, 12, 4])
    families = [f"a{n // 3}" for n in range(12)] + [f"b{n}" for n in range(12)] + ["c"] * 4

    folds = assign_folds(targets, families, 4, seed=0)

    assert all(len({int(fold) for fold in folds[np.array(families) == name]}) == 1 for name in set(families))
    assert sorted(folds[:12].tolist()) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert sorted(folds[12:24].tolist()) == sorted([0, 1, 2, 3] * 3)
    assert folds[24:].tolist() == [-1] * 4


def test_what_is_said_of_a_picture_out_of_fold_comes_from_a_head_that_has_not_seen_it(clouds):
    features, targets = clouds

    head = fit(features, targets, OptimSection(C=(0.1,)), folds=5, seed=0, step=quiet)

    said = head.out_of_fold
    assert said.shape == (130, 3)
    assert np.allclose(said.sum(axis=1), 1, atol=1e-5)
    held = head.held_out
    assert float((held.said.argmax(axis=1) == targets[held.rows]).mean()) == head.learning.accuracy
    assert held.losses(targets).mean() == pytest.approx(head.learning.log_loss)
    assert (held.pictures, len(held.rows)) == (130, 260)  # two partitions
    assert np.allclose(said[7], held.said[held.rows == 7].mean(axis=0))


def test_few_pictures_are_parted_into_folds_several_times_and_many_once(clouds):
    targets = clouds[1]
    families = [str(number // 2) for number in range(130)]

    held = hold_out(targets, families, 5, seed=3)

    times = np.bincount(np.concatenate(held), minlength=130)
    assert [repeats(count) for count in (0, 1, 39, 40, 99, 199, 200, 10_000)] == [5, 5, 5, 5, 3, 2, 1, 1]
    assert set(times.tolist()) == {2}
    assert not any(
        {families[row] for row in rows} & {families[row] for row in set(range(130)) - {*rows}}
        for rows in held
    )
    assert [rows.tolist() for rows in held[:5]] != [rows.tolist() for rows in held[5:]]
    assert len(hold_out(np.tile([0, 1], 100), list(map(str, range(200))), 5, seed=3)) == 5
