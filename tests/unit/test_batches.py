"""Batches: the same whatever the workers, the processes, and where an epoch is entered."""

from __future__ import annotations

import threading
from collections import Counter
from itertools import chain

import numpy as np
import pytest
import torch

from regraft.data.augment.cutting import cut_each
from regraft.data.augment.pipeline import build
from regraft.data.batches import Batches
from regraft.data.draws import identities
from regraft.records import digest

COUNT = 23
SIZE = 16
PLAIN = build((), size=SIZE)
RANDOM = build(("random-resized-crop", "flip"), size=SIZE)
TARGETS = [index % 3 for index in range(COUNT)]
IDENTITIES = identities([digest(str(index).encode()) for index in range(COUNT)])


class Drawn:
    """Pictures of noise in several shapes; the first pixel of each says which it is."""

    def __init__(self):
        random = np.random.default_rng(0)
        sides = random.integers(SIZE, 2 * SIZE, (COUNT, 2))
        self._pictures = [random.integers(0, 256, (*side, 3), dtype=np.uint8) for side in sides]

    def shapes(self, places):
        return np.array([self._pictures[place].shape[:2] for place in places], dtype=np.int64).reshape(-1, 2)

    def cut(self, places, boxes, how):
        return cut_each([lambda place=place: self._pictures[place] for place in places], boxes, how)


def make(pipeline=RANDOM, **options):
    return Batches(Drawn(), pipeline, TARGETS, IDENTITIES, **{"batch_size": 5, **options})


def facts(batches, epoch=0, start=0):
    """Return all that the batches of an epoch hold, in plain values."""
    return [
        (
            batch.positions.tolist(),
            batch.images.tolist(),
            batch.targets.tolist(),
            None if batch.partners is None else batch.partners.tolist(),
            None if batch.lam is None else batch.lam.tolist(),
            batch.total,
        )
        for batch in batches.epoch(epoch, start)
    ]


def positions(batches, epoch=0):
    return [position for batch in batches.epoch(epoch) for position in batch.positions.tolist()]


def test_an_epoch_has_each_picture_once_with_its_target():
    batches = list(make().epoch(0))

    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert [batch.total for batch in batches] == [5, 5, 5, 5, 3]
    assert len(make()) == 5
    seen = torch.cat([batch.positions for batch in batches]).tolist()
    assert sorted(seen) == list(range(COUNT))
    assert torch.cat([batch.targets for batch in batches]).tolist() == [TARGETS[place] for place in seen]
    assert {batch.images.shape[1:] for batch in batches} == {(3, SIZE, SIZE)}
    assert {batch.images.dtype for batch in batches} == {torch.uint8}


def test_the_order_follows_from_seed_and_epoch():
    orders = [positions(make(seed=seed), epoch) for seed in (0, 1) for epoch in (0, 1)]

    assert len({tuple(order) for order in orders}) == 4
    assert positions(make(seed=1), 1) == orders[3]
    assert positions(make(shuffle=False), 3) == list(range(COUNT))


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4, "cutmix": 1.0}])
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_workers_change_nothing(workers, mixing):
    assert facts(make(workers=workers, **mixing), 2) == facts(make(workers=0, **mixing), 2)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_epoch_can_be_entered_anywhere(workers):
    whole = facts(make(mixup=0.2), 1)

    assert [facts(make(mixup=0.2, workers=workers), 1, start) for start in range(6)] == [
        whole[start:] for start in range(6)
    ]


def test_an_epoch_that_is_left_early_leaves_nobody_working():
    before = threading.active_count()
    batches = make(workers=2).epoch(0)
    next(batches)

    batches.close()

    assert threading.active_count() == before


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4}, {"cutmix": 1.0}])
@pytest.mark.parametrize("world", [2, 3, 7])
def test_processes_together_have_the_batches_of_one(world, mixing):
    whole = facts(make(**mixing), 1)

    shares = [facts(make(rank=rank, world=world, **mixing), 1) for rank in range(world)]

    together = []
    for parts in zip(*shares, strict=True):
        *columns, totals = zip(*parts, strict=True)
        joined = [None if column[0] is None else [*chain.from_iterable(column)] for column in columns]
        assert len(set(totals)) == 1
        together.append((*joined, totals[0]))
    assert together == whole


def test_a_process_may_have_no_picture_of_a_small_batch():
    *_, last = make(rank=0, world=7).epoch(0)

    assert (len(last), last.images.shape, last.total) == (0, (0, 3, SIZE, SIZE), 3)


def test_a_picture_is_seen_otherwise_in_each_epoch():
    first, second = (
        {
            place: image
            for batch in make().epoch(epoch)
            for place, image in zip(batch.positions.tolist(), batch.images.tolist(), strict=True)
        }
        for epoch in (0, 1)
    )

    assert [place for place in first if first[place] == second[place]] == []


def test_weights_decide_how_often_a_picture_comes():
    weights = [10.0 if target == 2 else 1.0 for target in TARGETS]

    counts = Counter(
        TARGETS[place] for epoch in range(30) for place in positions(make(PLAIN, weights=weights), epoch)
    )

    expected = 7 * 10 / (7 * 10 + 16)
    assert counts.total() == 30 * COUNT
    assert abs(counts[2] / counts.total() - expected) < 0.05
    assert positions(make(PLAIN, weights=weights), 3) == positions(make(PLAIN, weights=weights), 3)


def test_a_picture_that_comes_twice_in_an_epoch_is_seen_in_two_ways():
    weights = [1.0, *[0.0] * (COUNT - 1)]

    views = [str(image) for batch in make(weights=weights).epoch(0) for image in batch.images.tolist()]

    assert len(views) == COUNT
    assert len(set(views)) == COUNT


def test_mixup_lays_each_picture_over_its_mirror_in_the_batch():
    plain = list(make().epoch(0))

    mixed = list(make(mixup=0.8).epoch(0))

    assert len({batch.lam[0].item() for batch in mixed}) == 5
    for one, other in zip(plain, mixed, strict=True):
        lam = other.lam.view(-1, 1, 1, 1)
        expected = lam * one.images + (1 - lam) * one.images.flip(0)
        assert other.targets.tolist() == one.targets.tolist()
        assert other.partners.tolist() == one.targets.flip(0).tolist()
        assert ((other.images - expected).abs() <= 0.501).all()


def test_cutmix_takes_a_window_and_says_how_much_is_left():
    plain = list(make().epoch(0))

    mixed = list(make(cutmix=1.0).epoch(0))

    for one, other in zip(plain, mixed, strict=True):
        kept = (other.images == one.images).all(dim=1)
        strange = (other.images == one.images.flip(0)).all(dim=1)
        assert (kept | strange).all()
        moved = [place for place in range(len(one)) if place != len(one) - 1 - place]
        share = kept[moved].float().mean(dim=(1, 2))
        assert torch.allclose(share, other.lam[moved], atol=1e-3)
    assert len({batch.lam[0].item() for batch in mixed}) > 3


def test_with_both_chance_takes_one_for_each_batch():
    batches = make(mixup=1.0, cutmix=1.0)

    lams = [batch.lam[0].item() for epoch in range(8) for batch in batches.epoch(epoch)]

    by_window = sum(abs(lam * SIZE**2 - round(lam * SIZE**2)) < 1e-4 for lam in lams)
    assert 8 <= by_window <= 32


def test_a_part_of_a_batch_has_a_part_of_everything():
    batch = next(make(mixup=0.5).epoch(0))

    part = batch.part(slice(1, 3))

    assert part.positions.tolist() == batch.positions[1:3].tolist()
    assert part.images.tolist() == batch.images[1:3].tolist()
    assert part.targets.tolist() == batch.targets[1:3].tolist()
    assert part.partners.tolist() == batch.partners[1:3].tolist()
    assert part.lam.tolist() == batch.lam[1:3].tolist()
    assert part.total == 5
    assert next(make().epoch(0)).part(slice(0, 2)).partners is None
