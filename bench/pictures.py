"""Pictures for benchmarks, drawn by a seeded generator: JPEG files of three sizes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

CLASSES = ("blots", "rings", "stripes", "tiles")


def draw(folder: Path, count: int, *, first: int = 0) -> Path:
    """Write `count` pictures of 500 x 375 below a folder, the classes in turn; return the folder.

    Those from another `first` on are other pictures.
    """
    y, x = np.mgrid[0:375, 0:500].astype(np.float32)
    for index in range(first, first + count):
        random = np.random.default_rng(index)
        name = CLASSES[index % len(CLASSES)]
        period, phase = random.uniform(20, 60), random.uniform(0, 6)
        wave = {
            "blots": np.sin(x / period + phase) + np.sin(y / period * 1.3),
            "rings": np.sin(np.hypot(x - 250, y - 187) / period * 3 + phase),
            "stripes": np.sign(np.sin((x + y * random.uniform(-1, 1)) / period * 3)),
            "tiles": np.sign(np.sin(x / period * 3)) * np.sign(np.sin(y / period * 3)),
        }[name]
        colour = random.uniform(40, 215, size=3)
        pixels = (
            colour
            + 60 * wave[..., None] * random.uniform(-1, 1, size=3)
            + random.normal(0, 18, (375, 500, 3))
        )
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).filter(
            ImageFilter.GaussianBlur(0.6)
        )
        path = folder / name / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_jpeg(np.asarray(image), quality=90))
    return folder


def small(seed: int) -> bytes:
    """Return a JPEG file of 256 x 192 pixels, about 8.9 KB; each seed gives another picture."""
    random = np.random.default_rng(seed)
    squares = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(squares).resize((256, 192), Image.Resampling.BICUBIC))
    return _jpeg(smooth + random.normal(0, 5, (192, 256, 1)), quality=80)


def tiny(seed: int) -> bytes:
    """Return a JPEG file of 32 x 32 pixels, about 900 bytes; each seed gives another picture."""
    squares = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
    smooth = Image.fromarray(squares).resize((32, 32), Image.Resampling.BICUBIC)
    return _jpeg(np.asarray(smooth), quality=80)


def variants(count: int) -> Iterator[bytes]:
    """Yield files of 8.9 KB that differ in a comment alone: cheap, different bytes, the same pixels."""
    body = small(0)
    for index in range(count):
        comment = b"%012d" % index
        yield b"".join((body[:2], b"\xff\xfe", (len(comment) + 2).to_bytes(2), comment, body[2:]))


def write(folder: Path, bodies: Iterable[bytes]) -> list[Path]:
    """Write files in ten class folders; return their paths."""
    paths = []
    for index, body in enumerate(bodies):
        path = folder / f"class {index % 10}" / f"{index:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        paths.append(path)
    return paths


def _jpeg(pixels: np.ndarray, *, quality: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
