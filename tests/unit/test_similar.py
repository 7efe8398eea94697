"""Which pictures look alike, and which only resemble each other."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageEnhance

from regraft.data import facts, similar
from regraft.data.sources.planted import planted


@pytest.fixture(scope="module")
def photographs():
    """Sixty drawn photographs of five classes."""
    entries = planted(defects=False, seed=3).entries[:180:3]
    return [Image.open(BytesIO(entry.read())).convert("RGB") for entry in entries]


def thumb(image, quality=90):
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return facts.measure(buffer.getvalue())["thumb"]


def thumbs(images, **options):
    return np.stack([thumb(image, **options) for image in images])


def crop(image, part):
    x, y = round(image.width * part), round(image.height * part)
    return image.crop((x, y, image.width - x, image.height - y))


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda image: image, 1.0),
        (lambda image: image.resize((image.width // 2, image.height // 2)), 0.95),
        (lambda image: image.resize((image.width * 2, image.height * 2)), 1.0),
        (lambda image: ImageEnhance.Brightness(image).enhance(1.1), 0.95),
        (lambda image: crop(image, 0.01), 0.9),
        *((lambda image, turn=turn: image.transpose(turn), 0.95) for turn in Image.Transpose),
    ],
)
def test_a_changed_copy_is_found_and_nothing_else(photographs, change, least):
    originals, count = thumbs(photographs), len(photographs)
    copies = thumbs([change(image) for image in photographs], quality=50)

    pairs = similar.pairs(np.concatenate([originals, copies]))

    wanted = {(number, number + count) for number in range(count)}
    found = {(int(one), int(other)) for one, other in pairs}
    assert found <= wanted
    assert len(found) >= least * count


def test_pairs_are_those_that_the_exact_test_finds(photographs):
    turned = [image.transpose(Image.Transpose.TRANSVERSE) for image in photographs[:20]]
    all_ = thumbs([*photographs, *turned])

    pairs = similar.pairs(all_)

    exact = [
        [one, one + 1 + int(other)]
        for one in range(len(all_) - 1)
        for other in np.flatnonzero(similar.alike(all_[one : one + 1], all_[one + 1 :]))
    ]
    assert len(exact) >= 19
    assert pairs.tolist() == exact


def test_a_token_of_some_turn_finds_the_copy(photographs):
    known = similar.tokens(thumbs(photographs))
    copies = thumbs([image.transpose(Image.Transpose.ROTATE_90) for image in photographs], quality=60)

    asked = similar.query_tokens(copies)

    assert asked.shape == (len(photographs), 8, similar.BANDS)
    met = [bool(np.isin(known[number], asked[number]).any()) for number in range(len(photographs))]
    assert all(met)


def test_tokens_of_one_band_are_never_those_of_another(photographs):
    tokens = similar.tokens(thumbs(photographs))

    assert len(np.unique(tokens >> np.uint64(32))) == similar.BANDS
    assert (tokens >> np.uint64(32) == np.arange(similar.BANDS, dtype=np.uint64)).all()


def test_flat_pictures_are_alike_only_where_they_are_equal():
    random = np.random.default_rng(1)
    blank = (200 + random.integers(0, 2, (40, 16, 16))).astype(np.uint8)
    blank[33] = blank[4]

    pairs = similar.pairs(blank)

    assert pairs.tolist() == [[4, 33]]
    assert np.flatnonzero(similar.alike(blank[4:5], blank)).tolist() == [4, 33]
    assert similar.flat(blank).all()


def test_things_on_white_are_not_alike_because_of_the_white():
    images = []
    for number in range(40):
        image = Image.new("RGB", (128, 128), "white")
        texture = np.random.default_rng(number).integers(0, 160, (6, 6, 3), dtype=np.uint8)
        image.paste(Image.fromarray(texture).resize((70, 70), Image.Resampling.BICUBIC), (29, 29))
        images.append(image)

    pairs = similar.pairs(thumbs(images))

    assert pairs.tolist() == []


def test_digits_of_one_class_are_not_copies():
    from sklearn.datasets import load_digits

    pixels = (load_digits().images * (255 / 16)).round().astype(np.uint8)
    enlarged = pixels.repeat(2, axis=1).repeat(2, axis=2)

    pairs = similar.pairs(enlarged)

    assert len(pairs) <= 4


def test_photographs_of_one_thing_are_not_copies(shared_data):
    files = sorted((shared_data / "garbage_tiny150").glob("*/*/*.jpg"))
    measured = [facts.measure(path.read_bytes())["thumb"] for path in files]

    pairs = similar.pairs(np.stack(measured))

    assert pairs.tolist() == []


@pytest.mark.parametrize("count", [0, 1])
def test_one_picture_makes_no_pair(count):
    pairs = similar.pairs(np.zeros((count, 16, 16), np.uint8))

    assert pairs.shape == (0, 2)


def test_hundreds_of_copies_are_one_cluster():
    one = np.random.default_rng(0).integers(0, 256, (16, 16)).astype(np.uint8)
    copies = np.repeat(one[None], 3 * similar.NEXT, axis=0)

    pairs = similar.pairs(copies)

    assert set(similar.clusters(len(copies), pairs)) == {0}
    assert len(pairs) < len(copies) * similar.NEXT


def test_clusters_are_named_after_their_smallest_member():
    pairs = np.array([[5, 6], [1, 3], [3, 9], [2, 9], [7, 8]], np.int32)

    names = similar.clusters(10, pairs)

    assert names.tolist() == [0, 1, 1, 1, 4, 5, 5, 7, 7, 1]


def test_a_long_chain_is_one_cluster():
    order = np.random.default_rng(0).permutation(500)
    pairs = np.stack([order[:-1], order[1:]], axis=1).astype(np.int32)

    names = similar.clusters(500, pairs)

    assert names.tolist() == [0] * 500


def test_the_same_shapes_in_another_colour_are_another_picture(encoded):
    random = np.random.default_rng(3)
    noise = random.normal(0, 40, (60, 80, 1))
    red, blue = (
        Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))
        for colour in ((190, 60, 60), (60, 90, 190))
    )
    brighter = red.point(lambda value: value * 1.2)
    measured = [facts.measure(encoded(image, "JPEG", quality=90)) for image in (red, blue, brighter)]
    seen = np.zeros(3, facts.FACTS)
    for place, one in enumerate(measured):
        seen[place] = one

    near = similar.near(seen)

    assert similar.pairs(seen["thumb"]).tolist() == [[0, 1], [0, 2], [1, 2]]
    assert near.tolist() == [[0, 2]]
