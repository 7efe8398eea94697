"""The drawings of a report, as SVG inside the page; colours come from the page's style sheet."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10, sqrt

from markupsafe import Markup

from regraft.records import Bin, Candidate, CurvePoint, Interval, Learning, Training
from regraft.reports import curve as lines_over

#: Size of the curve in its own units, which are pixels at its natural size.
WIDTH, HEIGHT = 460, 250
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 22, 42
#: Side of a drawing from 0 to 1 both ways.
SIDE = 320

SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

Scale = Callable[[float], float]


def bar(fraction: float, bounds: Interval | None = None) -> Markup:
    """Draw a fraction between 0 and 1 as a bar, and its 95 % interval as a whisker.

    The bar is as wide as its place; the numbers stand beside it as text, so it is hidden from readers.
    """
    whisker = Markup()
    if bounds is not None:
        whisker = Markup(
            '<line class="whisker" x1="{low}%" x2="{high}%" y1="9" y2="9"/>'
            '<line class="whisker" x1="{low}%" x2="{low}%" y1="4" y2="14"/>'
            '<line class="whisker" x1="{high}%" x2="{high}%" y1="4" y2="14"/>'
        ).format(low=_number(100 * bounds.low), high=_number(100 * bounds.high))
    return Markup(
        '<svg class="bar{kind}" width="100%" height="18" aria-hidden="true">'
        '<rect class="track" y="1" width="100%" height="16" rx="3"/>'
        '<rect class="fill" y="1" width="{width}%" height="16" rx="3"/>{whisker}</svg>'
    ).format(kind="" if bounds is None else " ours", width=_number(100 * fraction), whisker=whisker)


def curve(learning: Learning) -> Markup:
    """Draw the cross-validated log-loss (nats) over C (log axis), with one standard error either way.

    Empty where fewer than two strengths of regularisation were tried.
    """
    points = sorted((c for c in learning.candidates if c.C > 0), key=lambda c: c.C)
    if len(points) < 2 or points[0].C == points[-1].C:
        return Markup()
    frame = _frame(points)
    line = " ".join(f"{_number(frame.x(c.C))},{_number(frame.y(c.log_loss))}" for c in points)
    label = (
        f"Cross-validated log-loss for {len(points)} values of C from {points[0].C:g} to {points[-1].C:g}; "
        f"C = {learning.C:g} was taken."
    )
    return Markup(
        '<svg class="curve" viewBox="0 0 {w} {h}" role="img" aria-label="{label}">{grid}{chosen}{errors}'
        '<polyline class="line" points="{line}"/>{dots}</svg>'
    ).format(
        w=WIDTH,
        h=HEIGHT,
        label=label,
        grid=_grid(frame),
        chosen=_chosen(learning.C, frame),
        errors=Markup().join(_error_bar(c, frame) for c in points),
        line=line,
        dots=Markup().join(_dot(c, frame, chosen=c.C == learning.C) for c in points),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    x: Scale
    y: Scale
    decades: tuple[int, ...]
    ticks: tuple[float, ...]
    #: Decimals that tell one tick from the next.
    decimals: int


def _frame(points: list[Candidate]) -> _Frame:
    first, last = log10(points[0].C), log10(points[-1].C)
    low = max(0.0, min(c.log_loss - c.standard_error for c in points))
    high = max(c.log_loss + c.standard_error for c in points)
    if high - low < 1e-9:
        high = low + 1.0
    step = _step(high - low)
    bottom, top = floor(low / step), ceil(high / step)
    inset = 14  # keeps the outer points off the frame
    across = (WIDTH - RIGHT - LEFT - 2 * inset) / (last - first)
    up = (HEIGHT - BOTTOM - TOP) / ((top - bottom) * step)
    every = max(1, ceil((last - first) / 9))
    decades = [d for d in range(ceil(first - 1e-9), floor(last + 1e-9) + 1) if d % every == 0]
    return _Frame(
        x=lambda strength: LEFT + inset + (log10(strength) - first) * across,
        y=lambda loss: HEIGHT - BOTTOM - (loss - bottom * step) * up,
        decades=tuple(decades),
        ticks=tuple(n * step for n in range(bottom, top + 1)),
        decimals=max(0, -floor(log10(step) + 1e-9)),
    )


def _step(span: float) -> float:
    """Return a round step that cuts a span into about four."""
    unit: float = 10.0 ** floor(log10(span / 4))
    return next(unit * factor for factor in (1, 2, 5, 10) if span / (unit * factor) <= 5)


def _grid(frame: _Frame) -> Markup:
    lines = [
        Markup(
            '<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
            '<text x="{at}" y="{y}" dy="4" text-anchor="end">{tick}</text>'
        ).format(
            left=LEFT,
            right=WIDTH - RIGHT,
            y=_number(frame.y(tick)),
            at=LEFT - 7,
            tick=f"{tick:.{frame.decimals}f}",
        )
        for tick in frame.ticks
    ]
    lines += [
        Markup('<text x="{x}" y="{y}" text-anchor="middle">10{power}</text>').format(
            x=_number(frame.x(10.0**decade)), y=HEIGHT - BOTTOM + 18, power=str(decade).translate(SUPERSCRIPT)
        )
        for decade in frame.decades
    ]
    lines.append(
        Markup(
            '<text class="axis" x="{x}" y="{y}" text-anchor="middle">C, weaker regularisation →</text>'
        ).format(x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 6)
    )
    return Markup().join(lines)


def _chosen(C: float, frame: _Frame) -> Markup:  # noqa: N803 (C is what everybody calls it)
    if C <= 0:
        return Markup()
    at = min(max(frame.x(C), LEFT + 30), WIDTH - RIGHT - 30)
    return Markup(
        '<line class="chosen" x1="{x}" x2="{x}" y1="{top}" y2="{bottom}"/>'
        '<text class="chosen" x="{at}" y="{above}" text-anchor="middle">C = {C}</text>'
    ).format(
        x=_number(frame.x(C)), top=TOP, bottom=HEIGHT - BOTTOM, at=_number(at), above=TOP - 8, C=f"{C:g}"
    )


def _error_bar(candidate: Candidate, frame: _Frame) -> Markup:
    low, high = candidate.log_loss - candidate.standard_error, candidate.log_loss + candidate.standard_error
    return Markup('<line class="error" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>').format(
        x=_number(frame.x(candidate.C)), low=_number(frame.y(max(low, 0.0))), high=_number(frame.y(high))
    )


def _dot(candidate: Candidate, frame: _Frame, *, chosen: bool) -> Markup:
    return Markup('<circle class="dot{kind}" cx="{x}" cy="{y}" r="{r}"/>').format(
        kind=" taken" if chosen else "",
        x=_number(frame.x(candidate.C)),
        y=_number(frame.y(candidate.log_loss)),
        r=4.5 if chosen else 3,
    )


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


def reliability(bins: Sequence[Bin]) -> Markup:
    """Draw how often the model was right over how sure it was; on the diagonal it would be as right as sure.

    A point is as large as its bin has pictures, compared with the fullest one.
    """
    if not bins:
        return Markup()
    most = max(one.count for one in bins)
    points = [(one, _across(one.confidence), _up(one.accuracy)) for one in bins]
    dots = Markup().join(
        Markup(
            '<line class="error" x1="{x}" x2="{x}" y1="{low}" y2="{high}"/>'
            '<circle class="dot" cx="{x}" cy="{y}" r="{r}"><title>{said}</title></circle>'
        ).format(
            x=_number(x),
            y=_number(y),
            low=_number(_up(one.interval.low)),
            high=_number(_up(one.interval.high)),
            r=_number(2.5 + 4 * sqrt(one.count / most)),
            said=f"{one.count:,} pictures between {one.low:.0%} and {one.high:.0%}: "
            f"sure {one.confidence:.1%}, right {one.accuracy:.1%}",
        )
        for one, x, y in points
    )
    return Markup(
        '<svg class="curve square" viewBox="0 0 {side} {side}" role="img" aria-label="Reliability diagram">'
        '{grid}<line class="chosen" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>'
        "{dots}</svg>"
    ).format(
        side=SIDE,
        grid=_unit_grid("how sure the model was", "how often it was right"),
        x0=_across(0.0),
        y0=_up(0.0),
        x1=_across(1.0),
        y1=_up(1.0),
        dots=dots,
    )


def areas(
    curves: Mapping[str, Sequence[tuple[float, float]]], names: Sequence[str], across: str, up: str
) -> Markup:
    """Draw curves of some classes from 0 to 1 both ways, each in a colour, with a legend below."""
    known = [name for name in names if curves.get(name)]
    if not known:
        return Markup()
    lines = Markup().join(
        Markup('<polyline class="line of{n}" points="{points}"><title>{name}</title></polyline>').format(
            n=number,
            name=name,
            points=" ".join(f"{_number(_across(x))},{_number(_up(y))}" for x, y in curves[name]),
        )
        for number, name in enumerate(known)
    )
    legend = Markup().join(
        Markup('<li class="of{n}"><bdi>{name}</bdi></li>').format(n=number, name=name)
        for number, name in enumerate(known)
    )
    return Markup(
        '<figure><svg class="curve square" viewBox="0 0 {side} {side}" role="img" '
        'aria-label="{up} over {across}">{grid}{lines}</svg><ul class="legend">{legend}</ul></figure>'
    ).format(side=SIDE, up=up, across=across, grid=_unit_grid(across, up), lines=lines, legend=legend)


def gains(points: Sequence[CurvePoint]) -> Markup:
    """Draw the accuracy out of fold over the number of pictures that were learned from."""
    if len(points) < 2:
        return Markup()
    line = lines_over.Line(
        name="accuracy", points=tuple((float(point.pictures), point.accuracy) for point in points)
    )
    drawn = lines_over.draw(
        [line], title="Accuracy over pictures", across="pictures learned from", up="accuracy"
    )
    return _picture(drawn, "Accuracy out of fold over the number of pictures")


def _across(value: float) -> float:
    return LEFT + value * (SIDE - LEFT - RIGHT)


def _up(value: float) -> float:
    return SIDE - BOTTOM - value * (SIDE - BOTTOM - TOP)


def _unit_grid(across: str, up: str) -> Markup:
    lines = [
        Markup(
            '<line class="grid" x1="{left}" x2="{right}" y1="{y}" y2="{y}"/>'
            '<text x="{at}" y="{y}" dy="4" text-anchor="end">{tick}</text>'
            '<text x="{x}" y="{below}" text-anchor="middle">{tick}</text>'
        ).format(
            left=LEFT,
            right=SIDE - RIGHT,
            y=_number(_up(tick)),
            x=_number(_across(tick)),
            at=LEFT - 7,
            below=SIDE - BOTTOM + 18,
            tick=f"{tick:g}",
        )
        for tick in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    lines.append(
        Markup(
            '<text x="{x}" y="{bottom}" text-anchor="middle">{across}</text>'
            '<text x="{left}" y="{top}">{up}</text>'
        ).format(x=_number(_across(0.5)), bottom=SIDE - 6, across=across, left=4, top=12, up=up)
    )
    return Markup().join(lines)


def _picture(drawn: str, words: str) -> Markup:
    """Put a drawing that has a style of its own into the page, as a picture."""
    return Markup('<img class="plot" alt="{words}" src="data:image/svg+xml;base64,{data}">').format(
        words=words, data=b64encode(drawn.encode()).decode()
    )


def losses(training: Training) -> Markup:
    """Draw the losses of a training over its epochs; nothing of one epoch, which is no line.

    The drawing has a style of its own, and so stands in the page as a picture.
    """
    epochs = training.epochs
    if len(epochs) < 2:
        return Markup()
    lines = [lines_over.Line(name="training", points=tuple((e.epoch, e.train_loss) for e in epochs))]
    if seen := tuple((e.epoch, e.loss) for e in epochs if e.loss is not None):
        lines.append(lines_over.Line(name="validation", points=seen))
    drawn = lines_over.draw(lines, title="Loss over epochs", across="epoch", up="loss")
    return _picture(drawn, "Loss over epochs")
