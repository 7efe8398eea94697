"""How numbers and names are written for people: the same on the page and in the terminal."""

from __future__ import annotations

from regraft.records import Interval

#: Stands where a score is not defined.
NOTHING = "–"


def percent(fraction: float | None) -> str:
    """Write a fraction as percent with one decimal; only a whole one reads as 100 %."""
    return NOTHING if fraction is None else f"{_hundredths(fraction)} %"


def decimal(value: float | None) -> str:
    """Write a score with three decimals."""
    return NOTHING if value is None else f"{value:.3f}"


def interval(bounds: Interval) -> str:
    """Write an interval of fractions in percent, such as `88.3 to 96.6 %`."""
    return f"{_hundredths(bounds.low)} to {_hundredths(bounds.high)} %"


def number(count: int, noun: str, plural: str = "") -> str:
    """Write a number of things: `1 check`, `1,400 checks`; `plural` where that adds more than an s."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {plural or f'{noun}s'}"


def pictures(count: int) -> str:
    """Write a number of pictures: `1 picture`, `140 pictures`."""
    return number(count, "picture")


def classes(count: int) -> str:
    """Write a number of classes: `1 class`, `3 classes`."""
    return number(count, "class", "classes")


def looks(count: int) -> str:
    """Say how many models a split has measured."""
    if count == 1:
        return "This is the first model that this split has measured."
    return f"This split has measured {count:,} models so far: the more one chooses by it, the less it says."


def printable(name: str) -> str:
    """Write a name so that no character of it can steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in name)


def _hundredths(fraction: float) -> str:
    value = round(100 * fraction, 1)
    return f"{min(value, 99.9) if fraction < 1 else value:.1f}"
