"""Pictures for benchmarks, drawn by a seeded generator: JPEG files of 500 x 375 pixels in class folders."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

CLASSES = ("blots", "rings", "stripes", "tiles")


def draw(folder: Path, count: int) -> Path:
    """Write `count` pictures below a folder, the classes in turn; return the folder."""
    y, x = np.mgrid[0:375, 0:500].astype(np.float32)
    for index in range(count):
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
        buffer = BytesIO()
        image.save(buffer, format="JPEG", quality=90)
        path = folder / name / f"{index:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(buffer.getvalue())
    return folder
