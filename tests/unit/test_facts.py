"""What is measured of a picture while it is decoded."""

from __future__ import annotations

import time
from calendar import timegm

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFilter

from regraft.data import facts, pictures
from regraft.errors import InvalidPicture


def exif(**values):
    found = Image.Exif()
    if "orientation" in values:
        found[ExifTags.Base.Orientation] = values["orientation"]
    if "taken" in values:
        found.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = values["taken"]
    return found


def photograph(size=(240, 180)):
    """Draw coarse squares with sharp edges and fine ones inside them."""
    random = np.random.default_rng(5)
    coarse = Image.fromarray(random.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return coarse.resize(size, Image.Resampling.NEAREST)


@pytest.mark.parametrize("kind", pictures.FORMATS)
def test_every_format_is_measured_with_its_size_and_bytes(draw, encoded, kind):
    data = encoded(draw(1, (48, 32)), kind)

    row = facts.measure(data)

    assert (row["format"], row["width"], row["height"], row["size"], row["orientation"]) == (
        pictures.FORMATS.index(kind),
        48,
        32,
        len(data),
        1,
    )


def test_brightness_contrast_and_chroma_are_those_of_the_pixels(encoded):
    half = np.zeros((40, 60), np.uint8)
    half[:, 30:] = 204
    red = Image.new("RGB", (40, 40), (255, 0, 0))

    grey, coloured = (facts.measure(encoded(image, "PNG")) for image in (Image.fromarray(half), red))

    assert [float(grey[name]) for name in ("brightness", "contrast", "chroma")] == pytest.approx(
        [0.4, 0.4, 0]
    )
    assert [float(coloured[name]) for name in ("contrast", "chroma")] == pytest.approx([0, 1])


def test_a_thumb_holds_the_means_of_its_parts(encoded):
    parts = np.random.default_rng(0).integers(0, 256, (16, 16), dtype=np.uint8)
    image = Image.fromarray(parts).resize((160, 96), Image.Resampling.NEAREST)

    row = facts.measure(encoded(image, "PNG"))

    assert row["thumb"].tolist() == parts.tolist()


def test_a_turned_picture_is_measured_upright(encoded):
    image = photograph()
    stored = image.transpose(Image.Transpose.ROTATE_90)

    row = facts.measure(encoded(stored, "PNG", exif=exif(orientation=6)))

    upright = facts.measure(encoded(image, "PNG"))
    assert (row["orientation"], row["width"], row["height"]) == (6, 240, 180)
    assert row["thumb"].tolist() == upright["thumb"].tolist()


def test_the_time_is_the_cameras_and_nothing_where_it_is_impossible(draw, encoded):
    said = ["2024:02:29 13:14:15", "2024:02:30 13:14:15", "    :  :     :  :  ", ""]

    taken = [int(facts.measure(encoded(draw(1), "JPEG", exif=exif(taken=text)))["taken"]) for text in said]

    assert taken == [timegm((2024, 2, 29, 13, 14, 15)), 0, 0, 0]


@pytest.mark.parametrize("contrast", [1.0, 0.2])
def test_sharpness_falls_with_blur_and_not_with_contrast(encoded, contrast):
    sharp = Image.blend(Image.new("RGB", (240, 180), "grey"), photograph(), contrast)
    blurs = [sharp.filter(ImageFilter.GaussianBlur(radius)) for radius in (0, 2, 4)]

    rows = [facts.measure(encoded(image, "JPEG", quality=85)) for image in blurs]

    at = [float(row["sharpness"]) for row in rows]
    assert at[0] > 0.8
    assert at[0] / 2 > at[1] > at[2]
    assert at[2] < 0.4


def test_large_and_small_copies_are_about_as_sharp(encoded):
    large = photograph((1600, 1200))

    rows = [
        facts.measure(encoded(large.resize(size), "JPEG", quality=90)) for size in ((1600, 1200), (400, 300))
    ]

    assert float(rows[0]["sharpness"]) == pytest.approx(float(rows[1]["sharpness"]), rel=0.25)


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (5, 5)])
def test_the_smallest_pictures_have_facts_too(draw, encoded, size):
    row = facts.measure(encoded(draw(1, size), "PNG"))

    assert np.isfinite([float(row[name]) for name in ("brightness", "contrast", "sharpness", "chroma")]).all()


@pytest.mark.parametrize("size", [(12, 5_000_000), (5_000_000, 12)])
def test_the_longest_strips_are_measured_in_little_time(encoded, size):
    data = encoded(Image.new("1", size), "PNG")
    began = time.process_time()

    row = facts.measure(data)

    assert ((int(row["width"]), int(row["height"])), float(row["brightness"])) == (size, 0)
    assert time.process_time() - began < 4  # before, it took nine


@pytest.mark.parametrize("spoil", [lambda data: data[:-200], lambda data: b"", lambda data: b"%PDF" + data])
def test_what_the_gate_refuses_is_refused_with_the_same_words(encoded, spoil):
    data = spoil(encoded(photograph(), "JPEG"))
    with pytest.raises(InvalidPicture) as refused:
        pictures.check(data)

    with pytest.raises(InvalidPicture) as caught:
        facts.measure(data)

    assert str(caught.value) == str(refused.value)
