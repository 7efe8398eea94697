"""The gate: what becomes of a picture, and why a file is refused."""

from __future__ import annotations

from io import BytesIO
from zlib import crc32

import numpy as np
import pytest
from PIL import ExifTags, Image

from regraft.data import pictures
from regraft.errors import InvalidPicture

#: How an upright picture is stored so that the orientation of this number turns it upright again.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("JPEG", "RGB"),
        ("JPEG", "CMYK"),
        ("PNG", "RGB"),
        ("PNG", "RGBA"),
        ("PNG", "P"),
        ("PNG", "LA"),
        ("PNG", "I;16"),
        ("WEBP", "RGB"),
        ("WEBP", "RGBA"),
        ("TIFF", "RGB"),
        ("TIFF", "RGBA"),
        ("TIFF", "I;16"),
    ],
)
def test_a_picture_stored_in_any_orientation_is_seen_upright(draw, encoded, kind, mode, orientation):
    upright = draw(1, (48, 32), mode if mode != "I;16" else "L")
    if mode == "I;16":
        upright = Image.fromarray(np.asarray(upright).astype(np.uint16) * 257)
    if mode in ("RGBA", "LA"):
        upright.putalpha(Image.fromarray(np.linspace(0, 255, 48 * 32).reshape(32, 48).astype(np.uint8)))
    options = {"WEBP": {"lossless": True, "exact": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    data = turned(encoded, upright, kind, orientation, **options.get(kind, {}))

    seen = pictures.decode(data)

    assert pictures.check(data) == seen.size == (48, 32)
    assert difference(seen, pictures.decode(turned(encoded, upright, kind, 1, **options.get(kind, {})))) <= 8


def test_an_undefined_orientation_counts_as_upright(draw, encoded):
    odd = [encoded(draw(1), "PNG", exif=exif(value)) for value in (0, 9, 65535)]

    seen = [pictures.decode(picture) for picture in odd]

    assert [difference(image, draw(1)) for image in seen] == [0, 0, 0]


@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0MM\0*garbage", b"junk"]
)
def test_a_damaged_exif_block_is_ignored(draw, encoded, block):
    plain = encoded(draw(1), "JPEG")
    marker = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
    data = plain[:2] + marker + plain[2:]

    with pictures.quiet():
        size, seen = pictures.check(data), pictures.decode(data)

    assert size == (24, 16)
    assert difference(seen, pictures.decode(plain)) == 0


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_laid_on_white(encoded, kind):
    image = Image.new("RGBA", (3, 1))
    for x, alpha in enumerate((0, 128, 255)):
        image.putpixel((x, 0), (200, 0, 0, alpha))
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}

    seen = pictures.decode(encoded(image, kind, **options))

    assert [seen.getpixel((x, 0)) for x in range(3)] == [(255, 255, 255), (227, 127, 127), (200, 0, 0)]


def test_a_transparent_colour_is_white_in_palettes_in_grey_and_in_rgb(encoded):
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    grey = Image.fromarray(np.array([[7, 100]], dtype=np.uint8))
    deep = Image.fromarray(np.array([[7, 65535]], dtype=np.uint16))
    colour = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], dtype=np.uint8))

    seen = [
        pictures.decode(data)
        for data in (
            encoded(palette, "PNG", transparency=0),
            encoded(palette, "PNG", transparency=b"\x00\xff"),
            encoded(palette, "GIF", transparency=0),
            encoded(grey, "PNG", transparency=7),
            with_transparency(encoded(deep, "PNG"), b"\x00\x07"),
            encoded(colour, "PNG", transparency=(1, 2, 3)),
        )
    ]

    assert [image.getpixel((0, 0)) for image in seen] == [(255, 255, 255)] * 6
    assert [image.getpixel((1, 0)) for image in seen] == [
        (40, 50, 60),
        (40, 50, 60),
        (40, 50, 60),
        (100, 100, 100),
        (255, 255, 255),
        (4, 5, 6),
    ]


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("bits", [1, 8, 10, 12, 14, 16])
def test_16_bit_grey_uses_as_many_bits_as_its_brightest_pixel(encoded, kind, bits):
    highest = 2**bits - 1
    values = np.array([[0, highest // 2, highest]], dtype=np.uint16)

    seen = pictures.decode(encoded(Image.fromarray(values), kind))

    expected = [round(255 * value / highest) for value in values[0].tolist()]
    assert np.asarray(seen).tolist() == [[[value] * 3 for value in expected]]


def test_16_bit_black_stays_black(encoded):
    data = encoded(Image.fromarray(np.zeros((2, 2), dtype=np.uint16)), "PNG")

    seen = pictures.decode(data)

    assert np.asarray(seen).max() == 0


@pytest.mark.parametrize(
    ("mode", "kind"),
    [("1", "PNG"), ("1", "TIFF"), ("L", "JPEG"), ("P", "GIF"), ("P", "BMP"), ("CMYK", "TIFF")],
)
def test_other_modes_become_the_rgb_that_pillow_makes_of_them(draw, encoded, mode, kind):
    data = encoded(draw(1, mode=mode), kind)

    seen = pictures.decode(data)

    assert difference(seen, Image.open(BytesIO(data)).convert("RGB")) == 0


@pytest.mark.parametrize("adobe", ["pil_sample_cmyk.jpg", "Channel_digital_image_CMYK_color_no_profile.jpg"])
def test_an_inverted_cmyk_jpeg_is_not_seen_as_a_negative(shared_data, adobe):
    data = (shared_data / "messy" / adobe).read_bytes()

    seen = pictures.decode(data)

    assert difference(seen, Image.open(BytesIO(data)).convert("RGB")) == 0


def test_a_cmyk_jpeg_has_the_colours_that_it_was_made_of(draw, encoded):
    data = encoded(draw(1, (48, 32)).convert("CMYK"), "JPEG", quality=100)

    seen = np.asarray(pictures.decode(data), dtype=float)

    assert np.abs(seen.mean((0, 1)) - np.asarray(draw(1, (48, 32))).mean((0, 1))).max() < 2


@pytest.mark.parametrize("mode", ["I", "F"])
def test_32_bit_pixels_are_refused(encoded, mode):
    data = encoded(Image.new(mode, (4, 4)), "TIFF")

    with pytest.raises(InvalidPicture) as caught:
        pictures.check(data)

    assert str(caught.value) == f"pixels are of mode {mode!r} (32 bits), which has no agreed range."


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_several_frames_the_first_is_seen(draw, encoded, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    colours = draw(1, mode="P").convert("RGB")
    data = encoded(colours, kind, save_all=True, append_images=[draw(2), draw(3)], **options)

    seen = pictures.decode(data)

    assert difference(seen, pictures.decode(encoded(colours, kind, **options))) == 0


@pytest.mark.parametrize("size", [(640, 480), (480, 640), (257, 1001), (64, 64), (40, 300), (1, 1)])
@pytest.mark.parametrize("short_side", [1, 33, 64, 256])
def test_a_jpeg_is_decoded_small_but_never_below_the_short_side(draw, encoded, size, short_side):
    data = encoded(draw(1, size), "JPEG")

    seen = pictures.decode(data, short_side=short_side)

    wanted = max(scale for scale in (1, 2, 4, 8) if scale == 1 or min(size) // short_side >= scale)
    assert seen.size == tuple(-(-side // wanted) for side in size)
    assert min(seen.size) >= min(short_side, *size)


def test_a_jpeg_that_is_decoded_small_is_turned_upright_too(draw, encoded):
    data = turned(encoded, draw(1, (480, 320)), "JPEG", 6)

    seen = pictures.decode(data, short_side=40)

    assert seen.size == (60, 40)
    assert difference(seen, draw(1, (480, 320)).reduce(8)) < 30


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file."),
        (b"%PDF-1.7\n", "not a picture: a PDF document."),
        (b"PK\x03\x04\x14\x00", "not a picture: a zip archive."),
        (b"\x1f\x8b\x08\x00", "not a picture: a gzip archive."),
        (b"8BPS\x00\x01", "a Photoshop document (PSD): export it as PNG."),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "a picture in JPEG 2000 format: convert it to JPEG."),
        (b"\x00\x00\x01\x00\x01\x00", "an icon (ICO): convert it to PNG."),
        (b"GIF89a", "a damaged GIF."),
        (b"\x89PNG\r\n\x1a\n", "a damaged PNG."),
        (b"\xff\xd8\xff\xdb", "a damaged JPEG."),
        (b"BM", "a damaged BMP."),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "damaged (could not create decoder object)."),
        (b"II*\x00\x08\x00\x00\x00", "a TIFF of a kind that is not supported: convert it to PNG."),
        (b"MM\x00*\x00\x00\x00\x08", "a TIFF of a kind that is not supported: convert it to PNG."),
        (b"\x00\x00\x00\x1cftypheic\x00\x00", "a picture in HEIF format: convert it to JPEG."),
        (b"\x00\x00\x00\x1cftypmif1\x00\x00", "a picture in HEIF format: convert it to JPEG."),
        (b"\x00\x00\x00\x1cftypavif\x00\x00", "a picture in AVIF format: convert it to JPEG."),
        (b"\x00\x00\x00\x1cftypisom\x00\x00", "not a picture: a video."),
        (b"\x00\x00\x00\x14ftypqt  \x00\x00", "not a picture: a video."),
        (b"\n<!DOCTYPE html><html>", "not a picture: a web page (HTML)."),
        (b"<html><body>404", "not a picture: a web page (HTML)."),
        (b"<?xml version='1.0'?><svg/>", "a drawing (SVG): export it as PNG."),
        ("Ärger\n".encode(), "not a picture: plain text."),
        (b"\x00\x01\x02\x03", "not a picture that Regraft reads."),
    ],
)
def test_a_file_that_is_no_picture_is_refused_by_what_it_is(data, reason):
    with pictures.quiet():
        reasons = [refusal(ask, data) for ask in (pictures.check, pictures.decode)]

    assert reasons == [reason, reason]


@pytest.mark.parametrize("kind", ["TGA", "PPM", "ICNS", "PCX"])
def test_formats_that_pillow_reads_and_regraft_does_not_are_refused(draw, encoded, kind):
    data = encoded(draw(1, (64, 64)), kind)

    reason = refusal(pictures.check, data)

    assert reason == "not a picture that Regraft reads."


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "GIF"])
def test_a_picture_that_was_cut_off_is_truncated(draw, encoded, kind):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = encoded(noise, kind)

    reason = refusal(pictures.check, data[: len(data) // 2])

    assert reason == "truncated."


@pytest.mark.parametrize("size", [(8001, 8000), (64_000_001, 1)])
def test_too_many_pixels_are_refused_from_the_header(encoded, size):
    data = encoded(Image.new("1", size), "PNG")

    with pictures.quiet():
        reason = refusal(pictures.check, data)

    assert reason == f"more than 64,000,000 pixels ({size[0]} x {size[1]})."


def test_a_file_of_too_many_bytes_is_refused_unread(tmp_path):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(70 * 2**20)

    reason = refusal(pictures.read_file, path)

    assert reason == "larger than 64 MiB (70 MiB)."
    assert refusal(pictures.check, bytes(64 * 2**20 + 1)) == "larger than 64 MiB."


def test_a_picture_that_takes_too_long_is_refused(draw, encoded, monkeypatch):
    data = [encoded(draw(1), kind) for kind in pictures.FORMATS]
    monkeypatch.setattr(pictures, "MAX_SECONDS", -1.0)

    reasons = [refusal(pictures.check, picture) for picture in data]

    assert reasons == ["takes longer than -1 s to decode."] * len(pictures.FORMATS)


def test_a_decoder_that_runs_out_of_memory_refuses_the_picture(draw, encoded, monkeypatch):
    data = encoded(draw(1), "PNG")

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", fail)

    assert refusal(pictures.check, data) == "needs more memory than there is."


def test_a_file_that_cannot_be_read_is_refused_with_the_system_reason(tmp_path):
    reasons = [refusal(pictures.read_file, tmp_path / "gone.png"), refusal(pictures.read_file, tmp_path)]

    assert reasons == ["vanished while it was read.", "not a regular file."]


def test_a_file_name_has_no_say_in_what_a_picture_is(tmp_path, draw, encoded):
    path = tmp_path / "really_a_gif.jpg"
    path.write_bytes(encoded(draw(1), "GIF"))

    size = pictures.check(pictures.read_file(path))

    assert size == (24, 16)


def turned(encoded, upright, kind, orientation, **options):
    stored = upright if STORED[orientation] is None else upright.transpose(STORED[orientation])
    return encoded(stored, kind, exif=exif(orientation), **options)


def exif(orientation):
    tags = Image.Exif()
    tags[ExifTags.Base.Orientation] = orientation
    return tags


def with_transparency(png, value):
    """Put a tRNS chunk before the pixels, which Pillow writes for no 16-bit picture."""
    at = png.index(b"IDAT") - 4
    body = b"tRNS" + value
    return png[:at] + len(value).to_bytes(4, "big") + body + crc32(body).to_bytes(4, "big") + png[at:]


def difference(one, other):
    """Return by how much the most different values of two pictures of one size differ."""
    return int(np.abs(np.asarray(one, dtype=int) - np.asarray(other, dtype=int)).max())


def refusal(ask, what):
    with pytest.raises(InvalidPicture) as caught:
        ask(what)
    return str(caught.value)
