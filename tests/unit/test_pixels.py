"""Decoded pictures: made once, checked when read, made anew where they are damaged."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from regraft import durable
from regraft.data import pixel_files, pixels
from regraft.data.augment.cutting import cut_each
from regraft.data.augment.pipeline import build
from regraft.data.augment.steps import Cut
from regraft.data.draws import identities
from regraft.data.pixels import PixelKey, open_pixels
from regraft.data.transforms import prepare, shrink
from regraft.errors import InvalidPicture, StorageError
from regraft.progress import silent
from regraft.records import InputSpec, Row, digest

SPEC = InputSpec(size=28, crop=0.875, mean=(0.5, 0.4, 0.3), std=(1, 2, 3), interpolation="bicubic")
WHOLE = PixelKey.whole(32, {"pillow": "12"})
SIZES = [(100, 70), (40, 64), (20, 30), (32, 32), (31, 500), (64, 48)]


class Files:
    """The bytes of some pictures, and how often each was read."""

    def __init__(self, bodies):
        self._bodies = {digest(body): body for body in bodies}
        self.read_digests = []

    def __call__(self, row):
        self.read_digests.append(row.digest)
        return self._bodies[row.digest]


@pytest.fixture
def bodies(draw, encoded):
    return [encoded(draw(seed, size), "JPEG" if seed % 2 else "PNG") for seed, size in enumerate(SIZES)]


@pytest.fixture
def rows(bodies):
    return [row_of(body, size, index) for index, (body, size) in enumerate(zip(bodies, SIZES, strict=True))]


def row_of(body, size, index=0):
    return Row(
        key=f"{index}.png",
        digest=digest(body),
        pack="",
        offset=0,
        length=len(body),
        label="a",
        split="train",
        width=size[0],
        height=size[1],
    )


def same(opened, expected):
    return [np.array_equal(opened.picture(place), picture) for place, picture in enumerate(expected)]


def parts(root):
    return sorted(root.rglob("*.pixels"))


def test_pictures_are_those_that_decoding_gives(tmp_path, bodies, rows):
    opened = open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)

    expected = [shrink(body, 32) for body in bodies]
    assert len(opened) == len(rows)
    assert same(opened, expected) == [True] * len(rows)
    assert opened.shapes().tolist() == [list(picture.shape[:2]) for picture in expected]
    assert opened.shapes(np.array([3, 0])).tolist() == [[32, 32], list(expected[0].shape[:2])]


def test_squares_are_those_that_evaluation_sees(tmp_path, bodies, rows):
    opened = open_pixels(tmp_path, PixelKey.prepared(SPEC, {}), rows, Files(bodies), silent)

    assert same(opened, [prepare(body, SPEC) for body in bodies]) == [True] * len(rows)


def test_what_is_done_to_bytes_later_makes_no_other_squares(tmp_path):
    other = SPEC.model_copy(update={"mean": (0.1, 0.1, 0.1), "std": (2.0, 2.0, 2.0)})

    assert PixelKey.prepared(other, {}) == PixelKey.prepared(SPEC, {})
    assert PixelKey.prepared(SPEC.model_copy(update={"resize": "pad"}), {}) != PixelKey.prepared(SPEC, {})


def test_a_picture_is_decoded_once_even_where_it_comes_twice(tmp_path, bodies, rows):
    files = Files(bodies)
    rows = [*rows, rows[2]]

    first = open_pixels(tmp_path, WHOLE, rows, files, silent)
    again = open_pixels(tmp_path, WHOLE, rows, files, silent)

    assert sorted(files.read_digests) == sorted(row.digest for row in rows[:-1])
    assert np.array_equal(again.picture(6), first.picture(2))


def test_only_what_is_missing_is_decoded(tmp_path, bodies, rows):
    open_pixels(tmp_path, WHOLE, rows[:3], Files(bodies), silent)
    files = Files(bodies)

    opened = open_pixels(tmp_path, WHOLE, rows[::-1], files, silent)

    assert sorted(files.read_digests) == sorted(row.digest for row in rows[3:])
    assert same(opened, [shrink(body, 32) for body in bodies[::-1]]) == [True] * len(rows)


def test_another_key_has_other_pictures(tmp_path, bodies, rows):
    open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)

    opened = open_pixels(tmp_path, PixelKey.whole(16, {"pillow": "12"}), rows, Files(bodies), silent)

    assert opened.shapes().min(axis=1).tolist() == [16] * len(rows)


def test_progress_counts_what_is_decoded(tmp_path, bodies, rows):
    told = []

    open_pixels(tmp_path, WHOLE, rows, Files(bodies), lambda *words: told.append(words))

    assert told == [("Decoding pictures", done, len(rows)) for done in range(1, len(rows) + 1)]


def test_many_pictures_are_spread_over_files(tmp_path, bodies, rows, monkeypatch):
    monkeypatch.setattr(pixel_files, "_ENOUGH", 8000)

    opened = open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)

    assert len(parts(tmp_path)) > 2
    assert same(opened, [shrink(body, 32) for body in bodies]) == [True] * len(rows)


@pytest.mark.parametrize("place", [0, 20_000])
def test_a_damaged_picture_is_decoded_anew_and_its_file_made_anew(tmp_path, bodies, rows, place):
    expected = [shrink(body, 32) for body in bodies]
    open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)
    [path] = parts(tmp_path)
    flip_bit(path, place)
    files = Files(bodies)

    damaged = open_pixels(tmp_path, WHOLE, rows, files, silent)

    assert same(damaged, expected) == [True] * len(rows)
    assert len(files.read_digests) == 1
    assert parts(tmp_path) == []
    assert same(open_pixels(tmp_path, WHOLE, rows, files, silent), expected) == [True] * len(rows)
    assert len(files.read_digests) == 1 + len(rows)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes()[1000:]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff" * 100),
        lambda path: flip_bit(path, -100),
    ],
    ids=["cut at the end", "cut at the start", "empty", "rubbish", "index"],
)
def test_a_damaged_file_is_made_anew(tmp_path, bodies, rows, damage):
    open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)
    [path] = parts(tmp_path)
    damage(path)
    files = Files(bodies)

    opened = open_pixels(tmp_path, WHOLE, rows, files, silent)

    assert same(opened, [shrink(body, 32) for body in bodies]) == [True] * len(rows)
    assert path not in parts(tmp_path)


def test_a_picture_cannot_be_changed_in_the_cache(tmp_path, bodies, rows):
    opened = open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)

    with pytest.raises(ValueError, match="read-only"):
        opened.picture(0)[:] = 0


@pytest.mark.parametrize("failpoint", ["cache.write=ENOSPC", "cache.flush=ENOSPC", "cache.publish=EACCES"])
def test_where_the_disk_has_no_room_memory_serves(tmp_path, bodies, rows, monkeypatch, failpoint):
    fail(monkeypatch, failpoint)

    opened = open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)

    assert same(opened, [shrink(body, 32) for body in bodies]) == [True] * len(rows)
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "lock"] == []


def test_where_memory_has_no_room_either_the_person_is_told(tmp_path, bodies, rows, monkeypatch):
    fail(monkeypatch, "cache.write=ENOSPC")
    monkeypatch.setattr(pixels, "free_memory", lambda: 1000)

    with pytest.raises(StorageError) as caught:
        open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)

    assert str(caught.value) == "Neither the disk nor memory has room for the decoded pictures (0.0 GiB)."
    assert "data.cache_side" in caught.value.hint


def test_a_picture_that_cannot_be_decoded_any_more_is_named(tmp_path, bodies, rows):
    rows = [*rows, row_of(b"no picture", (8, 8), 99)]

    with pytest.raises(InvalidPicture) as caught:
        open_pixels(tmp_path, WHOLE, rows, Files([*bodies, b"no picture"]), silent)

    assert str(caught.value) == "Picture '99.png' cannot be decoded any more: not a picture: plain text."


def test_of_two_at_once_one_decodes_and_the_other_waits(tmp_path, bodies, rows):
    files, told, opened = Files(bodies), [], {}

    def work(name):
        opened[name] = open_pixels(tmp_path, WHOLE, rows, files, lambda *words: told.append(words))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(files.read_digests) == sorted(row.digest for row in rows)
    assert len(parts(tmp_path)) == 1
    assert [all(same(one, [shrink(body, 32) for body in bodies])) for one in opened.values()] == [True] * 4


def test_what_a_killed_writer_left_is_cleared_away(tmp_path, bodies, rows):
    code = """
import os, sys
from pathlib import Path
from regraft.data.pixel_files import PixelFiles
import numpy as np
os.environ["REGRAFT_FAILPOINTS"] = "cache.publish=kill"
PixelFiles(Path(sys.argv[1])).write(iter([("a" * 64, np.zeros((4, 4, 3), np.uint8))]))
"""
    open_pixels(tmp_path, WHOLE, rows[:1], Files(bodies), silent)
    [folder] = {path.parent for path in parts(tmp_path)}
    ended = subprocess.run([sys.executable, "-c", code, str(folder)], check=False, timeout=120)
    assert ended.returncode == -9
    assert len(list(folder.glob(".draft-*"))) == 1

    open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)

    assert list(folder.glob(".draft-*")) == []


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_parts_cut_on_a_device_are_those_of_main_memory(tmp_path, draw, encoded, interpolation):
    photo = np.cumsum(np.random.default_rng(0).normal(0, 9, (90, 120, 3)), axis=1) % 256
    body = encoded(Image.fromarray(photo.astype(np.uint8)), "PNG")
    rows = [row_of(body, (120, 90))]
    opened = open_pixels(tmp_path, PixelKey.whole(90, {}), rows, Files([body]), silent)
    boxes = np.array([[3, 5, 100, 80], [50, 20, 11, 30], [-8, -3, 40, 40], [100, 70, 40, 40], [0, 0, 32, 32]])
    places = np.zeros(len(boxes), dtype=np.int64)
    how = Cut(size=32, interpolation=interpolation, fill=(10, 200, 90))

    one = opened.cut(places, boxes, how)
    many = opened.resident("cpu").cut(places, boxes, how)

    difference = (one.int() - many.int()).abs()
    assert many.shape == (5, 3, 32, 32)
    assert difference.max() <= 3
    assert difference.float().mean() < 0.4
    assert torch.equal(one[4], many[4])


def test_a_pipeline_sees_the_same_on_a_device_as_in_main_memory(tmp_path, bodies, rows):
    opened = open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)
    steps = build(({"name": "random-resized-crop", "scale": [0.35, 1.0]}, "flip"), size=24)
    places = np.array([4, 0, 2, 5])
    who = identities([rows[place].digest for place in places])

    one, many = (steps(source, places, who, seed=3, epoch=1) for source in (opened, opened.resident("cpu")))

    assert (one.int() - many.int()).abs().float().mean() < 0.4


def test_nothing_is_cut_out_of_no_pictures(tmp_path, bodies, rows):
    opened = open_pixels(tmp_path, WHOLE, rows, Files(bodies), silent)
    none = np.zeros(0, dtype=np.int64)

    cuts = [
        source.cut(none, np.zeros((0, 4), np.int64), Cut(size=8))
        for source in (opened, opened.resident("cpu"))
    ]

    assert [cut.shape for cut in cuts] == [(0, 3, 8, 8)] * 2


def test_a_part_is_what_torchvision_cuts_and_resizes():
    from regraft.hub.operators import register

    register()
    from torchvision.transforms.v2 import functional

    picture = np.random.default_rng(0).integers(0, 256, (61, 47, 3), dtype=np.uint8)
    boxes = np.array([[2, 3, 40, 50], [10, 10, 7, 5], [0, 0, 47, 61]])

    cut = cut_each([lambda: picture] * 3, boxes, Cut(size=24))

    image = torch.from_numpy(picture).permute(2, 0, 1)
    expected = [
        functional.resized_crop(image, top, left, height, width, [24, 24], antialias=True)
        for left, top, width, height in boxes.tolist()
    ]
    assert (cut.int() - torch.stack(expected).int()).abs().max() <= 1


def fail(monkeypatch, failpoint):
    monkeypatch.setenv("REGRAFT_FAILPOINTS", failpoint)
    monkeypatch.setattr(durable, "_passages", Counter())


def flip_bit(path, place):
    body = bytearray(path.read_bytes())
    body[place] ^= 4
    path.unlink()
    path.write_bytes(body)
