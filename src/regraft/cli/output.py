"""What commands share: the options that each has, and results as text or JSON on stdout."""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any
from unicodedata import combining, east_asian_width

import click
from pydantic import BaseModel

from regraft.cli.progress import Bars
from regraft.records import Version
from regraft.reports.words import printable
from regraft.workspace.main import open as open_workspace

#: Columns that a key or a label may take in a table.
_LONGEST = 60


def plain(value: Any) -> Any:
    """Return a value as what JSON knows."""
    if isinstance(value, Version):
        document = json.loads(value.data)
        return {"ref": str(value), "digest": value.digest, **document}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def with_workspace(
    show: Callable[[Any], str],
    *,
    to_json: Callable[[Any], Any] = plain,
    exit_code: Callable[[Any], int] = lambda result: 0,
) -> Callable[[Callable[..., Any]], Callable[..., int]]:
    """Give a command `--workspace` and `--json`, open the store for it, and print what it returns.

    `show` turns the result into text, `to_json` into what is printed as JSON. Of an iterator, each item is
    printed when it comes.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., int]:
        @click.option(
            "--workspace",
            type=click.Path(),
            help="Folder of the workspace, or s3://BUCKET/PREFIX.  [default: $REGRAFT_HOME, else ~/.regraft]",
        )
        @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
        @wraps(function)
        def command(*, workspace: str | None, as_json: bool, **arguments: Any) -> int:
            with Bars() as progress:
                result = function(open_workspace(workspace, progress=progress), **arguments)
            if isinstance(result, Iterator):
                for item in result:
                    click.echo(json.dumps(to_json(item), ensure_ascii=False) if as_json else show(item))
                return 0
            click.echo(json.dumps(to_json(result), ensure_ascii=False, indent=2) if as_json else show(result))
            return exit_code(result)

        return command

    return decorate


def columns(header: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> str:
    """Lay out rows under a header; `empty` is said where there are none."""
    lines = [tuple(printable(str(cell)) for cell in row) for row in rows]
    if not lines:
        return empty
    lines.insert(0, tuple(word.upper() for word in header))
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell + " " * (width - _width(cell)) for cell, width in zip(line, widths, strict=True)
        ).rstrip()
        for line in lines
    )


def short(text: str) -> str:
    """Leave out the middle of a text that is too long for a table; what is left has 60 columns."""
    text = printable(text)
    if _width(text) <= _LONGEST:
        return text
    head, tail = text, ""
    while _width(head) > _LONGEST // 2:
        head = head[:-1]
    rest = _LONGEST - _width(head) - 1
    for number in range(len(text) - 1, 0, -1):
        if _width(text[number:]) > rest:
            break
        tail = text[number:]
    return f"{head}\N{HORIZONTAL ELLIPSIS}{tail}"


def pair(words: str) -> tuple[str, str]:
    """Parse `KEY=VALUE`; a key may have an equals sign, as names of files may."""
    key, equals, value = words.rpartition("=")
    if not equals:
        raise click.UsageError(f"{words!r} has no '='.")
    return key, value


def _width(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def facts(pairs: Iterable[tuple[str, object]]) -> str:
    """Lay out names and values in two columns; a name may be empty."""
    lines = [(name, printable(str(value))) for name, value in pairs]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name.ljust(width)}  {value}".rstrip() for name, value in lines)


def in_browser(page: Path) -> Path:
    """Open a page in a browser where there is one; return where it lies."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(page.as_uri())
    return page


def bytes_text(size: int) -> str:
    """Write a number of bytes for a person."""
    value = float(size)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
