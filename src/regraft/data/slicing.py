"""Slices: parts of a set of pictures that may fare otherwise than the rest, found without being asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from regraft.data.facts import FACTS
from regraft.records import Row

Marks = npt.NDArray[np.bool_]

#: A slice has at least so many pictures, and leaves as many out.
LEAST = 10
#: A column or a level of folders with more values than this says nothing.
VALUES = 20


def find(rows: Sequence[Row], facts: npt.NDArray[np.void], cameras: Sequence[str]) -> list[tuple[str, Marks]]:
    """Return the slices [n] of pictures by name, of which facts [n] were measured.

    There are quarters by brightness, sharpness, size, proportions and weight of the file, the folders below
    or above that of the class, the cameras (empty where nothing is known), and the values of metadata.
    """
    if facts.dtype != FACTS:
        raise TypeError("these are no facts of pictures")
    found = [*_quarters(facts), *_values("folder", [_folder(row) for row in rows])]
    found += _values("camera", cameras)
    for column, values in _metadata(rows).items():
        found += _values(column, values)
    return [(name, marks) for name, marks in found if LEAST <= marks.sum() <= len(rows) - LEAST]


def _quarters(facts: npt.NDArray[np.void]) -> Iterator[tuple[str, Marks]]:
    width, height = facts["width"].astype(float), facts["height"].astype(float)
    short, long = np.minimum(width, height), np.maximum(width, height)
    weight = facts["size"] / np.maximum(width * height, 1)
    yield from _ends(facts["brightness"], "dark: brightness below {:.0%}", "bright: brightness above {:.0%}")
    yield from _ends(facts["sharpness"], "blurred: sharpness below {:.2f}", "")
    yield from _ends(short, "small: short side below {:.0f} pixels", "large: short side above {:.0f} pixels")
    yield from _ends(long / np.maximum(short, 1), "", "long: sides more than 1 to {:.2f}")
    yield from _ends(weight, "compressed: below {:.2f} bytes a pixel", "")


def _ends(values: npt.NDArray[np.floating], low: str, high: str) -> Iterator[tuple[str, Marks]]:
    """Yield the quarter below and the one above, where the pictures differ and a name is given."""
    first, last = np.quantile(values, (0.25, 0.75))
    if low and (values < first).any():
        yield low.format(first), values < first
    if high and (values > last).any():
        yield high.format(last), values > last


def _values(name: str, values: Sequence[str]) -> Iterator[tuple[str, Marks]]:
    distinct = sorted({value for value in values if value})
    if len(distinct) + ("" in values) < 2 or len(distinct) > VALUES:
        return
    each = np.array(values)
    for value in distinct:
        yield f"{name}: {value}", each == value


def _folder(row: Row) -> str:
    """Return the folder of a picture without those that name its class or its split."""
    parts = PurePosixPath(row.key).parent.parts
    return "/".join(part for part in parts if part not in (row.label, row.split))


def _metadata(rows: Sequence[Row]) -> dict[str, list[str]]:
    tables = [json.loads(row.metadata) for row in rows]
    columns = dict.fromkeys(key for table in tables for key in table)
    return {
        column: ["" if table.get(column) is None else str(table[column]) for table in tables]
        for column in columns
    }
