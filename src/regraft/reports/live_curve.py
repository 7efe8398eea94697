"""A curve that grows while something is trained: on a notebook's page, as lines of a terminal, as a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, isfinite
from pathlib import Path

from regraft.errors import InvalidError
from regraft.reports import curve, words
from regraft.reports.curve import Line
from regraft.reports.figure import Figure, find_screen


class LiveCurve:
    """Lines over the same axis, to which points are added from left to right.

    In a notebook the drawing below the running cell is renewed with every point; elsewhere `say` gets a line
    of text when all lines have got a point, and where some have not, when the next whole x is begun. The file
    at `path` is written anew with every point, and is whole whenever it is read.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        title: str = "",
        across: str = "",
        up: str = "",
        log: bool = False,
        path: Path | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        if not names or len({*names}) < len(names):
            raise InvalidError(
                f"{list(names)!r} cannot be the lines of a curve.",
                hint="Give one name or more, all different.",
            )
        self.path = path
        #: What was added, by the name of its line, as x and y; whatever is no finite number is left out.
        self.points: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
        self._axes = {"title": title, "across": across, "up": up}
        self._log = log
        self._say = say
        self._show = find_screen()
        #: Whether a notebook shows it.
        self.shown = self._show is not None
        self._x = 0.0
        #: The newest points of the row that is not told yet, or was just now.
        self._row: dict[str, tuple[float, float]] = {}
        self._told = False

    def add(self, x: float, values: Sequence[float | None]) -> None:
        """Add a point at `x` to each line, in the order of their names; None adds nothing to a line."""
        if len(values) != len(self.points):
            raise InvalidError(f"{len(values)} values came for {len(self.points)} lines.")
        if x != self._x and (self._told or ceil(x) != ceil(self._x)):
            self._tell()
            self._row, self._told = {}, False
        self._x = x
        here = {name: value for name, value in zip(self.points, values, strict=True) if value is not None}
        for name, value in here.items():
            if isfinite(value):
                self.points[name].append((x, value))
            self._row[name] = (x, value)
        if len(self._row) == len(self.points):
            self._tell()
        if here and any(self.points.values()):
            self._draw()

    def figure(self) -> Figure:
        """Draw what has come so far; raises InvalidError where that is nothing."""
        lines = [Line(name=name, points=tuple(points)) for name, points in self.points.items() if points]
        if not lines:
            raise InvalidError("A curve without a point cannot be drawn.", hint="Add one first.")
        return Figure(svg=curve.draw(lines, **self._axes, log=self._log), words=self.line())

    def line(self) -> str:
        """Write the newest values as text: `epoch 2: train loss 0.314, test acc 0.925`."""
        newest = [(name, *self._row[name]) for name in self.points if name in self._row]
        values = [
            f"{name} {words.decimal(value)}{'' if x == self._x else f' at {x:g}'}"
            for name, x, value in newest
        ]
        return f"{self._axes['across']} {self._x:g}: {', '.join(values)}".lstrip()

    def __repr__(self) -> str:
        return f"<LiveCurve {self.line()}>"

    def _tell(self) -> None:
        if self._row and not self._told and self._say is not None and self._show is None:
            self._say(self.line())
        self._told = True

    def _draw(self) -> None:
        if self._show is not None:
            self._show(self.figure())
        if self.path is not None:
            self.figure().write(self.path)
