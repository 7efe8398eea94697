"""Lists of labels for pictures that are there already: written as suggestions, perhaps edited, read again."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

from regraft import durable
from regraft.errors import InvalidError
from regraft.records import Suggestion

_COLUMNS = ("key", "label", "suggested", "probability", "given", "split", "reason", "digest")
_DELIMITERS = ",;\t"  # spreadsheets write what their country writes


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """A picture and the label that it should have."""

    number: int
    key: str
    label: str
    #: Empty where the list does not say which picture it is.
    digest: str


def write(suggestions: Iterable[Suggestion]) -> bytes:
    """Return suggestions as a CSV file with a header."""
    text = StringIO()
    lines = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
    lines.writeheader()
    lines.writerows(item.model_dump(mode="json") for item in suggestions)
    return text.getvalue().encode()


def read(path: Path) -> list[Line]:
    """Return the lines of a list with the columns `key` and `suggested`, where both say something.

    Raises InvalidError for what is no such list.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise durable.unreadable(error, path) from error
    except UnicodeDecodeError:
        raise InvalidError(f"The list {str(path)!r} is no text.", hint="Write it again, in UTF-8.") from None
    header = text.partition("\n")[0]
    lines = csv.DictReader(StringIO(text, newline=""), delimiter=max(_DELIMITERS, key=header.count))
    try:
        missing = [name for name in ("key", "suggested") if name not in (lines.fieldnames or ())]
        if missing:
            raise InvalidError(
                f"The list {str(path)!r} has no column {missing[0]!r}.",
                hint="Write one with `regraft dataset suggest-labels NAME -o labels.csv`, and change that.",
                where=missing[0],
            )
        return [
            Line(
                number=lines.line_num,
                key=line["key"],
                label=line["suggested"].strip(),
                digest=line.get("digest") or "",
            )
            for line in lines
            if line["key"] and (line["suggested"] or "").strip()
        ]
    except csv.Error as error:
        raise InvalidError(
            f"Line {lines.line_num} of {str(path)!r} cannot be read: {error}.",
            hint="Mend the line, or write the list again.",
            where=f"line {lines.line_num}",
        ) from error
