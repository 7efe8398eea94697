"""Lines over an axis, as an SVG file of their own: it is light or dark as the reader's screen is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from markupsafe import Markup

#: Size in pixels at its natural size, and the room around the frame.
WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 76, 20, 46, 46

#: Of the first line, the second, and so on, on light paper and on dark.
COLOURS = (("#1b5cb8", "#7ab0ff"), ("#b5560b", "#ffb066"), ("#1d7d4f", "#6fd6a5"), ("#8d3cab", "#dc9bf2"))

_STYLE = Markup(
    "svg{{background:#fff;font:13px system-ui,sans-serif;color:#1b1f24}}"
    "text{{fill:currentColor}}.grid{{stroke:#e1e4e8}}.line{{fill:none;stroke-width:2}}"
    "{light}@media(prefers-color-scheme:dark){{svg{{background:#14171b;color:#e7eaee}}"
    ".grid{{stroke:#2e343c}}{dark}}}"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """What is drawn in one colour."""

    name: str
    #: x and y, from left to right; at least one.
    points: tuple[tuple[float, float], ...]


def draw(lines: Sequence[Line], *, title: str, across: str, up: str, log: bool = False) -> str:
    """Draw lines over the same axes; `across` and `up` say what the axes measure.

    The vertical axis begins at 0 where no point is below it. With `log` the horizontal one goes by powers of
    ten, and x is above 0. Lines are dashed from the fifth on.
    """
    xs = [x for line in lines for x, _ in line.points]
    ys = [y for line in lines for _, y in line.points]
    columns = (_decades if log else _ticks)(min(xs), max(xs))
    rows = _ticks(min(0.0, *ys), max(ys))
    x = (_log_scale if log else _scale)(columns[0], columns[-1], LEFT, WIDTH - RIGHT)
    y = _scale(rows[0], rows[-1], HEIGHT - BOTTOM, TOP)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" '
        'aria-label="{title}"><style>{style}</style>{grid}{axes}{lines}{legend}</svg>\n'
    ).format(
        w=WIDTH,
        h=HEIGHT,
        title=title,
        style=_style(len(lines)),
        grid=_grid([(tick, x(tick)) for tick in columns], [(tick, y(tick)) for tick in rows]),
        axes=_axes(title, across, up),
        lines=Markup().join(_line(index, line, x, y) for index, line in enumerate(lines)),
        legend=_legend(lines),
    )


def _style(count: int) -> Markup:
    light, dark = (
        Markup("").join(
            Markup(".of{i}{{stroke:{c}{dash}}}.is{i}{{fill:{c}}}").format(
                i=index,
                c=COLOURS[index % len(COLOURS)][shade],
                dash="" if index < len(COLOURS) else f";stroke-dasharray:{4 * (index // len(COLOURS))} 4",
            )
            for index in range(count)
        )
        for shade in (0, 1)
    )
    return _STYLE.format(light=light, dark=dark)


def _ticks(low: float, high: float) -> list[float]:
    """Return round numbers at equal distances, about five, from at most `low` to at least `high`."""
    if high - low < 1e-12:
        high = low + (abs(low) or 1.0)
    unit = 10.0 ** floor(log10((high - low) / 4))
    step = next(unit * factor for factor in (1, 2, 5, 10) if (high - low) / (unit * factor) <= 5)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _decades(low: float, high: float) -> list[float]:
    """Return powers of ten from at most `low` to at least `high`."""
    first, last = floor(log10(low) + 1e-9), ceil(log10(high) - 1e-9)
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _log_scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    scale = _scale(log10(low), log10(high), start, end)
    return lambda value: scale(log10(value))


def _grid(columns: Sequence[tuple[float, float]], rows: Sequence[tuple[float, float]]) -> Markup:
    parts = [
        Markup('<text x="{x:.1f}" y="{y}" text-anchor="middle">{tick:.6g}</text>').format(
            x=x, y=HEIGHT - BOTTOM + 18, tick=tick
        )
        for tick, x in columns
    ]
    parts += [
        Markup(
            '<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
            '<text x="{at}" y="{y:.1f}" dy="4" text-anchor="end">{tick:.6g}</text>'
        ).format(left=LEFT, right=WIDTH - RIGHT, at=LEFT - 8, y=y, tick=tick)
        for tick, y in rows
    ]
    return Markup().join(parts)


def _axes(title: str, across: str, up: str) -> Markup:
    return Markup(
        '<text x="{left}" y="20" font-weight="600">{title}</text>'
        '<text x="{left}" y="{above}" text-anchor="end" dx="-8">{up}</text>'
        '<text x="{middle}" y="{below}" text-anchor="middle">{across}</text>'
    ).format(
        left=LEFT,
        above=TOP - 12,
        middle=(LEFT + WIDTH - RIGHT) / 2,
        below=HEIGHT - 8,
        title=title,
        across=across,
        up=up,
    )


def _line(index: int, line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> Markup:
    places = [(f"{x(across):.1f}", f"{y(up):.1f}") for across, up in line.points]
    if len(places) == 1:  # a line of one point would not be seen
        return Markup('<circle class="is{index}" cx="{x}" cy="{y}" r="4"/>').format(
            index=index, x=places[0][0], y=places[0][1]
        )
    points = " ".join(map(",".join, places))
    return Markup('<polyline class="line of{index}" points="{points}"/>').format(index=index, points=points)


def _legend(lines: Sequence[Line]) -> Markup:
    """Name the lines, right to left; one line alone needs no name."""
    if len(lines) < 2:
        return Markup()
    longest = max(len(line.name) for line in lines)
    room = min(max(90, 9 * longest + 12), (WIDTH - LEFT - RIGHT) // len(lines))  # 9 pixels hold a letter
    return Markup().join(
        Markup(
            '<text class="is{index}" x="{x}" y="20" text-anchor="end" font-weight="600">{name}</text>'
        ).format(index=index, x=WIDTH - RIGHT - room * (len(lines) - 1 - index), name=line.name)
        for index, line in enumerate(lines)
    )
