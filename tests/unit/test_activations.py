"""Activations: computed once for each picture, checked before they are used, kept only where it pays."""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter

import numpy as np
import pytest
import torch

from regraft import durable
from regraft.data import pixel_files
from regraft.data.activations import ActivationKey, open_activations, size_of, worth
from regraft.data.pixels import PixelKey
from regraft.errors import StorageError
from regraft.progress import silent
from regraft.records import InputSpec, digest

SPEC = InputSpec(size=28, crop=0.875, mean=(0.5, 0.4, 0.3), std=(1, 2, 3), interpolation="bicubic")
KEY = ActivationKey(
    trunk="a" * 64,
    architecture="net",
    boundary="trunk.layer2",
    shape=(4, 3, 2),
    number="float32",
    pixels=PixelKey.prepared(SPEC, {"pillow": "12"}),
    input=SPEC,
    precision="float32",
    libraries={"torch": "2.9"},
    processor="some",
)
NAMES = [digest(str(index).encode()) for index in range(10)]
VALUES = torch.randn(10, 4, 3, 2, generator=torch.Generator().manual_seed(0))


class Computing:
    """Gives the activations of places in a list, three at a time, and counts what it was asked for."""

    def __init__(self, values=VALUES):
        self.values = values
        self.places = []

    def __call__(self, places):
        self.places += places
        for start in range(0, len(places), 3):
            yield self.values[places[start : start + 3]]


def test_activations_come_back_bit_for_bit_in_any_order(tmp_path):
    opened = open_activations(tmp_path, KEY, NAMES, Computing(), silent)

    assert (len(opened), opened.shape) == (10, (4, 3, 2))
    for places in ([0, 1, 2], [7, 3, 3, 0], []):
        assert torch.equal(opened.take(np.array(places, dtype=np.int64)), VALUES[places])


@pytest.mark.parametrize("number", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("shape", [(5,), (7, 3), (4, 3, 2)])
def test_numbers_and_shapes_of_every_kind_are_kept(tmp_path, number, shape):
    dtype = getattr(torch, number)
    values = torch.randn(10, *shape).to(dtype)
    values[0].fill_(torch.inf)

    key = KEY.model_copy(update={"shape": shape, "number": number})
    taken = open_activations(tmp_path, key, NAMES, Computing(values), silent).take(np.arange(10))

    assert taken.dtype is dtype
    assert torch.equal(taken, values)


def test_other_layouts_of_memory_are_kept_right(tmp_path):
    strange = VALUES.to(memory_format=torch.channels_last)

    taken = open_activations(tmp_path, KEY, NAMES, Computing(strange), silent).take(np.arange(10))

    assert torch.equal(taken, VALUES)


def test_what_a_batch_is_changed_to_does_not_reach_the_cache(tmp_path):
    opened = open_activations(tmp_path, KEY, NAMES, Computing(), silent)

    opened.take(np.arange(10)).zero_()

    assert torch.equal(opened.take(np.arange(10)), VALUES)


def test_only_what_is_missing_is_computed_and_each_picture_once(tmp_path):
    open_activations(tmp_path, KEY, NAMES[:4], Computing(), silent)
    computing = Computing(VALUES.flip(0).repeat(2, 1, 1, 1))

    opened = open_activations(tmp_path, KEY, NAMES[::-1] * 2, computing, silent)

    assert computing.places == [0, 1, 2, 3, 4, 5]
    assert torch.equal(opened.take(np.arange(20)), computing.values)


@pytest.mark.parametrize(
    "change",
    [
        {"trunk": "b" * 64},
        {"adapter": "c" * 64},
        {"architecture": "other"},
        {"boundary": "trunk.layer3"},
        {"shape": (2, 3, 4)},
        {"number": "bfloat16"},
        {"pixels": PixelKey.whole(32, {"pillow": "12"})},
        {"input": SPEC.model_copy(update={"mean": (0.5, 0.5, 0.5)})},
        {"precision": "float32+channels_last"},
        {"libraries": {"torch": "2.10"}},
        {"processor": "another"},
    ],
)
def test_activations_are_not_found_under_another_key(tmp_path, change):
    open_activations(tmp_path, KEY, NAMES, Computing(), silent)
    other = KEY.model_copy(update=change)
    computing = Computing(VALUES.view(10, *other.shape) + 1)

    taken = open_activations(tmp_path, other, NAMES, computing, silent).take(np.arange(10))

    assert computing.places == list(range(10))
    assert torch.equal(taken, computing.values.to(taken.dtype))


def test_many_activations_are_spread_over_files(tmp_path, monkeypatch):
    monkeypatch.setattr(pixel_files, "_ENOUGH", 300)

    opened = open_activations(tmp_path, KEY, NAMES, Computing(), silent)

    assert len(parts(tmp_path)) == 3
    assert torch.equal(opened.take(np.arange(10)), VALUES)


@pytest.mark.parametrize(
    "damage",
    [
        lambda body: body[:-1],
        lambda body: b"",
        lambda body: body[:50] + bytes([body[50] ^ 1]) + body[51:],
        lambda body: body[:-100] + bytes([body[-100] ^ 1]) + body[-99:],
    ],
    ids=["cut", "empty", "a number", "the index"],
)
def test_damage_is_found_before_training_and_computed_anew(tmp_path, damage, monkeypatch):
    monkeypatch.setattr(pixel_files, "_ENOUGH", 300)
    open_activations(tmp_path, KEY, NAMES, Computing(), silent)
    bad = parts(tmp_path)[0]
    held = bad.stat().st_size
    bad.chmod(0o644)
    bad.write_bytes(damage(bad.read_bytes()))
    computing = Computing()

    opened = open_activations(tmp_path, KEY, NAMES, computing, silent)

    assert held > 300
    assert len(computing.places) in (2, 4)
    assert bad not in parts(tmp_path)
    assert torch.equal(opened.take(np.arange(10)), VALUES)
    assert torch.equal(open_activations(tmp_path, KEY, NAMES, none, silent).take(np.arange(10)), VALUES)


def test_activations_serve_while_the_cache_is_emptied(tmp_path):
    opened = open_activations(tmp_path, KEY, NAMES, Computing(), silent)

    shutil.rmtree(tmp_path / "activations")

    assert torch.equal(opened.take(np.arange(10)), VALUES)


def test_of_several_at_once_one_computes_and_the_others_wait(tmp_path):
    computing, taken = Computing(), Counter()

    def work():
        opened = open_activations(tmp_path, KEY, NAMES, computing, silent)
        taken[torch.equal(opened.take(np.arange(10)), VALUES)] += 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert computing.places == list(range(10))
    assert taken == {True: 4}


def test_progress_counts_what_is_computed(tmp_path):
    told = []

    open_activations(tmp_path, KEY, NAMES, Computing(), lambda *words: told.append(words))

    assert told == [("Computing what is frozen", done, 10) for done in (3, 6, 9, 10)]


def test_a_disk_without_room_is_known_before_anything_is_computed(tmp_path, monkeypatch):
    facts = os.statvfs(tmp_path)
    needed = size_of(KEY.shape, 10, "float32")
    room = os.statvfs_result((1, 1, *facts[2:4], needed, *facts[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: room)
    computing = Computing()

    with pytest.raises(StorageError) as caught:
        open_activations(tmp_path, KEY, NAMES, computing, silent)

    assert str(caught.value).startswith("The disk has no room for ")
    assert computing.places == []


def test_a_disk_that_fills_meanwhile_leaves_nothing_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "cache.flush=ENOSPC")
    monkeypatch.setattr(durable, "_passages", Counter())

    with pytest.raises(StorageError):
        open_activations(tmp_path, KEY, NAMES, Computing(), silent)

    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["lock"]


def test_the_room_that_activations_take_is_known_beforehand(tmp_path):
    open_activations(tmp_path, KEY, NAMES, Computing(), silent)

    [part] = parts(tmp_path)
    assert size_of((4, 3, 2), 10, "float32") == VALUES.nbytes == 960
    assert size_of((4, 3, 2), 10, "bfloat16") == 480
    assert part.stat().st_size == 960 + 10 * pixel_files.ENTRY.itemsize + 40


#: Of a ResNet-18 with three stages frozen: see the reference on performance.
MEASURED = {"seconds_lower": 1.5, "seconds_upper": 0.79, "seconds_read": 0.01, "bytes_needed": 10**8}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({"epochs": 1}, False),
        ({"epochs": 2}, True),
        ({"seconds_read": 1.6}, False),
        ({"seconds_lower": 0.01}, False),
        ({"bytes_free": 2 * 10**8}, True),
        ({"bytes_free": 2 * 10**8 - 1}, False),
    ],
)
def test_activations_are_kept_where_that_saves_time_and_leaves_room(change, expected):
    facts = {**MEASURED, "epochs": 10, "bytes_free": 10**9, **change}

    assert worth(**facts) is expected


def none(places):
    raise AssertionError(f"{places} should have been there")


def parts(root):
    return sorted(root.rglob("*.pixels"))
