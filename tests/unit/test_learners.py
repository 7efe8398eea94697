"""Which pictures a net learns from, and which of them it is chosen by."""

from hashlib import sha256

import numpy as np
import pytest

from regraft.jobs.learners import learners
from regraft.records import Row


def row(number, split, *, group=""):
    return Row(
        key=f"{number}.png",
        digest=sha256(b"%d" % number).hexdigest(),
        pack="",
        offset=0,
        length=1,
        label="",
        split=split,
        group=group,
        width=8,
        height=8,
    )


def choose(splits, *, classes=3, groups=None, measured="test", holdout=0.1, seed=0):
    """Deal classes in turn to rows of such splits; return the learners and the targets."""
    groups = groups or [""] * len(splits)
    rows = [row(n, split, group=group) for n, (split, group) in enumerate(zip(splits, groups, strict=True))]
    targets = np.arange(len(rows)) % classes
    return learners(rows, targets, measured=measured, holdout=holdout, seed=seed), targets


def test_where_there_is_a_split_val_it_is_chosen_by():
    splits = ["train", "val", "test"] * 10

    found, _ = choose(splits)

    assert found.train.tolist() == [n for n, split in enumerate(splits) if split == "train"]
    assert found.chosen_by.tolist() == [n for n, split in enumerate(splits) if split == "val"]


@pytest.mark.parametrize(
    ("splits", "measured"),
    [(["train"] * 90 + ["test"] * 10, "test"), (["train"] * 90 + ["val"] * 10, "val")],
    ids=["no val", "measured on val"],
)
def test_else_a_tenth_of_train_is_held_out_and_what_is_measured_on_stays_out(splits, measured):
    found, targets = choose(splits, measured=measured)

    both = np.concatenate([found.train, found.chosen_by])
    assert sorted(both.tolist()) == list(range(90))
    assert len(found.chosen_by) == 9
    assert np.bincount(targets[found.chosen_by]).tolist() == [3, 3, 3]


def test_families_are_not_divided():
    groups = [f"family {n // 6}" for n in range(90)]

    found, _ = choose(["train"] * 90, groups=groups, holdout=0.2)

    families = [{groups[place] for place in places.tolist()} for places in (found.train, found.chosen_by)]
    assert families[0].isdisjoint(families[1])
    assert len(found.chosen_by) > 0


@pytest.mark.parametrize("holdout", [0.1, 0.3, 0.45])
@pytest.mark.parametrize("seed", range(5))
def test_every_class_keeps_pictures_to_learn_from(seed, holdout):
    rare = ["train"] * 7  # classes 0, 1 and 2 have three, two and two pictures

    found, targets = choose(rare, holdout=holdout, seed=seed)

    assert set(targets[found.train].tolist()) == {0, 1, 2}


def test_a_class_of_one_family_is_learned_from_as_a_whole():
    groups = ["all of one" if n % 3 == 0 else "" for n in range(30)]

    found, targets = choose(["train"] * 30, groups=groups)

    assert (targets[found.train] == 0).sum() == 10
    assert (targets[found.chosen_by] == 0).sum() == 0


@pytest.mark.parametrize("holdout", [0.05, 0.2, 0.3, 0.4])
def test_as_much_is_held_out_as_was_asked_for(holdout):
    found, _ = choose(["train"] * 300, holdout=holdout)

    assert len(found.chosen_by) == pytest.approx(300 * holdout, abs=3)


def test_a_family_that_a_class_cannot_spare_stays_together_in_every_class():
    # class 0 has this family alone, class 1 others too, which could be held out
    splits, groups = ["train"] * 8, ["one", "one", "one", "a", "one", "b", "one", "c"]

    for seed in range(5):
        found, _ = choose(splits, classes=2, groups=groups, holdout=0.3, seed=seed)
        families = [{groups[place] for place in places.tolist()} for places in (found.train, found.chosen_by)]

        assert "one" in families[0] - families[1]


def test_nothing_is_held_out_where_nobody_wants_it():
    found, _ = choose(["train"] * 30, holdout=0.0)

    assert (found.train.tolist(), found.chosen_by.tolist()) == (list(range(30)), [])


def test_the_seed_decides_and_nothing_else():
    first, again, other = (choose(["train"] * 90, seed=seed)[0] for seed in (1, 1, 2))

    assert first.chosen_by.tolist() == again.chosen_by.tolist()
    assert first.chosen_by.tolist() != other.chosen_by.tolist()
