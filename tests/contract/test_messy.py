"""The gate meets what people have in their folders, and what nobody should have."""

from __future__ import annotations

import csv
import json
import random
import shutil
import subprocess
import sys

import pytest
from PIL import ExifTags, Image

#: Puts every file of a folder through the gate and says what came of it, and by how much memory grew.
GATE = """
import json, resource, sys
from pathlib import Path

from regraft.data import pictures, transforms
from regraft.errors import InvalidPicture
from regraft.records import InputSpec

SPEC = InputSpec(size=32, crop=0.875, mean=(0, 0, 0), std=(1, 1, 1), interpolation="bicubic")
UNIT = 1 if sys.platform == "darwin" else 1024


def size(data):
    return list(pictures.check(data))


def decoded(data):
    image = pictures.decode(data)
    return [image.mode, *image.size]


def prepared(data):
    array = transforms.prepare(data, SPEC)
    return [str(array.dtype), *array.shape]


def attempt(function, data):
    try:
        return function(data)
    except InvalidPicture as error:
        return str(error)
    except Exception as error:
        return f"ESCAPED: {error!r}"


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * UNIT


before = peak()
results = {}
with pictures.quiet():
    for file in sorted(Path(sys.argv[1]).iterdir()):
        data = file.read_bytes()
        results[file.name] = [attempt(function, data) for function in (size, decoded, prepared)]
print(json.dumps({"grown": peak() - before, "results": results}))
"""

BOMB = "more than 64,000,000 pixels"
REFUSED = {
    "65536-uint32-limit.png": BOMB,
    "broken.png": "a damaged PNG",
    "broken_data_stream.png": "damaged (unrecognized data stream contents when reading image file)",
    "cielab-dagams.tiff": "a TIFF of a kind that is not supported: convert it to PNG",
    "circle.svg": "a drawing (SVG): export it as PNG",
    "corrupt-header.jpg": "truncated",
    "decompression_bomb.gif": BOMB,
    "decompression_bomb.ico": "an icon (ICO): convert it to PNG",
    "favicon.ico": "an icon (ICO): convert it to PNG",
    "giant-image.jpg": BOMB,
    "hopper.psd": "a Photoshop document (PSD): export it as PNG",
    "notes.jpg": "not a picture: plain text",
    "pitm.avif": "a picture in AVIF format: convert it to JPEG",
    "relax_tileparts.jp2": "a picture in JPEG 2000 format: convert it to JPEG",
    "samplefilehub.heif": "a picture in HEIF format: convert it to JPEG",
    "truncated.jpg": "truncated",
    "truncated.png": "truncated",
    "zero_bytes.jpg": "empty file",
}
#: What systems leave behind: a reader passes it over, so that the gate meets it in `predict` alone.
JUNK = {
    ".DS_Store": "not a picture that Regraft reads",
    "._landscape_6.jpg": "not a picture that Regraft reads",
    "Thumbs.db": "not a picture that Regraft reads",
}


@pytest.fixture
def messy(shared_data, tmp_path):
    folder = tmp_path / "photos" / "messy"
    shutil.copytree(shared_data / "messy", folder)
    (folder / "MANIFEST.tsv").rename(tmp_path / "MANIFEST.tsv")
    return folder


def test_messy_files_are_decoded_or_refused_with_a_reason_in_little_memory(messy):
    expected = dict(accepted(messy.parents[1] / "MANIFEST.tsv"))
    expected |= {name: [f"{reason}."] * 3 for name, reason in (REFUSED | JUNK).items()}

    outcome = through_the_gate(messy)

    assert outcome["results"] == expected
    assert outcome["said"] == ""
    assert outcome["grown"] < 300 * 2**20


def test_a_messy_folder_becomes_a_dataset_and_a_list_of_what_was_left_out(workspace, messy):
    added = workspace.datasets.add("messy", messy.parent)

    assert {item.key: item.reason for item in added.refused} == {
        f"messy/{name}": reason for name, reason in REFUSED.items()
    }
    assert added.ignored == {"hidden files": 2, "system files": 1}
    assert {row.key: [row.width, row.height] for row in workspace.datasets.get("messy")} == {
        f"messy/{name}": result[0] for name, result in accepted(messy.parents[1] / "MANIFEST.tsv")
    }


def test_damaged_pictures_are_refused_or_decoded_and_never_kill_the_process(tmp_path, draw, encoded):
    folder = tmp_path / "damaged"
    folder.mkdir()
    for number, data in enumerate(damaged(originals(draw, encoded), 1500)):
        (folder / f"{number:04}").write_bytes(data)

    outcome = through_the_gate(folder)

    results = outcome["results"]
    assert [name for name, found in results.items() if not (refused(found) or good(found))] == []
    assert 300 < sum(map(good, results.values())) < 1400
    assert outcome["grown"] < 600 * 2**20


def through_the_gate(folder):
    """Run the gate in a process of its own, in which any warning would be an error."""
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", GATE, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return {**json.loads(child.stdout), "said": child.stderr}


def accepted(manifest):
    """Yield the name of each picture that should pass, and what the gate should say."""
    with manifest.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            if line["file"] in REFUSED or line["file"] in JUNK:
                continue
            size = [int(side) for side in line["size"].split("x")]
            if line["exif_orientation"] in {"5", "6", "7", "8"}:
                size.reverse()
            yield line["file"], [size, ["RGB", *size], ["uint8", 32, 32, 3]]


def refused(found):
    """Tell whether all three questions were refused, each with a sentence."""
    return all(isinstance(answer, str) and answer.endswith(".") for answer in found)


def good(found):
    """Tell whether all three questions were answered, with the same size."""
    size, rgb, prepared = found
    return rgb == ["RGB", *size] and prepared == ["uint8", 32, 32, 3]


def originals(draw, encoded):
    """Return small good pictures of every format, in the variants that take other paths through Pillow."""
    photo, clear, grey = draw(1, (40, 30)), draw(2, (40, 30), "RGBA"), draw(3, (40, 30), "L")
    turned = Image.Exif()
    turned[ExifTags.Base.Orientation] = 6
    return [
        encoded(photo, "JPEG"),
        encoded(photo, "JPEG", progressive=True, exif=turned),
        encoded(photo.convert("CMYK"), "JPEG"),
        encoded(photo, "PNG"),
        encoded(clear, "PNG"),
        encoded(photo.convert("P"), "PNG", transparency=3),
        encoded(photo, "WEBP"),
        encoded(clear, "WEBP", lossless=True),
        encoded(photo, "WEBP", save_all=True, append_images=[draw(4, (40, 30))]),
        encoded(photo, "BMP"),
        encoded(photo.convert("P"), "BMP"),
        encoded(photo.convert("P"), "GIF"),
        encoded(photo.convert("P"), "GIF", save_all=True, append_images=[draw(5, (40, 30), "P")]),
        encoded(photo, "TIFF"),
        encoded(clear, "TIFF", compression="tiff_lzw"),
        encoded(grey, "TIFF", compression="tiff_adobe_deflate"),
        encoded(grey.convert("1"), "TIFF", compression="group4"),
        encoded(photo, "TIFF", compression="jpeg"),
    ]


def damaged(pictures, count):
    """Yield pictures with changed bytes, cut ends, doubled blocks, or all of it."""
    chance = random.Random(0)
    for number in range(count):
        data = bytearray(pictures[number % len(pictures)])
        for _ in range(chance.choice([1, 1, 1, 2, 4, 8])):
            at = chance.randrange(chance.choice([64, len(data)])) % len(data)  # headers are hit the most
            match chance.choice(["flip", "flip", "byte", "extreme", "cut", "double", "drop"]):
                case "flip":
                    data[at] ^= 1 << chance.randrange(8)
                case "byte":
                    data[at] = chance.randrange(256)
                case "extreme":
                    data[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
                case "cut":
                    del data[at + 1 :]
                case "double":
                    data[at:at] = data[at : at + chance.randrange(1, 64)]
                case "drop":
                    del data[at + 1 : at + chance.randrange(2, 16)]
        yield bytes(data)
