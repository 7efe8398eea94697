"""Lists of pictures: CSV, TSV, and JSON Lines, with a row for each picture."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import NoReturn

from regraft import durable
from regraft.data.sources.arrange import text
from regraft.data.sources.listing import Listing
from regraft.data.sources.rows import ALIASES, Stated, collect, resolve, without
from regraft.errors import InvalidError

#: Longer lines are refused, in bytes.
MAX_LINE = 2**20
#: Longer lists are refused.
MAX_ROWS = 10_000_000

_DELIMITERS = (",", ";", "\t")
_PICTURES = "the pictures' paths"


def read_csv(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """List the rows of a CSV or TSV file with a header; see `ALIASES` for the names of columns.

    In place of a label column there may be a column for each class, with one 1 in each row. Paths are
    relative to `root`, by default the list's own folder. Raises InvalidError with the line.
    """
    return _collect("csv", _csv_rows(path, columns), path, root)


def read_jsonl(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """List the objects of a JSON Lines file, one in each line; raises InvalidError with the line."""
    return _collect("jsonl", _json_rows(path, columns), path, root)


def read_packed(reader: str, path: Path, data: bytes, reads: Mapping[str, Callable[[], bytes]]) -> Listing:
    """List the objects of a JSON Lines file in an archive; `reads` has the archive's files by their paths.

    `path` names the list in messages. Raises InvalidError with the line.
    """
    rows = (_joined(row, reads) for row in _json_rows(path, {}, data))
    return collect(reader, rows, root=path.parent, source=_source(path))


def _joined(row: Stated, reads: Mapping[str, Callable[[], bytes]]) -> Stated:
    written = row.words.get("path")
    name = text(written) if isinstance(written, str) and written.isprintable() else ""
    if name not in reads:
        return replace(row, reason=row.reason or "there is no such file in the archive")
    return replace(row, words={"key": name, **row.words}, read=reads[name])


def _collect(reader: str, rows: Iterator[Stated], path: Path, root: Path | None) -> Listing:
    return collect(reader, rows, root=root or path.parent, source=_source(path))


def _source(path: Path) -> str:
    return f"The list {str(path)!r}"


def _invalid(path: Path, line: int, words: str) -> InvalidError:
    return InvalidError(
        f"Line {line} of {str(path)!r} cannot be read: {words}.",
        hint="Mend the line, or write the list again, in UTF-8.",
        where=f"line {line}",
    )


def _lines(path: Path, data: bytes | None = None) -> Iterator[str]:
    """Yield the lines of a text file, or of the bytes that were read from it; raises InvalidError."""
    try:
        with path.open("rb") if data is None else BytesIO(data) as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    raise _invalid(path, number, f"longer than {MAX_LINE:,} bytes")
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError:
                    raise _invalid(path, number, "it is not UTF-8") from None
    except OSError as error:
        raise durable.unreadable(error, path) from error


def _cells(path: Path, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows of a CSV file that are not blank, the header first, with the number of their line."""
    rows = csv.reader(_lines(path), delimiter=delimiter, strict=True)
    last = 0
    try:
        for count, cells in enumerate(rows):
            if count > MAX_ROWS:
                raise _invalid(path, rows.line_num, f"there are more than {MAX_ROWS:,} rows")
            if any(cell.strip() for cell in cells):
                yield last + 1, cells
            last = rows.line_num
    except csv.Error as error:
        raise _invalid(path, max(1, rows.line_num), str(error)) from error


def _csv_rows(path: Path, columns: Mapping[str, str]) -> Iterator[Stated]:
    delimiter = _delimiter(path, columns)
    header = [name.strip() for name in next(_cells(path, delimiter), (1, []))[1]]
    if twice := next((name for name, count in Counter(header).items() if name and count > 1), ""):
        raise InvalidError(
            f"{_source(path)} has two columns {twice!r}.", hint="Rename one of them.", where=twice
        )
    found = resolve(header, _as_path(columns), source=_source(path))
    if "path" not in found:
        raise without("path", header, source=_source(path), means=_PICTURES)
    other = dict.fromkeys(name for name in header if name not in found.values())
    classes = [] if "label" in found else _classes(path, delimiter, header, other)
    if "label" not in found and len(classes) < 2:
        raise without("label", header, source=_source(path), means="the labels")
    extra = sorted({*other} - {*classes})
    rows = _cells(path, delimiter)
    next(rows)
    for line, cells in rows:
        place = f"line {line}"
        row = dict(zip(header, cells, strict=False))
        words = {word: row.get(name, "") for word, name in found.items()}
        reason = ""
        if len(cells) != len(header):
            reason = f"{len(cells)} cells, but the header has {len(header)}"
        elif classes:
            ones = [name for name in classes if float(row[name]) == 1]
            words["label"] = ones[0] if ones else ""
            reason = "" if len(ones) == 1 else f"a 1 in {len(ones)} of the columns for classes, not in one"
        yield Stated(
            place=place, words=words, extra={name: row.get(name, "") for name in extra}, reason=reason
        )


def _as_path(columns: Mapping[str, str]) -> dict[str, str]:
    return {"path" if word == "image" else word: column for word, column in columns.items()}


def _delimiter(path: Path, columns: Mapping[str, str]) -> str:
    """Return what separates the cells of the header: what gives the most columns that we know."""
    known = {alias for aliases in ALIASES.values() for alias in aliases}
    known |= {column.strip().casefold() for column in columns.values()}
    first = next((line for line in _lines(path) if line.strip()), "")

    def worth(delimiter: str) -> tuple[int, int]:
        try:
            header = next(csv.reader([first], delimiter=delimiter), [])
        except csv.Error:
            return 0, 0
        return sum(name.strip().casefold() in known for name in header), len(header)

    return max(_DELIMITERS, key=worth)


def _classes(path: Path, delimiter: str, header: Sequence[str], names: Collection[str]) -> list[str]:
    """Return the columns that hold nothing but 0 and 1."""
    places = {name: at for at, name in enumerate(header) if name in names}
    rows = _cells(path, delimiter)
    next(rows)
    for _, cells in rows:
        if len(cells) == len(header):
            places = {name: at for name, at in places.items() if cells[at] in ("0", "1", "0.0", "1.0")}
        if not places:
            break
    return list(places)


def _json_rows(path: Path, columns: Mapping[str, str], data: bytes | None = None) -> Iterator[Stated]:
    resolved: dict[tuple[str, ...], dict[str, str]] = {}
    names: dict[str, None] = {}
    wanted = _as_path(columns)
    complete = False
    for number, line in enumerate(_lines(path, data), start=1):
        if not line.strip():
            continue
        if number > MAX_ROWS:
            raise _invalid(path, number, f"there are more than {MAX_ROWS:,} rows")
        place = f"line {number}"
        if not resolved and line.lstrip().startswith("["):
            raise InvalidError(
                f"{str(path)!r} is a JSON array.", hint="Write one object on each line.", where=place
            )
        try:
            row = json.loads(line, parse_constant=_no_number)
        except _NoNumberError as error:
            yield Stated(place=place, words={}, reason=f"{error} is no value")
            continue
        except (ValueError, RecursionError) as error:
            raise _invalid(path, number, f"it is not JSON ({str(error).strip(' .')[:100]})") from None
        if not isinstance(row, dict):
            raise _invalid(path, number, "it is not a JSON object")
        keys = tuple(row)
        if keys not in resolved:
            names |= dict.fromkeys(keys)
            lower = {name.strip().casefold() for name in keys}
            there = {word: name for word, name in wanted.items() if name.strip().casefold() in lower}
            resolved[keys] = resolve(keys, there, source=_source(path))
        found = resolved[keys]
        complete |= "path" in found
        yield Stated(
            place=place,
            words={word: row[name] for word, name in found.items()},
            extra={name: value for name, value in row.items() if name not in found.values()},
        )
    resolve(list(names), wanted if names else {}, source=_source(path))  # a column that no row has
    if names and not complete:
        raise without("path", list(names), source=_source(path), means=_PICTURES)


class _NoNumberError(Exception):
    """NaN and Infinity: Python reads them, JSON has no such words."""


def _no_number(name: str) -> NoReturn:
    raise _NoNumberError(name)
