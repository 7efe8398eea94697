"""Thumbnails: small pictures that travel inside a page."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

from PIL import Image

#: Quality of the JPEG, on Pillow's scale from 1 to 95.
QUALITY = 80
#: Long side in pixels, where nobody says otherwise.
SIDE = 224


def encode(image: Image.Image, *, side: int = SIDE) -> str:
    """Return a picture as a `data:image/jpeg` URI whose long side has at most `side` pixels.

    Nothing but pixels is kept: no EXIF, no comment, no colour profile. The same pixels give the same text.
    """
    small = image.convert("RGB")
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    small.info.clear()  # Pillow would write the comment of the original
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=QUALITY)
    return uri(buffer.getvalue())


def uri(jpeg: bytes) -> str:
    """Return a JPEG file as a `data:` URI."""
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode('ascii')}"
