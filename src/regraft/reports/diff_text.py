"""What differs between two versions of a dataset in plain lines, for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from regraft.reports import words


class Diff(Protocol):
    """What differs, in parts; everything in a part writes itself as a line."""

    @property
    def parts(self) -> Mapping[str, Sequence[object]]:
        """What differs in pictures, by the name of the part."""

    @property
    def classes(self) -> Sequence[object]:
        """What differs in classes."""


def summary(diff: Diff, *, limit: int = 10) -> str:
    """Write what differs without a colour code, at most `limit` pictures or classes of a part."""
    lines = [
        line
        for name, part in diff.parts.items()
        if part
        for line in _block(name, [words.pictures(len(part)), *_limited(part, limit)])
    ]
    if diff.classes:
        lines += _block("classes", _limited(diff.classes, limit))
    return "\n".join(lines) or "No picture differs."


def _limited(part: Sequence[object], limit: int) -> Iterator[str]:
    yield from map(str, part[:limit])
    if len(part) > limit:
        yield f"and {len(part) - limit} more"


def _block(name: str, values: Iterator[str] | Sequence[str]) -> Iterator[str]:
    for number, value in enumerate(values):
        yield f"{'' if number else name:<10}  {words.printable(value)}"
