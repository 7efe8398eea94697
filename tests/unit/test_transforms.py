"""What a net sees of a picture."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from regraft.data.loading import normalise, normalise_batch
from regraft.data.transforms import prepare, prepare_all, shrink
from regraft.errors import InvalidPicture
from regraft.records import InputSpec

SPEC = InputSpec(size=28, crop=0.875, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic")
SIZES = [(24, 16), (16, 24), (33, 31), (640, 480), (480, 640), (32, 32), (1, 1), (1, 2), (1000, 3), (3, 1000)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_any_picture_becomes_a_square_of_bytes(draw, encoded, size, kind, interpolation):
    spec = SPEC.model_copy(update={"interpolation": interpolation})

    seen = prepare(encoded(draw(1, size), kind), spec)

    assert (seen.shape, seen.dtype) == ((28, 28, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "crop", "short"),
    [(28, 0.875, 32), (10, 0.9, 11), (224, 0.875, 256), (224, 0.95, 235), (240, 0.965, 248), (32, 1.0, 32)],
)
def test_the_short_side_becomes_the_size_over_the_crop_rounded_down(draw, encoded, size, crop, short):
    spec = SPEC.model_copy(update={"size": size, "crop": crop})
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (short, short, 3), dtype=np.uint8))
    edge = round((short - size) / 2)

    seen = prepare(encoded(picture, "PNG"), spec)

    middle = picture.crop((edge, edge, edge + size, edge + size))
    assert np.array_equal(seen, np.asarray(middle))


@pytest.mark.parametrize("size", [(32, 60), (60, 32)])
def test_the_middle_of_the_long_side_is_seen(draw, encoded, size):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    left, top = ((side - 28) // 2 for side in size)

    seen = prepare(encoded(picture, "PNG"), SPEC)

    assert np.array_equal(seen, np.asarray(picture.crop((left, top, left + 28, top + 28))))


@pytest.mark.parametrize("size", [(100, 70), (70, 100), (45, 64), (500, 375), (333, 500)])
def test_the_picture_is_the_one_that_torchvision_prepares(draw, encoded, size):
    from regraft.hub.operators import register

    register()
    from torchvision.transforms import CenterCrop, InterpolationMode, Resize

    picture = draw(1, size)
    resized = Resize(32, interpolation=InterpolationMode.BICUBIC)(picture)
    expected = CenterCrop(28)(resized)

    seen = prepare(encoded(picture, "PNG"), SPEC)

    assert np.array_equal(seen, np.asarray(expected))


def test_a_jpeg_decoded_small_is_close_to_the_whole_one(encoded):
    slope = np.linspace(0, 255, 400).astype(np.uint8)
    picture = Image.fromarray(np.stack([slope[None].repeat(300, 0)] * 3, axis=-1))

    small, whole = (prepare(encoded(picture, kind), SPEC).astype(int) for kind in ("JPEG", "PNG"))

    assert np.abs(small - whole).max() <= 8


def test_of_a_very_long_picture_the_middle_is_seen(encoded):
    stripes = np.zeros((3, 1000, 3), dtype=np.uint8)
    stripes[:, 499:501] = 255

    wide, tall = (
        prepare(encoded(Image.fromarray(pixels), "PNG"), SPEC) for pixels in (stripes, stripes.swapaxes(0, 1))
    )

    assert wide[14, 14].min() > 200
    assert wide[:, (0, -1)].max() < 50
    assert np.array_equal(wide, tall.swapaxes(0, 1))


@pytest.mark.parametrize("size", [(60, 40), (40, 60), (1000, 3), (9, 9), (28, 28)])
def test_a_padded_picture_is_there_whole_between_grey_borders(encoded, size):
    spec = SPEC.model_copy(update={"resize": "pad"})
    picture = Image.new("RGB", size, (200, 10, 10))

    seen = prepare(encoded(picture, "PNG"), spec)

    width, height = (max(1, round(28 * side / max(size))) for side in size)
    left, top = (28 - width) // 2, (28 - height) // 2
    expected = np.full((28, 28, 3), 114, dtype=np.uint8)
    expected[top : top + height, left : left + width] = (200, 10, 10)
    assert np.array_equal(seen, expected)


def test_a_squashed_picture_is_there_whole(draw, encoded):
    spec = SPEC.model_copy(update={"resize": "squash"})
    picture = draw(1, (90, 40))

    seen = prepare(encoded(picture, "PNG"), spec)

    assert np.array_equal(seen, np.asarray(picture.resize((28, 28), Image.Resampling.BICUBIC)))


@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_a_picture_that_is_shown_whole_does_not_depend_on_the_crop(draw, encoded, resize):
    data = encoded(draw(1, (90, 40)), "JPEG")

    seen = [
        prepare(data, SPEC.model_copy(update={"resize": resize, "crop": crop})) for crop in (0.875, 0.5, 1.0)
    ]

    assert [np.array_equal(one, seen[0]) for one in seen] == [True] * 3


@pytest.mark.parametrize("resize", ["pad", "squash"])
def test_a_large_jpeg_shown_whole_is_close_to_the_same_picture_without_loss(encoded, resize):
    slope = np.linspace(0, 255, 800).astype(np.uint8)
    picture = Image.fromarray(np.stack([slope[None].repeat(500, 0)] * 3, axis=-1))
    spec = SPEC.model_copy(update={"resize": resize})

    small, whole = (prepare(encoded(picture, kind), spec).astype(int) for kind in ("JPEG", "PNG"))

    assert np.abs(small - whole).max() <= 8


@pytest.mark.parametrize(
    ("size", "side", "shape"),
    [
        ((120, 90), 30, (30, 40)),
        ((90, 120), 30, (40, 30)),
        ((20, 25), 30, (25, 20)),
        ((30, 30), 30, (30, 30)),
        ((900, 60), 30, (30, 240)),
        ((400, 2), 30, (2, 16)),
    ],
)
def test_a_shrunk_picture_keeps_its_proportions_and_never_grows(draw, encoded, size, side, shape):
    picture = draw(1, size)

    seen = shrink(encoded(picture, "PNG"), side)

    assert seen.shape == (*shape, 3)
    if min(size) <= side and max(size) <= 8 * min(size):
        assert np.array_equal(seen, np.asarray(picture))


def test_a_large_jpeg_is_shrunk_like_the_same_picture_without_loss(encoded):
    slope = np.linspace(0, 255, 800).astype(np.uint8)
    picture = Image.fromarray(np.stack([slope[None].repeat(480, 0)] * 3, axis=-1))

    small, whole = (shrink(encoded(picture, kind), 60).astype(int) for kind in ("JPEG", "PNG"))

    assert small.shape == whole.shape == (60, 100, 3)
    assert np.abs(small - whole).max() <= 8


def test_batches_of_either_layout_are_normalised_alike():
    spec = SPEC.model_copy(update={"mean": (0.5, 0.4, 0.3), "std": (0.1, 0.2, 0.3)})
    bytes_ = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 28, 28, 3), dtype=np.uint8))

    by_row, by_colour = (
        normalise(bytes_, spec),
        normalise_batch(bytes_.permute(0, 3, 1, 2).contiguous(), spec),
    )

    expected = (bytes_.permute(0, 3, 1, 2).double() / 255 - torch.tensor(spec.mean).view(3, 1, 1)) / (
        torch.tensor(spec.std).view(3, 1, 1)
    )
    assert torch.equal(by_row, by_colour)
    assert torch.allclose(by_row.double(), expected, atol=1e-5)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the memory of a process")
def test_a_picture_as_thin_as_a_thread_takes_no_more_memory_than_others(tmp_path, encoded):
    path = tmp_path / "thread.png"
    path.write_bytes(encoded(Image.new("L", (2_000_000, 1), 77), "PNG"))
    code = """
import resource, sys
from pathlib import Path
from regraft.data.transforms import prepare
from regraft.records import InputSpec
data = Path(sys.argv[1]).read_bytes()
resource.setrlimit(resource.RLIMIT_AS, (2 * 2**30, 2 * 2**30))
spec = InputSpec(size=224, crop=0.875, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic")
print(prepare(data, spec).shape, set(prepare(data, spec).ravel().tolist()))
"""

    child = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, timeout=120, check=False
    )

    assert (child.returncode, child.stdout) == (0, "(224, 224, 3) {77}\n"), child.stderr


def test_pictures_are_prepared_in_order_with_the_reason_in_place_of_a_bad_one(draw, encoded):
    good = [encoded(draw(seed), "PNG") for seed in range(100)]
    reads = [partial(bytes, data) for data in good]
    reads[40] = partial(bytes, b"")

    seen = list(prepare_all(reads, SPEC, ahead=8))

    bad = seen.pop(40)
    assert isinstance(bad, InvalidPicture)
    assert str(bad) == "empty file."
    assert np.array_equal(np.stack(seen), np.stack([prepare(data, SPEC) for data in good[:40] + good[41:]]))


def test_a_picture_is_prepared_the_same_alone_and_among_others(draw, encoded):
    data = encoded(draw(5, (300, 200)), "JPEG")

    among = list(prepare_all([partial(bytes, data)] * 9, SPEC))

    assert [np.array_equal(seen, prepare(data, SPEC)) for seen in among] == [True] * 9
