"""Pictures that a data set keeps as bare pixels, written as PNG when their turn comes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

#: The longest run of bytes that a deflate stream keeps as they are.
_BLOCK = 2**16 - 1


@dataclass(frozen=True, slots=True)
class Drawn:
    """Pixels that are read as the bytes of a PNG file: grey [height, width], or RGB [height, width, 3].

    Nothing is compressed: small pictures gain little, and the bytes, and with them the digests of a dataset,
    are the same on every machine, whatever library it has.
    """

    pixels: npt.NDArray[np.uint8]

    def __call__(self) -> bytes:
        """Return the bytes of the file."""
        height, width = self.pixels.shape[:2]
        kind = 2 if self.pixels.ndim == 3 else 0
        rows = np.zeros((height, 1 + self.pixels[0].size), np.uint8)  # each row begins with its filter: none
        rows[:, 1:] = self.pixels.reshape(height, -1)
        return b"".join(
            (
                b"\x89PNG\r\n\x1a\n",
                _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)),
                _chunk(b"IDAT", _stored(rows.tobytes())),
                _chunk(b"IEND", b""),
            )
        )


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _stored(data: bytes) -> bytes:
    """Wrap bytes into a zlib stream as they are."""
    blocks = [data[start : start + _BLOCK] for start in range(0, len(data), _BLOCK)]
    parts = [b"\x78\x01"]
    for number, block in enumerate(blocks, start=1):
        parts += [struct.pack("<BHH", number == len(blocks), len(block), len(block) ^ 0xFFFF), block]
    return b"".join([*parts, struct.pack(">I", zlib.adler32(data))])
