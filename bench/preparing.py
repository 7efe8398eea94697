"""Benchmark of preparing large photos: decoded once and cut out of a cache, against the plain pipeline."""

from __future__ import annotations

from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from measuring import ROUNDS, Seconds, ratios, report, say, timed

#: Photos of 12 megapixels, as telephones make them.
PHOTOS = 24
SIZE = 224


def preparing(scratch: Path, data: Path) -> None:
    """Prepare batches of large photos: a first epoch, decoding included, and a further one."""
    import torch

    from regraft.data.augment import pipeline
    from regraft.data.batches import Batches
    from regraft.data.draws import identities
    from regraft.data.loading import normalise_batch
    from regraft.data.pixels import PixelKey, Pixels, open_pixels
    from regraft.hub.operators import register
    from regraft.progress import silent
    from regraft.records import InputSpec, Row, digest

    register()
    from torchvision import transforms

    spec = InputSpec(
        size=SIZE,
        crop=0.875,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        interpolation="bilinear",
    )
    photos = [_photo(seed) for seed in range(PHOTOS)]
    bodies = {digest(body): body for body in photos}
    rows = [
        Row(
            key=name,
            digest=name,
            pack="",
            offset=0,
            length=len(body),
            label="a",
            split="train",
            width=4000,
            height=3000,
        )
        for name, body in bodies.items()
    ]
    plain = transforms.Compose(
        [
            transforms.RandomResizedCrop(SIZE),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(spec.mean, spec.std),
        ]
    )
    steps = pipeline.build(("random-resized-crop", "flip"), size=SIZE)

    def peer() -> torch.Tensor:
        return torch.stack([plain(Image.open(BytesIO(body)).convert("RGB")) for body in photos])

    def decoded(root: Path) -> Pixels:
        return open_pixels(root, PixelKey.whole(256, {}), rows, lambda row: bodies[row.digest], silent)

    def epoch(pixels: Pixels, number: int) -> torch.Tensor:
        batches = Batches(pixels, steps, [0] * PHOTOS, identities(list(bodies)), batch_size=PHOTOS, workers=2)
        return torch.cat([normalise_batch(batch.images, spec) for batch in batches.epoch(number)])

    times: dict[str, list[Seconds]] = {"plain": [], "first": [], "further": []}
    for turn in range(ROUNDS):
        theirs, seconds = timed(peer)
        times["plain"].append(seconds)
        root = scratch / f"preparing-{turn}"
        ours, seconds = timed(lambda root=root: epoch(decoded(root), 0))
        times["first"].append(seconds)
        assert ours.shape == theirs.shape
        _, seconds = timed(partial(epoch, decoded(root), 1))
        times["further"].append(seconds)
    say(f"data preparation of {PHOTOS} photos of 12 megapixels, random crop and flip, {SIZE} pixels")
    for name, seconds in times.items():
        report(name, seconds, f"{PHOTOS / np.median(seconds, axis=0)[0]:.0f} photos a CPU second")
    for name, goal in (("first", " (goal 3.5x)"), ("further", "")):
        cpu, wall = ratios(times["plain"], times[name])
        say(f"  {name:8} {cpu:6.1f}x CPU{goal}, {wall:.1f}x wall")


def _photo(seed: int) -> bytes:
    """Return a JPEG file of 4000 x 3000 pixels: about 3 MB, as those of telephones."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.integers(0, 256, (30, 40, 3), dtype=np.uint8))
    smooth = np.asarray(coarse.resize((4000, 3000), Image.Resampling.BICUBIC)).astype(np.float32)
    grain = random.standard_normal((3000, 4000, 1), dtype=np.float32) * 20
    picture = Image.fromarray(np.clip(smooth + grain, 0, 255).astype(np.uint8))
    buffer = BytesIO()
    picture.filter(ImageFilter.GaussianBlur(1)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()
