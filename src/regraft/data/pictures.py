"""The one gate through which every picture is decoded.

Accepted, by content and never by extension: JPEG, PNG, WebP, BMP, GIF and TIFF; of several frames the first.

How pixels become RGB: EXIF orientation is applied. Transparency is laid on white. Grey is repeated.
Of 16-bit grey as many bits count as the brightest pixel needs, because instruments store 10, 12 or 14 bits in
16: otherwise their pictures would be black. Palettes are looked up. CMYK and YCbCr are converted by Pillow;
colour profiles are ignored, as the datasets that nets learn from ignore them. 32-bit integer and float pixels
have no range that everybody agrees on, and are refused.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from regraft.errors import InvalidPicture

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "GIF", "TIFF")
#: Larger pictures are refused from their header.
MAX_PIXELS = 64 * 10**6
#: Larger files are refused unread, in bytes.
MAX_BYTES = 64 * 2**20
#: Feeding one picture to its decoder may take this long, in seconds.
MAX_SECONDS = 20.0

_ORIENTATION = 0x0112
_MAKE = 0x010F
_MODEL = 0x0110
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, *, short_side: int | None = None) -> Image.Image:
    """Return a picture as RGB, upright.

    With `short_side` a JPEG may be decoded at 1/2, 1/4 or 1/8 of its size, never below that many pixels.
    Raises InvalidPicture with the reason.
    """
    return pixels(opened(data), short_side)


def check(data: bytes) -> tuple[int, int]:
    """Decode a picture all through and return its width and height, upright.

    Raises InvalidPicture with the reason.
    """
    image = opened(data)
    width, height = image.size
    pixels(image, 1)  # the whole stream is read, at the smallest scale that the format knows
    return (height, width) if orientation(image) >= 5 else (width, height)


def glance(data: bytes) -> tuple[int, int]:
    """Return the width and height, upright, that a picture's header says; its pixels are not looked at.

    Raises InvalidPicture with the reason.
    """
    image = opened(data)
    width, height = image.size
    return (height, width) if orientation(image) >= 5 else (width, height)


def read_file(path: Path) -> bytes:
    """Return the bytes of a file that should be a picture; raises InvalidPicture with the reason."""
    try:
        facts = path.stat()
        if not stat.S_ISREG(facts.st_mode):
            raise InvalidPicture("not a regular file.")
        size = facts.st_size
        if size > MAX_BYTES:
            raise InvalidPicture(f"larger than {MAX_BYTES // 2**20} MiB ({size / 2**20:,.0f} MiB).")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InvalidPicture("vanished while it was read.") from None
    except OSError as error:
        raise InvalidPicture(f"cannot be read ({os.strerror(error.errno or 0)}).") from None
    except ValueError:  # a zero in it
        raise InvalidPicture("no path of a file.") from None
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


def opened(data: bytes) -> Image.Image:
    """Return a picture whose header was read, and not its pixels; raises InvalidPicture with the reason."""
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
    except Exception as error:  # over damaged bytes Pillow raises anything
        raise InvalidPicture(f"{_broken(error)}.") from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise InvalidPicture(f"more than {MAX_PIXELS:,} pixels ({width} x {height}).")
    if not width or not height:
        raise InvalidPicture("no pixels.")
    return image


def pixels(image: Image.Image, short_side: int | None) -> Image.Image:
    """Read an opened picture all through: RGB, upright, perhaps at a fraction of its size; see `decode`.

    Raises InvalidPicture with the reason.
    """
    try:
        if short_side is not None:
            image.draft("RGB", _draft_size(image.size, short_side))
        image.load()
        return _to_rgb(upright(image))
    except InvalidPicture:
        raise
    except Exception as error:  # over damaged bytes Pillow raises anything
        raise InvalidPicture(f"{_broken(error)}.") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise InvalidPicture(f"pixels are of mode {image.mode!r} (32 bits), which has no agreed range.")
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_16_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image)
    highest = max(1, 2 ** int(values.max()).bit_length() - 1)
    table = np.minimum(np.arange(2**16) * (255 / highest) + 0.5, 255).astype(np.uint8)
    if "transparency" in image.info:
        table[image.info["transparency"]] = 255
    return Image.fromarray(table[values]).convert("RGB")


def upright(image: Image.Image) -> Image.Image:
    """Return a picture turned as its EXIF orientation says."""
    turn = _TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """Return the EXIF orientation of a loaded picture; damaged EXIF data and undefined values count as 1."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # over damaged bytes Pillow raises anything
        return 1
    return value if value in _TURNS else 1


def camera(data: bytes) -> str:
    """Return the maker and model of the camera that EXIF data names; empty where there is none to be read."""
    with contextlib.suppress(Exception):  # EXIF data is read by hand-written parsers and is often damaged
        with quiet():
            found = opened(data).getexif()
        maker, model = (str(found.get(tag, "")).strip("\0 ") for tag in (_MAKE, _MODEL))
        return model if model.startswith(maker) else f"{maker} {model}".strip()
    return ""


def _draft_size(size: tuple[int, int], short_side: int) -> tuple[int, int]:
    scale = short_side / min(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _broken(error: Exception) -> str:
    text = str(error).strip(" .")
    if isinstance(error, MemoryError):
        return "needs more memory than there is"
    if "truncated" in text.lower() or isinstance(error, EOFError):
        return "truncated"
    return f"damaged ({text})" if text else "damaged"


_KINDS = (
    (b"%PDF", "not a picture: a PDF document"),
    (b"PK\x03\x04", "not a picture: a zip archive"),
    (b"\x1f\x8b", "not a picture: a gzip archive"),
    (b"8BPS", "a Photoshop document (PSD): export it as PNG"),
    (b"\x00\x00\x00\x0cjP  ", "a picture in JPEG 2000 format: convert it to JPEG"),
    (b"\x00\x00\x01\x00", "an icon (ICO): convert it to PNG"),
    (b"GIF8", "a damaged GIF"),
    (b"\x89PNG", "a damaged PNG"),
    (b"\xff\xd8", "a damaged JPEG"),
    (b"BM", "a damaged BMP"),
    (b"II*\x00", "a TIFF of a kind that is not supported: convert it to PNG"),
    (b"MM\x00*", "a TIFF of a kind that is not supported: convert it to PNG"),
)
#: How the brands of the one container begin that videos and some pictures share.
_BRANDS = (
    (("avif", "avis"), "a picture in AVIF format: convert it to JPEG"),
    (("hei", "hev", "mif1", "msf1"), "a picture in HEIF format: convert it to JPEG"),
)


def _kind(data: bytes) -> str:
    """Say what bytes are that Pillow does not take for a picture."""
    for magic, words in _KINDS:
        if data.startswith(magic):
            return words
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "a damaged WebP"
    if data[4:8] == b"ftyp":
        brand = data[8:12].decode("ascii", "replace")
        return next(
            (words for starts, words in _BRANDS if brand.startswith(starts)), "not a picture: a video"
        )
    head = data[:512].lstrip().lower()
    if head.startswith((b"<!doctype html", b"<html")):
        return "not a picture: a web page (HTML)"
    if b"<svg" in head:
        return "a drawing (SVG): export it as PNG"
    if b"\0" not in head and all(byte >= 32 or byte in b"\t\r\n\f\x1b" for byte in head):
        return "not a picture: plain text"
    return "not a picture that Regraft reads"
