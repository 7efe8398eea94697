"""The one gate through which every picture is decoded.

Accepted, by content and never by extension: JPEG, PNG, WebP, BMP, GIF and TIFF; of several frames the first.

How pixels become RGB: EXIF orientation is applied. Transparency is laid on white. Grey is repeated.
16-bit (and 12-bit) values are scaled by their full range to 8 bits. Palettes are looked up. CMYK and YCbCr
are converted by Pillow; colour profiles are ignored, as the datasets that nets learn from ignore them.
32-bit integer and float pixels have no range that everybody agrees on, and are refused.
"""

from __future__ import annotations

import contextlib
import io
import os
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from regraft.errors import InvalidPicture

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
#: Larger pictures are refused from their header.
MAX_PIXELS = 64 * 10**6
#: Larger files are refused unread, in bytes.
MAX_BYTES = 64 * 2**20
#: Reading one picture may take this long, in seconds.
MAX_SECONDS = 20.0

_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258


def decode(data: bytes, *, short_side: int | None = None) -> Image.Image:
    """Return a picture as RGB, upright.

    With `short_side` a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, never below that many pixels.
    Raises InvalidPicture with the reason.
    """
    image = _open(data)
    try:
        if short_side is not None:
            image.draft("RGB", _draft_size(image.size, short_side))
        image.load()
        return _upright(_to_rgb(image))
    except InvalidPicture:
        raise
    except _BROKEN as error:
        raise InvalidPicture(f"{_broken(error)}.") from error


def check(data: bytes) -> tuple[int, int]:
    """Decode a picture all through and return its width and height, upright.

    Raises InvalidPicture with the reason.
    """
    image = _open(data)
    width, height = image.size
    turned = _orientation(image) >= 5
    decode(data, short_side=1)  # the whole stream is read, at the smallest scale that the format knows
    return (height, width) if turned else (width, height)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file that should be a picture; raises InvalidPicture with the reason."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise InvalidPicture(f"larger than {MAX_BYTES // 2**20} MiB ({size / 2**20:,.0f} MiB).")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InvalidPicture("vanished while it was read.") from None
    except OSError as error:
        raise InvalidPicture(f"cannot be read ({os.strerror(error.errno or 0)}).") from None
    return data


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence what Pillow says about odd pictures; entered once around threads that decode."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\..*")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        yield


class _Timed(io.BytesIO):
    """Bytes that can be read for a limited time: Pillow's decoders are fed piece by piece."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._deadline = time.monotonic() + MAX_SECONDS

    def read(self, size: int | None = -1) -> bytes:
        if time.monotonic() > self._deadline:
            raise InvalidPicture(f"takes longer than {MAX_SECONDS:.0f} s to decode.")
        return super().read(size)


#: What Pillow raises over damaged bytes; its decoders are not strict about types.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    EOFError,
    OverflowError,
    RuntimeError,
    AttributeError,
    ArithmeticError,
    AssertionError,
    NotImplementedError,
    MemoryError,
    Image.DecompressionBombError,
)


def _open(data: bytes) -> Image.Image:
    if not data:
        raise InvalidPicture("empty file.")
    if len(data) > MAX_BYTES:
        raise InvalidPicture(f"larger than {MAX_BYTES // 2**20} MiB.")
    try:
        image = Image.open(_Timed(data), formats=FORMATS)
    except InvalidPicture:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidPicture(f"more than {MAX_PIXELS:,} pixels.") from error
    except UnidentifiedImageError as error:
        raise InvalidPicture(f"{_kind(data)}.") from error
    except _BROKEN as error:
        raise InvalidPicture(f"{_broken(error)}.") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InvalidPicture(f"more than {MAX_PIXELS:,} pixels ({width} x {height}).")
    if not width or not height:
        raise InvalidPicture("no pixels.")
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise InvalidPicture(f"pixels are of mode {image.mode!r} (32 bits), which has no agreed range.")
    if image.mode.startswith("I;16"):
        tag = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (16,))
        highest = 2 ** (tag[0] if isinstance(tag, tuple) else tag) - 1
        values = np.asarray(image, dtype=np.float32) * (255 / highest)
        return Image.fromarray(np.clip(values + 0.5, 0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _upright(image: Image.Image) -> Image.Image:
    if _orientation(image) == 1:
        return image
    return ImageOps.exif_transpose(image)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation, 1 to 8; damaged EXIF data and undefined values count as 1."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except (*_BROKEN, InvalidPicture):
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _draft_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = short_side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _broken(error: BaseException) -> str:
    text = str(error).lower()
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if "truncated" in text or isinstance(error, EOFError):
        return "truncated"
    return f"damaged ({error})" if str(error) else "damaged"


_KINDS = (
    (b"%PDF", "a PDF document"),
    (b"8BPS", "a Photoshop document (PSD)"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x00\x00\x01\x00", "an icon (ICO)"),
    (b"\x00\x00\x00\x0cjP  ", "a JPEG 2000 picture, which is not supported"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"GIF8", "a damaged GIF"),
    (b"\x89PNG", "a damaged PNG"),
    (b"\xff\xd8", "a damaged JPEG"),
    (b"BM", "a damaged BMP"),
    (b"II*\x00", "a TIFF of a kind that is not supported"),
    (b"MM\x00*", "a TIFF of a kind that is not supported"),
)


def _kind(data: bytes) -> str:
    """Say what bytes are that Pillow does not take for a picture."""
    for magic, words in _KINDS:
        if data.startswith(magic):
            return words if words.startswith("a damaged") or "TIFF" in words else f"not a picture: {words}"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a damaged WebP"
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("ascii", "replace").strip()
        return f"a picture in {'AVIF' if brand.startswith('avi') else 'HEIF'} format, which is not supported"
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "not a picture: a web page (HTML)"
    if b"<svg" in head:
        return "not a picture of pixels: a drawing (SVG)"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head):
        return "not a picture: plain text"
    return "not a picture that Regraft reads"
