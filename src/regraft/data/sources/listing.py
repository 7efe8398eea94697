"""What a reader finds: entries that should be pictures, each with its label and a way to read it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from regraft.records import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file that should be a picture, its label, and how to read it."""

    #: Unique within a listing: the path below the source, with slashes.
    key: str
    label: str
    #: `train`, `val` or `test`; empty where the source does not say.
    split: str = ""
    #: Pictures of one group never stand in different splits; empty where the source does not say.
    group: str = ""
    #: Anything else that the source says of the picture, as a JSON object with sorted keys.
    metadata: str = "{}"
    #: Called once, in a thread; raises InvalidPicture with the reason.
    read: Callable[[], bytes]


@dataclass(kw_only=True)
class Listing:
    """What a reader found."""

    reader: str
    entries: list[Entry] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    #: What was passed over, by kind.
    ignored: Counter[str] = field(default_factory=Counter)


def natural(text: str) -> tuple[list[tuple[int, int | str]], str]:
    """Return a sorting key that puts 2 before 10; no two texts have the same."""
    parts = [part for part in re.split(r"(\d+)", text) if part]
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts], text
