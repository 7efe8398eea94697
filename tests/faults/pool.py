"""Tiny pictures that differ, but for some that look like the one before; and a file that is none."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import Image


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A picture of the pool."""

    data: bytes
    digest: str
    #: Pictures that look alike have the same number.
    looks: int


@cache
def pictures() -> tuple[Drawn, ...]:
    """Draw 24 pictures of 16 motifs: each second motif twice, once a little brighter."""
    random = np.random.default_rng(1)
    drawn = []
    for looks in range(16):
        motif = random.integers(30, 200, (8, 8, 3)).astype(np.uint8)
        drawn += [_drawn(motif + 9 * brighter, looks) for brighter in range(1 + (looks % 2 == 0))]
    return tuple(drawn)


@cache
def looks() -> dict[str, int]:
    """Return the motif of each picture by digest."""
    return {drawn.digest: drawn.looks for drawn in pictures()}


def broken() -> Drawn:
    """Return a file that is no picture."""
    data = b"Buy more film."
    return Drawn(data=data, digest=sha256(data).hexdigest(), looks=-1)


def _drawn(pixels: np.ndarray, looks: int) -> Drawn:
    buffer = BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, format="PNG")
    data = buffer.getvalue()
    return Drawn(data=data, digest=sha256(data).hexdigest(), looks=looks)
