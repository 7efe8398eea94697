"""Explanations as one self-contained page: each picture, the heat over it, and the pictures like it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from regraft.records import Explanation, ModelVersion
from regraft.reports.templates import environment

#: What the doctor's words mean.
FLAGS = {
    "tiny": "far smaller than those that the model learned from",
    "blank": "shows nothing",
    "dark": "nearly black",
    "overexposed": "nearly white",
    "blurred": "blurred",
    "odd-aspect": "far longer than wide: the net sees a part of it",
}

_ROWS = ("upper", "", "lower")
_COLUMNS = ("left", "", "right")


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """A picture as `data:` URIs; empty where there is nothing to be drawn."""

    #: What the net sees of it.
    seen: str = ""
    heat: str = ""


def render(
    ref: str,
    model: ModelVersion,
    items: Sequence[Explanation],
    drawn: Sequence[Drawn],
    thumbnails: Mapping[str, str],
    *,
    coverage: float | None,
) -> str:
    """Draw the page of some explanations; `thumbnails` holds the nearest pictures by digest.

    Names are hostile text: all of it is escaped.
    """
    return (
        environment()
        .get_template("explanation.html.j2")
        .render(
            ref=ref,
            model=model,
            items=list(zip(items, drawn, strict=True)),
            thumbnails=thumbnails,
            coverage=coverage,
            flag_words=FLAGS,
            where=where,
        )
    )


def where(item: Explanation) -> str:
    """Say in words where most of the heat is, by thirds of the picture; empty where there is none."""
    if not item.heat:
        return ""
    rows, columns = len(item.heat), len(item.heat[0])
    fine = np.kron(np.array(item.heat), np.ones((3, 3)))  # so that thirds are whole
    table = fine.reshape(3, rows, 3, columns).mean(axis=(1, 3))
    if table.min() > 0.6 * table.max():
        return "all of it"
    order = np.argsort(-table, axis=None, kind="stable")
    strong = [place for place in order.tolist() if table.flat[place] >= 0.6 * table.max()]
    return ", ".join(_third(*divmod(place, 3)) for place in strong[:3])


def _third(row: int, column: int) -> str:
    words = " ".join(filter(None, [_ROWS[row], _COLUMNS[column]]))
    return {"upper": "top", "lower": "bottom", "": "middle"}.get(words, words)
