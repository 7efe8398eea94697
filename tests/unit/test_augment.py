"""Augmentation: what torchvision computes, on whole batches, by chance as a function."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from regraft.data.augment import tones, warps
from regraft.data.augment.cutting import cut_each
from regraft.data.augment.pipeline import build
from regraft.data.augment.steps import AUGMENTATIONS, Cut
from regraft.data.draws import Chance, identities
from regraft.errors import InvalidRecipe
from regraft.hub.operators import register
from regraft.records import digest

register()
from torchvision.transforms import v2  # noqa: E402
from torchvision.transforms.v2 import functional  # noqa: E402

SIZE = 24
EVERY = (
    "random-resized-crop",
    "flip",
    "rotate",
    "color-jitter",
    "gray",
    "erase",
    "randaugment",
    "trivial-augment",
    "auto-augment",
    "augmix",
    {"name": "torchvision.GaussianBlur", "kernel_size": 3},
)


class Drawn:
    """Pictures in memory."""

    def __init__(self, pictures):
        self._pictures = pictures

    def shapes(self, places):
        return np.array([self._pictures[place].shape[:2] for place in places], dtype=np.int64).reshape(-1, 2)

    def cut(self, places, boxes, how):
        return cut_each([lambda place=place: self._pictures[place] for place in places], boxes, how)


def names(count):
    return identities([digest(str(index).encode()) for index in range(count)])


def photo(seed=0, size=(SIZE, SIZE)):
    """Draw something smooth with edges and many tones."""
    squares = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    smooth = Image.fromarray(squares).resize(size[::-1], Image.Resampling.BICUBIC)
    picture = np.asarray(smooth).copy()
    picture[: size[0] // 3, : size[1] // 4] = (250, 3, 90)
    return picture


def tensor(picture):
    return torch.from_numpy(picture).permute(2, 0, 1).contiguous()


def run(entries, pictures, *, seed=0, epoch=0, resize="crop", size=SIZE):
    pipeline = build(entries, size=size, resize=resize)
    places = np.arange(len(pictures))
    return pipeline(Drawn(pictures), places, names(len(pictures)), seed=seed, epoch=epoch)


def same(one, other, *, most=1):
    return bool((one.int() - other.int()).abs().max() <= most)


BATCH = torch.stack([tensor(photo(seed)) for seed in range(4)])

TONES = {
    "brightness": (tones.brightness, functional.adjust_brightness, [0.2, 0.7, 1.0, 1.9]),
    "contrast": (tones.contrast, functional.adjust_contrast, [0.2, 0.7, 1.0, 1.9]),
    "saturation": (tones.saturation, functional.adjust_saturation, [0.0, 0.7, 1.0, 1.9]),
    "sharpness": (tones.sharpness, functional.adjust_sharpness, [0.1, 0.7, 1.0, 1.9]),
    "hue": (tones.hue, functional.adjust_hue, [-0.5, -0.13, 0.21, 0.4]),
    "posterize": (tones.posterize, lambda image, bits: functional.posterize(image, int(bits)), [1, 4, 7, 8]),
    "solarize": (
        tones.solarize,
        lambda image, part: functional.solarize(image, 255 * part),
        [0.0, 0.3, 0.8, 1.0],
    ),
    "autocontrast": (tones.autocontrast, lambda image, _: functional.autocontrast(image), [0.0] * 4),
    "equalize": (tones.equalize, lambda image, _: functional.equalize(image), [0.0] * 4),
    "invert": (tones.invert, lambda image, _: functional.invert(image), [0.0] * 4),
    "gray": (tones.gray, lambda image, _: functional.rgb_to_grayscale(image, 3), [0.0] * 4),
}


@pytest.mark.parametrize("name", TONES)
def test_tones_are_changed_as_torchvision_does_each_picture_by_its_own_amount(name):
    operation, theirs, amounts = TONES[name]

    changed = operation(BATCH.clone(), torch.tensor(amounts))

    expected = torch.stack([theirs(image, amount) for image, amount in zip(BATCH, amounts, strict=True)])
    assert changed.dtype == torch.uint8
    assert same(changed, expected)


@pytest.mark.parametrize("picture", [np.full((8, 8, 3), 7, np.uint8), photo(1, (8, 8)) // 128 * 200])
@pytest.mark.parametrize("name", TONES)
def test_flat_pictures_and_those_of_few_tones_are_changed_as_torchvision_does(name, picture):
    operation, theirs, amounts = TONES[name]

    changed = operation(torch.stack([tensor(picture)] * 4), torch.tensor(amounts))

    expected = torch.stack([theirs(tensor(picture), amount) for amount in amounts])
    assert same(changed, expected)


def moved(image, *, shear=(0.0, 0.0), shift=(0, 0), center=None):
    degrees = np.degrees(np.arctan(shear)).tolist()
    return functional.affine(image, angle=0.0, translate=list(shift), scale=1.0, shear=degrees, center=center)


WARPS = {
    "rotate": (warps.rotate, functional.rotate, [-135.0, -8.0, 13.0, 77.0]),
    "shear_x": (warps.shear_x, lambda i, a: moved(i, shear=(a, 0), center=[0, 0]), [-0.9, -0.13, 0.07, 0.3]),
    "shear_y": (warps.shear_y, lambda i, a: moved(i, shear=(0, a), center=[0, 0]), [-0.9, -0.13, 0.07, 0.3]),
    "translate_x": (warps.translate_x, lambda i, a: moved(i, shift=(int(a), 0)), [-9.7, -1.0, 0.9, 23.0]),
    "translate_y": (warps.translate_y, lambda i, a: moved(i, shift=(0, int(a))), [-9.7, -1.0, 0.9, 40.0]),
}


@pytest.mark.parametrize("name", WARPS)
@pytest.mark.parametrize("shape", [(24, 24), (17, 30)])
def test_pixels_are_moved_as_torchvision_does(name, shape):
    operation, theirs, amounts = WARPS[name]
    batch = torch.stack([tensor(photo(seed, shape)) for seed in range(4)])

    changed = operation(batch, torch.tensor(amounts))

    expected = torch.stack([theirs(image, amount) for image, amount in zip(batch, amounts, strict=True)])
    other = (changed != expected).any(dim=1).float().mean()
    assert other < 0.004  # a pixel between two others may go either way


@pytest.mark.parametrize("entry", EVERY, ids=str)
def test_what_becomes_of_a_picture_follows_from_seed_epoch_and_picture(entry):
    pictures = [photo(seed, (30, 40)) for seed in range(12)]
    entries = (entry,) if entry == "random-resized-crop" else ("center-crop", entry)
    pipeline = build(entries, size=SIZE)
    drawn, who = Drawn(pictures), names(12)

    whole = pipeline(drawn, np.arange(12), who, seed=1, epoch=2)

    order = np.array([7, 3, 11])
    assert torch.equal(pipeline(drawn, order, who[order], seed=1, epoch=2), whole[order])
    assert torch.equal(pipeline(drawn, order[:1], who[order[:1]], seed=1, epoch=2), whole[order[:1]])
    assert not torch.equal(pipeline(drawn, np.arange(12), who, seed=1, epoch=3), whole)
    assert not torch.equal(pipeline(drawn, np.arange(12), who, seed=2, epoch=2), whole)
    assert (whole.shape, whole.dtype) == ((12, 3, SIZE, SIZE), torch.uint8)


@pytest.mark.parametrize("entry", EVERY, ids=str)
def test_no_generator_of_the_process_is_moved(entry):
    entries = (entry,) if entry == "random-resized-crop" else ("center-crop", entry)
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()

    run(entries, [photo()] * 3)

    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1].tolist(), random.getstate()) == before[1:]


@pytest.mark.parametrize("entry", EVERY, ids=str)
def test_an_empty_share_of_a_batch_stays_empty(entry):
    entries = (entry,) if entry == "random-resized-crop" else ("center-crop", entry)

    assert run(entries, []).shape == (0, 3, SIZE, SIZE)


def test_two_steps_of_one_kind_decide_for_themselves():
    pictures = [photo(seed) for seed in range(40)]

    once, twice = (run(("center-crop", *["flip"] * count), pictures) for count in (1, 2))

    plain = run((), pictures)
    flipped = sum(torch.equal(one, other.flip(2)) for one, other in zip(twice, plain, strict=True))
    assert not torch.equal(once, twice)
    assert 8 <= flipped <= 32


def test_a_random_part_has_the_area_and_the_proportions_that_are_asked_for():
    pipeline = build(({"name": "random-resized-crop", "scale": [0.2, 0.6], "ratio": [0.5, 2.0]},), size=SIZE)
    shapes = np.tile([300, 400], (4000, 1))

    left, top, width, height = pipeline.geometry.boxes(shapes, Chance(0, 0, names(4000)), SIZE).T

    area, ratio = width * height / 120_000, width / height
    assert (left >= 0).all()
    assert (top >= 0).all()
    assert (left + width <= 400).all()
    assert (top + height <= 300).all()
    assert (area > 0.195).all()
    assert (area < 0.605).all()
    assert (ratio > 0.49).all()
    assert (ratio < 2.04).all()
    assert abs(area.mean() - 0.39) < 0.02
    assert abs(np.log(ratio).mean()) < 0.1
    assert abs((left + width / 2).mean() - 200) < 5


def test_where_no_part_has_the_proportions_the_middle_is_seen():
    strip = np.zeros((10, 300, 3), np.uint8)
    strip[:, 140:160] = 255

    seen = run(({"name": "random-resized-crop", "scale": [0.9, 1.0]},), [strip])

    assert seen.float().mean() > 200


def test_random_crop_of_a_picture_of_the_nets_size_moves_it_as_torchvision_does():
    picture = photo(3)
    padded = functional.pad(tensor(picture), [4, 4, 4, 4])
    expected = {
        padded[:, top : top + SIZE, left : left + SIZE].numpy().tobytes()
        for top in range(9)
        for left in range(9)
    }

    found = {image.numpy().tobytes() for image in run(("random-crop",), [picture] * 600)}

    assert found <= expected
    assert len(found) > 75


def test_random_crop_of_a_larger_picture_scales_its_short_side():
    picture = photo(3, (2 * SIZE, 3 * SIZE))

    seen = run(({"name": "random-crop", "padding": 0},), [picture] * 50)

    assert len({image.numpy().tobytes() for image in seen}) > 10
    small = cut_each([lambda: picture], np.array([[0, 0, 3 * SIZE, 2 * SIZE]]), Cut(size=SIZE))
    assert abs(seen.float().mean() - small.float().mean()) < 20


def test_what_a_net_sees_without_chance_follows_from_the_policy():
    picture = np.zeros((SIZE, 2 * SIZE, 3), np.uint8)
    picture[:, : SIZE // 2] = (255, 0, 0)

    crop, pad, squash = (run((), [picture], resize=policy)[0] for policy in ("crop", "pad", "squash"))

    assert torch.equal(crop, torch.zeros_like(crop))
    assert pad[:, 0, 0].tolist() == [114, 114, 114]
    assert pad[:, SIZE // 2, 1].tolist() == [255, 0, 0]
    assert squash[:, 0, 0].tolist() == [255, 0, 0]
    assert squash[:, 0, SIZE // 2].tolist() == [0, 0, 0]
    for policy, seen in (("crop", crop), ("pad", pad), ("squash", squash)):
        assert torch.equal(run((), [picture], resize=policy, seed=1, epoch=7)[0], seen)


@pytest.mark.parametrize(("direction", "axis"), [("horizontal", 2), ("vertical", 1)])
def test_flips_mirror_as_often_as_is_asked_for(direction, axis):
    pictures = [photo()] * 400

    seen = run(("center-crop", {"name": "flip", "p": 0.2, "direction": direction}), pictures)

    plain = tensor(photo())
    kinds = Counter(
        "plain"
        if torch.equal(image, plain)
        else "flipped"
        if torch.equal(image, plain.flip(axis))
        else "other"
        for image in seen
    )
    assert kinds.keys() == {"plain", "flipped"}
    assert 50 <= kinds["flipped"] <= 110


def test_erasing_paints_one_part_over():
    pictures = [photo(seed) for seed in range(200)]

    seen = run(("center-crop", {"name": "erase", "p": 0.5, "value": [1, 2, 3]}), pictures)

    painted = (seen == torch.tensor([1, 2, 3], dtype=torch.uint8).view(1, 3, 1, 1)).all(dim=1)
    plain = run((), pictures)
    assert 70 <= sum(mask.any().item() for mask in painted) <= 130
    assert torch.equal(seen * ~painted[:, None], plain * ~painted[:, None])
    for mask in painted[painted.any(dim=(1, 2))]:
        rows, columns = mask.any(dim=1), mask.any(dim=0)
        assert mask.sum() >= 0.9 * rows.sum() * columns.sum()
        assert mask.sum() <= 0.36 * SIZE**2


def test_colours_are_jittered_as_torchvision_could_have():
    pictures = [photo(2)] * 200
    entry = {"name": "color-jitter", "brightness": 0.5, "contrast": 0, "saturation": 0, "p": 0.5}

    seen = run(("center-crop", entry), pictures)

    plain = tensor(photo(2))
    assert 60 <= sum(torch.equal(image, plain) for image in seen) <= 140
    ratios = [image.float().mean() / plain.float().mean() for image in seen]
    assert 0.5 <= min(ratios) < 0.65
    assert 1.2 < max(ratios) <= 1.5


def test_jitter_changes_the_order_of_its_operations():
    picture = tensor(photo(2))
    entry = {"name": "color-jitter", "brightness": 0.9, "contrast": 0.9, "saturation": 0.9, "hue": 0.5}

    seen = run(("center-crop", entry), [photo(2)] * 50)

    assert len({image.numpy().tobytes() for image in seen}) == 50
    assert not any(torch.equal(image, picture) for image in seen)


def expected_of(transform, image, choices):
    """Return what a transform of torchvision makes of a picture with each operation and strength."""
    return torch.stack(
        [
            transform._apply_image_or_video_transform(
                image, name, amount, interpolation=v2.InterpolationMode.NEAREST, fill={torch.Tensor: None}
            )
            for name, amount in choices
        ]
    )


def choices_of(transform, bins, levels, size=SIZE):
    for name, (magnitudes, signed) in transform._AUGMENTATION_SPACE.items():
        strengths = magnitudes(bins, size, size)
        for level in levels if strengths is not None else [0]:
            amount = 0.0 if strengths is None else float(strengths[level])
            yield name, amount
            if signed:
                yield name, -amount


def nearest(seen, expected):
    """Return which of the expected pictures each one is, or -1 where it is none of them."""
    places = torch.cdist(seen.flatten(1).float(), expected.flatten(1).float(), p=1).argmin(dim=1)
    # a pixel between two others may go either way, and bytes may be rounded otherwise
    other = ((expected[places].int() - seen.int()).abs() > 1).any(dim=1).float().mean(dim=(1, 2))
    return torch.where(other < 0.05, places, -1).tolist()


@pytest.mark.parametrize("magnitude", [9, 30])
def test_randaugment_does_what_torchvision_could_have_done(magnitude):
    transform = v2.RandAugment(num_ops=1, magnitude=magnitude)
    choices = list(choices_of(transform, 31, [magnitude]))
    expected = expected_of(transform, tensor(photo(5)), choices)
    entry = {"name": "randaugment", "num_ops": 1, "magnitude": magnitude}

    found = nearest(run(("center-crop", entry), [photo(5)] * 600), expected)

    assert -1 not in found
    counts = Counter(choices[place][0] for place in found)
    assert counts.keys() == transform._AUGMENTATION_SPACE.keys()


def test_trivial_augment_does_what_torchvision_could_have_done():
    transform = v2.TrivialAugmentWide()
    expected = expected_of(transform, tensor(photo(5)), choices_of(transform, 31, range(31)))

    found = nearest(run(("center-crop", "trivial-augment"), [photo(5)] * 300), expected)

    assert -1 not in found
    assert len(set(found)) > 80


@pytest.mark.parametrize("policy", ["imagenet", "cifar10", "svhn"])
def test_auto_augment_does_what_torchvision_could_have_done(policy):
    transform = v2.AutoAugment(v2.AutoAugmentPolicy(policy))
    image = tensor(photo(5))
    expected = [image]
    for pair in transform._policies:
        stages = [image]
        for name, probability, level in pair:
            magnitudes, signed = transform._AUGMENTATION_SPACE[name]
            amount = 0.0 if level is None else float(magnitudes(10, SIZE, SIZE)[level])
            made = [
                one
                for stage in stages
                for one in expected_of(
                    transform, stage, [(name, sign * amount) for sign in (1, -1)[: 1 + signed]]
                )
            ]
            stages = [*([] if probability == 1 else stages), *([] if probability == 0 else made)]
        expected += stages

    found = nearest(
        run(("center-crop", {"name": "auto-augment", "policy": policy}), [photo(5)] * 300),
        torch.stack(expected),
    )

    assert -1 not in found
    assert len(set(found)) > 30


def test_augmix_mixes_a_picture_with_what_becomes_of_it():
    pictures = [photo(seed) for seed in range(60)]

    seen, plain = run(("center-crop", "augmix"), pictures), run((), pictures)
    gentle = run(("center-crop", {"name": "augmix", "severity": 1, "width": 1, "depth": 1}), pictures)

    distances = [(one - plain.float()).abs().mean().item() for one in (seen.float(), gentle.float())]
    assert 1 < distances[1] < distances[0] < 60
    dark = run(("center-crop", "augmix"), [np.zeros((SIZE, SIZE, 3), np.uint8)] * 20)
    assert dark.float().mean() < 128


def test_transforms_of_torchvision_are_used_by_name():
    pictures = [photo(seed) for seed in range(20)]
    entry = {"name": "torchvision.RandomInvert", "p": 0.5}

    seen, plain = run(("center-crop", entry), pictures), run((), pictures)

    kinds = [
        "plain" if torch.equal(one, other) else "inverted" if torch.equal(one, 255 - other) else "neither"
        for one, other in zip(seen, plain, strict=True)
    ]
    assert set(kinds) == {"plain", "inverted"}
    assert build((entry,), size=SIZE).alone
    assert not build(("flip", "randaugment"), size=SIZE).alone


@pytest.mark.parametrize(
    ("entries", "message", "hint", "where"),
    [
        (("flipp",), "There is no augmentation 'flipp'.", "Did you mean 'flip'?", "data.augment.0"),
        (
            ({"name": "flip", "q": 0.5},),
            "The augmentation 'flip' has no option 'q'.",
            "It has p, direction.",
            "data.augment.0.q",
        ),
        (
            ("flip", {"name": "flip", "p": 2}),
            "'data.augment.1.p' cannot be 2.",
            "Input should be less than or equal to 1.",
            "data.augment.1.p",
        ),
        (
            ({"name": "random-resized-crop", "scale": [0.5]},),
            "'data.augment.0.scale' cannot be [0.5].",
            None,
            "data.augment.0.scale",
        ),
        (
            ("flip", "center-crop"),
            "'center-crop' has to be the first augmentation.",
            None,
            "data.augment.1",
        ),
        (
            ("torchvision.GausianBlur",),
            "torchvision has no transform 'GausianBlur'.",
            "Did you mean 'GaussianBlur'?",
            "data.augment.0",
        ),
        (
            ({"name": "torchvision.GaussianBlur", "kernel": 3},),
            "'torchvision.GaussianBlur' has no option 'kernel'.",
            "Did you mean 'kernel_size'?",
            "data.augment.0.kernel",
        ),
        (
            ({"name": "torchvision.GaussianBlur", "kernel_size": 4},),
            "'torchvision.GaussianBlur' refuses its options: "
            "Kernel size value should be an odd and positive number.",
            None,
            "data.augment.0",
        ),
        (
            ("torchvision.RandomResizedCrop",),
            None,
            None,
            "data.augment.0",
        ),
        (
            ({"name": "torchvision.RandomResizedCrop", "size": 9},),
            "'torchvision.RandomResizedCrop' does not give bytes of the size that it takes.",
            None,
            "data.augment.0",
        ),
        (
            ({"name": "torchvision.ConvertImageDtype"},),
            "'torchvision.ConvertImageDtype' does not give bytes of the size that it takes.",
            None,
            "data.augment.0",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_its_place(entries, message, hint, where):
    with pytest.raises(InvalidRecipe) as caught:
        build(entries, size=SIZE)

    assert caught.value.where == where
    assert message in (None, str(caught.value))
    assert hint in (None, caught.value.hint)


def test_every_augmentation_that_is_registered_is_tested_here():
    tested = {entry if isinstance(entry, str) else entry["name"] for entry in EVERY}

    assert set(AUGMENTATIONS) - tested == {"random-crop", "center-crop", "pad", "squash"}
