"""A sheet of pictures in rows and columns, each with a title, as one drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from markupsafe import Markup
from PIL import Image

from regraft.errors import InvalidError
from regraft.reports import words
from regraft.reports.figure import Figure
from regraft.reports.gallery import encode

#: Room between pictures, and the height of a title, in pixels.
GAP, LINE = 6, 18

#: Of titles, on light paper and on dark: black on white, blue for what is right, red for what is wrong.
_STYLE = Markup(
    "svg{background:#fff;font:12px system-ui,sans-serif}"
    ".plain{fill:#1b1f24}.right{fill:#1b5cb8}.wrong{fill:#c02626}"
    "@media(prefers-color-scheme:dark){svg{background:#14171b}"
    ".plain{fill:#e7eaee}.right{fill:#7ab0ff}.wrong{fill:#ff8a80}}"
)
#: Width of a letter of a title, about, in pixels.
_LETTER = 6.5


@dataclass(frozen=True, kw_only=True, slots=True)
class Tile:
    """A picture of a sheet, and what stands above it."""

    image: Image.Image
    title: str = ""
    tone: Literal["plain", "right", "wrong"] = "plain"


def draw(tiles: Sequence[Tile], *, columns: int, side: int = 144) -> Figure:
    """Draw pictures row by row, each within a square of `side` pixels; raises InvalidError.

    A title that is too long for its picture is cut, and shown whole where the pointer rests on it.
    """
    if not tiles or columns < 1 or side < 1:
        raise InvalidError(
            f"{len(tiles)} pictures in {columns} columns of {side} pixels are no sheet.",
            hint="Give one picture or more, and one column or more.",
        )
    titled = LINE if any(tile.title for tile in tiles) else 0
    wide = min(columns, len(tiles))
    width = wide * (side + GAP) + GAP
    height = -(-len(tiles) // columns) * (side + titled + GAP) + GAP
    said = words.pictures(len(tiles))
    parts = [
        _tile(tile, GAP + index % columns * (side + GAP), GAP + index // columns * (side + titled + GAP),
              side=side, titled=titled)
        for index, tile in enumerate(tiles)
    ]  # fmt: skip
    svg = Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{said}"><style>{style}</style>{parts}</svg>\n'
    ).format(w=width, h=height, said=said, style=_STYLE, parts=Markup().join(parts))
    return Figure(svg=svg, words=said)


def picture_of(pixels: npt.NDArray[Any]) -> Image.Image:
    """Make a picture of an array [h, w], [h, w, 3] or [3, h, w] of bytes, or of numbers from 0 to 1.

    There may be 1 for 3. What lies outside of that is cut off. Raises InvalidError for another shape.
    """
    array = np.asarray(pixels)
    if array.ndim == 3 and array.shape[2] not in (1, 3) and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] != 3) or not array.size:
        raise InvalidError(
            f"An array of shape {np.shape(pixels)} is no picture.",
            hint="Give [height, width], [height, width, 3] or [3, height, width].",
        )
    if array.dtype != np.uint8:
        array = (np.nan_to_num(array.astype(np.float32)).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(np.ascontiguousarray(array))


def _tile(tile: Tile, left: int, top: int, *, side: int, titled: int) -> Markup:
    picture = Markup('<image href="{data}" x="{x}" y="{y}" width="{side}" height="{side}"/>').format(
        data=encode(tile.image, side=side), x=left, y=top + titled, side=side
    )
    if not tile.title:
        return picture
    most = max(1, int(side / _LETTER))
    shown = tile.title if len(tile.title) <= most else f"{tile.title[: most - 1]}…"
    return picture + Markup(
        '<text class="{tone}" x="{x}" y="{y}" text-anchor="middle">{shown}<title>{title}</title></text>'
    ).format(
        tone=tile.tone,
        x=left + side / 2,
        y=top + titled - 5,
        shown=words.printable(shown),
        title=words.printable(tile.title),
    )
