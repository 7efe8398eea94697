"""A dataset for torch: what it gives by position, and batches that no number of workers changes."""

import pickle
import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from regraft.data import ingest
from regraft.data.sources.folders import read_folder
from regraft.data.torch_view import Shuffle
from regraft.errors import IntegrityError, InvalidError
from regraft.hub.operators import register
from regraft.progress import silent
from regraft.records import SplitRule
from regraft.store.opening import Store, open_store
from regraft.store.storage import Folder
from regraft.workspace.dataset import Dataset

#: A transform that spawned workers can import; it draws from all three generators.
CHANCE = """
import random
import numpy as np
import torch


def chance(image):
    first = np.asarray(image)[0, 0, 0]
    return torch.tensor([first, torch.rand(()), np.random.rand(), random.random()], dtype=torch.float64)
"""


@pytest.fixture
def folder(make_folder):
    return make_folder({"train/cat": 5, "train/dog": 4, "test/cat": 2, "test/dog": 1})


@pytest.fixture
def dataset(tmp_path, folder):
    store = open_store(tmp_path / "workspace")
    rule = SplitRule(fractions={}, seed=0)
    return Dataset(store, ingest.add(store, "photos", read_folder(folder), rule, silent).version)


@pytest.fixture
def chance(tmp_path, monkeypatch):
    (tmp_path / "chance.py").write_text(CHANCE)
    monkeypatch.syspath_prepend(tmp_path)
    return __import__("chance").chance


def plain(batches):
    return [(values.tolist(), targets.tolist()) for values, targets in batches]


def states():
    name, words, *rest = np.random.get_state()
    return torch.get_rng_state().tolist(), name, words.tolist(), rest, random.getstate()


def test_it_has_what_the_image_folder_of_torchvision_has(dataset, folder):
    register()
    from torchvision.datasets import ImageFolder

    theirs = ImageFolder(folder / "train")

    ours = dataset.to_torch(split="train")

    assert (ours.classes, ours.class_to_idx, ours.targets, len(ours)) == (
        theirs.classes,
        theirs.class_to_idx,
        theirs.targets,
        len(theirs),
    )
    assert [(image.tobytes(), image.size, target) for image, target in ours] == [
        (image.tobytes(), image.size, target) for image, target in theirs
    ]


def test_a_position_gives_the_picture_and_its_target(dataset):
    view = dataset.to_torch(lambda image: image.size)

    found = [view[position] for position in range(-12, 12)]

    assert found == [((24, 16), view.class_to_idx[row.label]) for row in dataset] * 2
    assert [view.row(position) for position in range(12)] == list(dataset)
    with pytest.raises(IndexError, match=r"^picture 12 of 12$"):
        view[12]


def test_a_split_keeps_the_targets_of_all_classes(tmp_path, make_folder):
    store = open_store(tmp_path / "workspace")
    listing = read_folder(make_folder({"train/ant": 2, "train/bee": 2, "test/bee": 2}))
    rule = SplitRule(fractions={}, seed=0)
    dataset = Dataset(store, ingest.add(store, "insects", listing, rule, silent).version)

    view = dataset.to_torch(split="test")

    assert (view.classes, view.targets, len(view)) == (["ant", "bee"], [1, 1], 2)


def test_an_unknown_split_is_refused(dataset):
    with pytest.raises(InvalidError) as caught:
        dataset.to_torch(split="validation")

    assert str(caught.value) == "The dataset has no split 'validation'."
    assert caught.value.hint == "It has: 'train', 'test'."


def test_a_pickled_view_gives_the_same(dataset):
    view = dataset.to_torch(np.asarray, split="train")

    other = pickle.loads(pickle.dumps(view))

    assert other.targets == view.targets
    assert [(image.tolist(), target) for image, target in other] == [
        (image.tolist(), target) for image, target in view
    ]


def test_a_damaged_picture_is_named(dataset, tmp_path):
    (pack,) = [path for path in (tmp_path / "workspace" / "packs").rglob("*") if path.is_file()]
    pack.chmod(0o644)
    pack.write_bytes(bytes(pack.stat().st_size))

    with pytest.raises(IntegrityError, match=r"Picture 'test/cat/0.png' is damaged in"):
        list(dataset.to_torch(split="test").loader(1))


def test_the_order_is_a_function_of_seed_and_epoch():
    orders = [list(Shuffle(10, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)]

    assert orders[0] == list(Shuffle(10))
    assert [sorted(order) for order in orders] == [list(range(10))] * 4
    assert len({tuple(order) for order in orders}) == 4
    # pinned: a release that gave other orders would not repeat the runs of an earlier one
    assert orders[0] == [6, 0, 2, 5, 4, 9, 3, 1, 7, 8]


def test_the_next_epoch_has_the_order_of_its_own():
    order = Shuffle(10, seed=3)
    first = list(order)

    order.set_epoch(1)

    assert list(order) == list(Shuffle(10, seed=3, epoch=1)) != first


def test_without_shuffling_the_order_is_the_stored_one():
    order = Shuffle(7, seed=3, epoch=2, rank=1, world=2, in_order=True)

    assert (list(order), len(order)) == ([1, 3, 5], 3)


@pytest.mark.parametrize("world", [1, 2, 3, 5])
def test_ranks_share_an_epoch_without_overlap_and_without_loss(world):
    whole = list(Shuffle(11, seed=1, epoch=4))

    parts = [Shuffle(11, seed=1, epoch=4, rank=rank, world=world) for rank in range(world)]

    assert [list(part) for part in parts] == [whole[rank::world] for rank in range(world)]
    assert [len(part) for part in parts] == [len(list(part)) for part in parts]


def test_even_ranks_leave_the_remainder_out():
    whole = list(Shuffle(11, seed=1))

    parts = [list(Shuffle(11, seed=1, rank=rank, world=4, even=True)) for rank in range(4)]

    assert parts == [whole[:8][rank::4] for rank in range(4)]


@pytest.mark.parametrize(("rank", "world"), [(2, 2), (-1, 2), (0, 0)])
def test_a_rank_outside_of_its_world_is_refused(dataset, rank, world):
    with pytest.raises(InvalidError) as caught:
        dataset.to_torch().loader(2, rank=rank, world=world)

    assert str(caught.value) == f"There is no rank {rank} in a world of {world}."
    assert caught.value.hint == "Ranks count from 0 to world - 1."


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
@pytest.mark.parametrize("shuffle", [True, False])
def test_batches_are_equal_for_any_number_of_workers(dataset, chance, shuffle):
    view = dataset.to_torch(chance)

    batches = [
        plain(view.loader(5, shuffle=shuffle, seed=2, epoch=1, workers=workers)) for workers in (0, 1, 2)
    ]

    assert [len(targets) for _, targets in batches[0]] == [5, 5, 2]
    assert batches[1] == batches[0]
    assert batches[2] == batches[0]


def test_batches_are_equal_in_spawned_workers(dataset, chance):
    view = dataset.to_torch(chance)
    order = Shuffle(len(view), seed=2, epoch=1)

    spawned = DataLoader(view, 5, sampler=order, num_workers=1, multiprocessing_context="spawn")

    assert plain(spawned) == plain(view.loader(5, shuffle=True, seed=2, epoch=1))


@pytest.mark.parametrize(("address", "start"), [("s3://bucket/photos", "spawn"), ("/photos", None)])
def test_workers_of_a_bucket_are_spawned_since_its_client_does_not_survive_a_fork(
    dataset, tmp_path, address, start
):
    root = tmp_path / "workspace"
    there = Dataset(Store(Folder(root), root, address), dataset.version)

    loader = there.to_torch().loader(5, workers=1)

    context = loader.multiprocessing_context
    assert (context.get_start_method() if context else None) == start


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_workers_that_live_on_hear_of_the_next_epoch(dataset, chance):
    view = dataset.to_torch(chance)
    order = Shuffle(len(view), seed=2)
    loader = DataLoader(view, 5, sampler=order, num_workers=1, persistent_workers=True)
    first = plain(loader)

    order.set_epoch(1)

    assert plain(loader) == plain(view.loader(5, shuffle=True, seed=2, epoch=1)) != first


def test_a_picture_has_its_chance_whatever_its_batch_rank_and_split(dataset, chance):
    whole = dataset.to_torch(chance)
    part = dataset.to_torch(chance, split="train")

    drawn = [tuple(value) for values, _ in plain(whole.loader(12, seed=2, epoch=1)) for value in values]
    others = [
        tuple(value)
        for rank in (0, 1)
        for values, _ in plain(part.loader(2, shuffle=True, seed=2, epoch=1, rank=rank, world=2))
        for value in values
    ]

    assert len(others) == 9
    assert set(others) < set(drawn)


def test_another_seed_or_epoch_draws_anew(dataset, chance):
    view = dataset.to_torch(chance, split="test")

    drawn = [
        [value[1:] for values, _ in plain(view.loader(3, seed=seed, epoch=epoch)) for value in values]
        for seed, epoch in [(0, 0), (0, 1), (1, 0)]
    ]

    numbers = [number for values in drawn for value in values for number in value]
    assert len(numbers) == len(set(numbers)) == 27


def test_the_generators_of_the_caller_stay_as_they_are(dataset, chance):
    view = dataset.to_torch(chance)
    before = states()

    list(view.loader(4, shuffle=True))

    assert states() == before


def test_a_look_at_one_picture_draws_from_the_generators_of_the_caller(dataset, chance):
    view = dataset.to_torch(chance)
    torch.manual_seed(4)
    expected = float(torch.rand(()))

    torch.manual_seed(4)
    values, _ = view[3]

    assert float(values[1]) == expected


def test_pictures_without_a_transform_come_as_a_list(dataset):
    view = dataset.to_torch(split="test")

    ((images, targets),) = view.loader(3)

    assert [image.tobytes() for image in images] == [view[position][0].tobytes() for position in range(3)]
    assert targets.tolist() == view.targets


def test_the_last_batch_may_be_left_out(dataset):
    view = dataset.to_torch(np.array)

    sizes = [len(targets) for _, targets in view.loader(5, drop_last=True)]

    assert sizes == [5, 5]
