"""A drawing as notebooks, terminals and folders take it: shown, named, or kept as an SVG file."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from markupsafe import Markup

from regraft import durable


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class Figure:
    """A drawing; a notebook shows one that is the last line of a cell."""

    #: A whole SVG document that refers to nothing outside of itself.
    svg: str
    #: What it shows, for terminals and for readers of screens.
    words: str

    def __str__(self) -> str:
        return self.words

    def __repr__(self) -> str:
        return f"<Figure {self.words}>"

    def _repr_html_(self) -> str:
        # within an <img> its style sheet reaches nothing else on the notebook's page
        address = b64encode(self.svg.encode()).decode("ascii")
        return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(self.words, address)

    def write(self, path: Path | str) -> Path:
        """Write the drawing to a file, in place of what was there; return its path."""
        durable.swap(Path(path), self.svg.encode())
        return Path(path)


class _Shown(Figure):
    """A figure that a notebook shows already."""

    def _ipython_display_(self) -> None:
        """Show nothing where it is the last line of a cell, too."""


def present(figure: Figure) -> Figure:
    """Show a figure below a notebook's running cell, if there is one; return it, to be shown no second time.

    So a cell may end with a semicolon, or go on.
    """
    show = find_screen()
    if show is None:
        return figure
    show(figure)
    return _Shown(svg=figure.svg, words=figure.words)


def find_screen() -> Callable[[Figure], None] | None:
    """Return what shows a figure below the cell that is running, and later ones in its place.

    None where no notebook runs this process: then nothing but text can be shown.
    """
    ipython = sys.modules.get("IPython")  # a notebook has loaded it; nobody else needs it
    shell = None if ipython is None else ipython.get_ipython()
    if getattr(shell, "kernel", None) is None:
        return None
    display = import_module("IPython.display").display
    handle: Any = None

    def show(figure: Figure) -> None:
        nonlocal handle
        if handle is None:
            handle = display(figure, display_id=True)
        else:
            handle.update(figure)

    return show
