"""The feature cache: computed once, under all that the features depend on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from regraft.data.cache import FeatureCache, FeatureKey
from regraft.records import InputSpec, digest

SPEC = InputSpec(size=224, crop=0.875, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic")
KEY = FeatureKey(
    trunk="a" * 64,
    architecture="net",
    input=SPEC,
    precision="float32",
    libraries={"torch": "2.9", "pillow": "12"},
    processor="some",
)
NAMES = [digest(str(index).encode()) for index in range(10)]
FEATURES = np.random.default_rng(0).normal(size=(10, 7)).astype(np.float32)


def test_what_was_added_is_read_back_bit_for_bit(tmp_path):
    FeatureCache(tmp_path, KEY).add(NAMES, FEATURES)

    found = FeatureCache(tmp_path, KEY).read(NAMES)

    assert found.keys() == set(NAMES)
    assert np.array_equal(np.stack([found[name] for name in NAMES]), FEATURES)


def test_only_what_is_wanted_and_known_is_returned(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.add(NAMES[:6], FEATURES[:6])

    found = cache.read([NAMES[2], NAMES[8]])

    assert found.keys() == {NAMES[2]}
    assert np.array_equal(found[NAMES[2]], FEATURES[2])


def test_an_empty_cache_has_nothing(tmp_path):
    assert FeatureCache(tmp_path, KEY).read(NAMES) == {}


def test_every_part_that_was_added_is_found(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    for start in (0, 3, 6):
        cache.add(NAMES[start : start + 3], FEATURES[start : start + 3])

    found = cache.read(iter(NAMES))

    assert found.keys() == set(NAMES[:9])
    assert len(parts(tmp_path)) == 3


def test_adding_the_same_features_again_changes_nothing(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.add(NAMES, FEATURES)
    before = parts(tmp_path)

    cache.add(NAMES, FEATURES)

    assert parts(tmp_path) == before


def test_slices_and_other_layouts_of_memory_are_kept_right(tmp_path):
    cache = FeatureCache(tmp_path, KEY)

    cache.add(NAMES, np.asfortranarray(FEATURES)[:, ::2])

    found = cache.read(NAMES)
    assert np.array_equal(np.stack([found[name] for name in NAMES]), FEATURES[:, ::2])


@pytest.mark.parametrize(
    "change",
    [
        {"trunk": "b" * 64},
        {"architecture": "other"},
        {"precision": "bfloat16"},
        {"precision": "float32+channels_last"},
        {"libraries": {"torch": "2.10", "pillow": "12"}},
        {"input": SPEC.model_copy(update={"size": 256})},
        {"input": SPEC.model_copy(update={"crop": 0.9})},
        {"input": SPEC.model_copy(update={"mean": (0.5, 0.5, 0.5)})},
        {"input": SPEC.model_copy(update={"interpolation": "bilinear"})},
        {"processor": "another"},
        {"prepare": KEY.prepare + 1},
    ],
)
def test_features_are_not_found_under_another_key(tmp_path, change):
    FeatureCache(tmp_path, KEY).add(NAMES, FEATURES)

    found = FeatureCache(tmp_path, KEY.model_copy(update=change)).read(NAMES)

    assert found == {}


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"\0" + data[1:]])
def test_a_damaged_part_is_not_used_and_is_removed(tmp_path, damage):
    cache = FeatureCache(tmp_path, KEY)
    cache.add(NAMES[:5], FEATURES[:5])
    [bad] = parts(tmp_path)
    cache.add(NAMES[5:], FEATURES[5:])
    bad.chmod(0o644)
    bad.write_bytes(damage(bad.read_bytes()))

    found = cache.read(NAMES)

    assert found.keys() == set(NAMES[5:])
    assert bad not in parts(tmp_path)


def test_features_lost_by_damage_can_be_added_again(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.add(NAMES, FEATURES)
    [bad] = parts(tmp_path)
    bad.chmod(0o644)
    bad.write_bytes(b"")
    cache.read(NAMES)

    cache.add(NAMES, FEATURES)

    assert cache.read(NAMES).keys() == set(NAMES)


def test_a_cache_that_is_emptied_while_it_is_read_has_nothing(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, KEY)
    cache.add(NAMES, FEATURES)
    read_bytes = Path.read_bytes

    def empty_first(path):
        path.unlink()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", empty_first)

    assert cache.read(NAMES) == {}


def parts(root):
    return sorted(root.rglob("*.safetensors"))
