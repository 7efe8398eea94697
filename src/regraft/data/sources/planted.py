"""A drawn dataset with known defects, and its clean twin: what a doctor has to find, and where to be silent.

Every picture is a function of the seed and its number, drawn when it is read: an object of its class with a
texture, on a ground of its own, with the noise of a camera, as JPEG.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from regraft.data.sources.listing import Entry, Listing

#: Hue of the object, from 0 to 255, and its shape, by class.
CLASSES = {
    "brick": (5, "square"),
    "leaf": (85, "ellipse"),
    "plum": (205, "circle"),
    "sky": (145, "band"),
    "sun": (35, "star"),
}
#: How many pictures of each class there are in each split.
COUNTS = {"train": 36, "val": 6, "test": 10}
#: How many of each defect `planted` plants: pictures, pairs or classes, as the findings count them.
PLANTED = {
    "exact-duplicates": 3,
    "near-duplicates": 3,
    "leakage": 4,
    "conflicting-labels": 3,
    "unreadable": 3,
    "tiny": 3,
    "blank": 2,
    "dark": 3,
    "blurred": 4,
    "grey-only-class": 1,
    "format-correlated": 1,
    "wrong-labels": 6,
    "name-clash": 1,
}

Change = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A picture that is drawn when it is read."""

    kind: str
    seed: tuple[int, ...]
    #: What is done to it before it is stored, in order.
    changes: tuple[Change, ...] = ()
    format: str = "JPEG"
    quality: int = 90

    def __call__(self) -> bytes:
        """Return the bytes of the file."""
        image = _draw(self.kind, np.random.default_rng(self.seed))
        for change in self.changes:
            image = change(image)
        buffer = io.BytesIO()
        image.save(buffer, format=self.format, quality=self.quality)
        return buffer.getvalue()


def planted(defects: bool = True, seed: int = 0) -> Listing:
    """Return the dataset, with the defects of `PLANTED` or without any."""
    entries = {entry.key: entry for entry in _sound(seed)}
    if defects:
        for spoilt in (_in_place(entries, seed), _copies(entries), _broken(entries), _classes(seed)):
            entries |= {entry.key: entry for entry in spoilt}
    return Listing(reader="planted", entries=list(entries.values()))


def _sound(seed: int) -> Iterator[Entry]:
    number = 0
    for split, count in COUNTS.items():
        for label in CLASSES:
            for index in range(count):
                number += 1
                drawing = Drawing(kind=label, seed=(seed, number))
                yield Entry(key=f"{split}/{label}/{index:03}.jpg", label=label, split=split, read=drawing)


def _in_place(entries: dict[str, Entry], seed: int) -> Iterator[Entry]:
    """Spoil single pictures, and give some the label of another class."""
    for code, change, places in (
        ("tiny", _shrink, ("train/leaf/{:03}", 0)),
        ("blank", _cover, ("train/plum/{:03}", 3)),
        ("dark", _darken, ("train/sun/{:03}", 6)),
        ("blurred", _blur, ("train/leaf/{:03}", 10)),
    ):
        form, first = places
        for index in range(first, first + PLANTED[code]):
            yield _changed(entries[f"{form.format(index)}.jpg"], change)
    labels = list(CLASSES)
    for index in range(PLANTED["wrong-labels"]):
        label, shown = labels[index % 3], labels[(index + 1) % 3]
        entry = entries[f"train/{label}/{index + 20:03}.jpg"]
        yield replace(entry, read=Drawing(kind=shown, seed=(seed, 7000 + index)))


def _copies(entries: dict[str, Entry]) -> Iterator[Entry]:
    """Add copies: equal ones and turned ones, beside the original, in another split, under another label."""
    for index in range(PLANTED["exact-duplicates"]):
        split = "test" if index == 0 else "train"
        yield _copy(entries[f"train/brick/{index:03}.jpg"], split, "brick", f"same-{index}")
    for index in range(PLANTED["near-duplicates"]):
        again = _changed(entries[f"train/sun/{index + 12:03}.jpg"], _turn, quality=60)
        yield _copy(again, "train", "sun", f"again-{index}")
    for index in range(PLANTED["leakage"]):
        again = _changed(entries[f"train/brick/{index + 12:03}.jpg"], _flip, _scale, quality=75)
        yield _copy(again, "test", "brick", f"again-{index}")
    for index in range(PLANTED["conflicting-labels"]):
        original = entries[f"train/plum/{index + 12:03}.jpg"]
        other = original if index else _changed(original, _flip, quality=70)
        yield _copy(other, "train", "leaf", f"plum-{index}")


def _broken(entries: dict[str, Entry]) -> Iterator[Entry]:
    """Add files that are no pictures."""
    whole = entries["train/sun/030.jpg"].read
    for name, read in (
        ("cut", lambda: whole()[:1500]),
        ("empty", lambda: b""),
        ("words", lambda: b"The picture is in the other folder."),
    ):
        yield Entry(key=f"train/sun/{name}.jpg", label="sun", split="train", read=read)


def _classes(seed: int) -> Iterator[Entry]:
    """Add a class under another spelling, a grey one, and one that is stored in another format."""
    for split, count in {"train": 20, "val": 4, "test": 6}.items():
        for kind, label, changes, format_ in (
            ("leaf", "Leaf", (), "JPEG"),
            ("sky", "fog", (_grey,), "JPEG"),
            ("plum", "icon", (_tint,), "PNG"),
        ):
            for index in range(count):
                number = (len(label) * 10 + len(split)) * 1000 + index
                drawing = Drawing(kind=kind, seed=(seed, 9, number), changes=changes, format=format_)
                key = f"{split}/{label}/{index:03}.{format_.lower()}"
                yield Entry(key=key, label=label, split=split, read=drawing)


def _changed(entry: Entry, *changes: Change, quality: int = 90) -> Entry:
    drawing = entry.read
    assert isinstance(drawing, Drawing)  # noqa: S101 (all sound pictures are drawn)
    return replace(entry, read=replace(drawing, changes=(*drawing.changes, *changes), quality=quality))


def _copy(entry: Entry, split: str, label: str, name: str) -> Entry:
    return replace(entry, key=f"{split}/{label}/{name}.jpg", label=label, split=split)


def _draw(kind: str, random: np.random.Generator) -> Image.Image:
    """Draw an object of one class, somewhere on a ground of any colour."""
    hue, shape = CLASSES[kind]
    width, height = (int(side) for side in random.integers(96, 161, 2))
    ground = _texture(random, width, height, int(random.integers(0, 256)), rough=0.25)
    hue = (hue + int(random.integers(-8, 9))) % 256
    thing = _texture(random, width, height, hue, rough=0.5, saturation=200)
    side = min(width, height)
    reach = side * random.uniform(0.25, 0.4)
    x, y = (random.uniform(0.4, 0.6) * length for length in (width, height))
    ground.paste(thing, mask=_mask(shape, (width, height), (x, y), reach, random))
    pixels = np.asarray(ground, np.float32) + random.normal(0, 3, (height, width, 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def _texture(
    random: np.random.Generator, width: int, height: int, hue: int, *, rough: float, saturation: int = 70
) -> Image.Image:
    """Return a surface of one hue, with coarse and fine marks."""
    light = np.full((height, width), random.uniform(110, 190), np.float32)
    for cells, weight in ((3, 60.0), (9, 90 * rough), (40, 110 * rough)):
        marks = Image.fromarray(random.uniform(-0.5, 0.5, (cells, cells)).astype(np.float32))
        light += weight * np.asarray(marks.resize((width, height), Image.Resampling.BICUBIC))
    value = Image.fromarray(np.clip(light, 20, 255).astype(np.uint8))
    flat = [Image.new("L", (width, height), level) for level in (hue, saturation)]
    return Image.merge("HSV", (*flat, value)).convert("RGB")


def _mask(
    shape: str,
    size: tuple[int, int],
    middle: tuple[float, float],
    reach: float,
    random: np.random.Generator,
) -> Image.Image:
    mask = Image.new("L", size)
    draw = ImageDraw.Draw(mask)
    x, y = middle
    box = (x - reach, y - reach, x + reach, y + reach)
    if shape == "circle":
        draw.ellipse(box, fill=255)
    elif shape == "ellipse":
        draw.ellipse((x - reach, y - reach / 2, x + reach, y + reach / 2), fill=255)
    elif shape == "band":
        draw.rectangle((0, 0, size[0], y), fill=255)
    else:
        corners, dent = (4, 1.0) if shape == "square" else (10, 0.5)
        start = random.uniform(0, 2 * np.pi)
        angles = start + 2 * np.pi * np.arange(corners) / corners
        radii = reach * np.where(np.arange(corners) % 2, dent, 1.0)
        draw.polygon([*zip(x + radii * np.cos(angles), y + radii * np.sin(angles), strict=True)], fill=255)
    return mask


def _shrink(image: Image.Image) -> Image.Image:
    return image.resize((22, 18))


def _cover(image: Image.Image) -> Image.Image:
    return Image.new("RGB", image.size, (40 + image.width, 120, 90))


def _darken(image: Image.Image) -> Image.Image:
    return image.point(lambda value: value // 7)


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(4))


def _turn(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.ROTATE_90)


def _flip(image: Image.Image) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def _scale(image: Image.Image) -> Image.Image:
    return image.resize((image.width * 3 // 2, image.height * 3 // 2), Image.Resampling.BICUBIC)


def _grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def _tint(image: Image.Image) -> Image.Image:
    """Swap red and green, so that the class is one of its own."""
    red, green, blue = image.split()
    return Image.merge("RGB", (green, blue, red))
