"""`regraft dataset add`, `build`, `import`: what makes a new version."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from regraft import durable
from regraft.cli.finetune import describe
from regraft.cli.output import pair, with_workspace
from regraft.data.ingest import Added
from regraft.data.sources import readers
from regraft.errors import InvalidError
from regraft.recipe import read as read_recipe
from regraft.records import Version
from regraft.workspace.main import Workspace

_MODES = click.Choice(["new", "append", "overwrite"])
_MODES_HELP = "Whether there may be a version before, and whether its rows stay."
_EXAMPLE = 'Write {"path": "a.jpg", "label": "cat"}.'


def show_added(result: Added) -> str:
    """Say what was read and what could not be."""
    return "\n".join(describe(result.version, result))


@click.command()
@click.argument("name")
@click.argument("source")
@click.option("--mode", type=_MODES, default="overwrite", show_default=True, help=_MODES_HELP)
@click.option("--reader", default="", help="How SOURCE is laid out, where its content does not say.")
@click.option("--column", "columns", multiple=True, metavar="OURS=THEIRS", help="Name a column of a list.")
@click.option("--root", type=click.Path(path_type=Path), help="What the paths in a list are relative to.")
@click.option("--group-by", default="", help="Keep together: column:NAME, path:REGEX or time:SECONDS.")
@click.option("--sha256", default="", help="What a URL must give.")
@click.option("--sha1", default="", help="What a URL must give.")
@click.option("--md5", default="", help="What a URL must give.")
@click.option("--header-only", is_flag=True, help="Trust the pictures after a look at their headers.")
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Change a value of the recipe.")
@with_workspace(show_added)
def add(
    workspace: Workspace,
    name: str,
    source: str,
    *,
    mode: Any,
    reader: str,
    columns: tuple[str, ...],
    root: Path | None,
    group_by: str,
    sha256: str,
    sha1: str,
    md5: str,
    header_only: bool,
    settings: tuple[str, ...],
) -> Added:
    """Store the pictures of SOURCE as a new version of dataset NAME.

    SOURCE is a folder with one folder of pictures for each class, with or without train, val and test above
    them; a zip or tar archive of one; a CSV, TSV or JSONL list of paths and labels; a Parquet file; the URL
    of one of these; or a named set: digits, mnist, fashion-mnist, cifar10, cifar100, hotdog. It is only
    read.
    """
    said = [f"{kind}:{value}" for kind, value in (("sha256", sha256), ("sha1", sha1), ("md5", md5)) if value]
    if len(said) > 1:
        raise click.UsageError("Give one of --sha256, --sha1 and --md5.")
    if group_by:
        settings = (*settings, f"data.group_by={json.dumps(group_by)}")
    return workspace.datasets.add(
        name,
        source,
        mode=mode,
        reading=readers.Source(reader=reader, columns=dict(map(pair, columns)), root=root),
        checksum=said[0] if said else "",
        decode=not header_only,
        recipe=read_recipe(None, settings),
    )


@click.command()
@click.argument("name")
@click.argument("rows", type=click.Path(path_type=Path, allow_dash=True), default="-")
@click.option("--mode", type=_MODES, default="new", show_default=True, help=_MODES_HELP)
@with_workspace(show_added)
def build(workspace: Workspace, name: str, rows: Path, mode: Any) -> Added:
    """Make a version of dataset NAME row by row, from ROWS or standard input.

    Each line is a JSON object: {"path": "a.jpg", "label": "cat"}, perhaps with split, group and key; anything
    else is kept as metadata. Paths are relative to the working folder. Nothing is committed before the last
    line.
    """
    try:
        lines = click.open_file(str(rows), "rb")
    except OSError as error:
        raise durable.unreadable(error, rows) from error
    with lines, workspace.datasets.build(name, mode=mode) as builder:
        for number, row in _objects(lines, rows):
            picture, label = row.pop("path", None), row.pop("label", None)
            split, group, key = (row.pop(word, "") for word in ("split", "group", "key"))
            if not isinstance(picture, str) or not isinstance(label, str | int):
                raise _unusable(number, "has no path or no label")
            if not all(isinstance(word, str) for word in (split, group, key)):
                raise _unusable(number, "has a split, a group or a key that is no text")
            builder.take(Path(picture), label=label, split=split, group=group, key=key, metadata=row)
    if builder.added is None:
        raise RuntimeError("the block was left without a commit")
    return builder.added


@click.command("import")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--name", help="What the dataset is called here.  [default: as in the bundle]")
@with_workspace(lambda version: "\n".join(describe(version, None)))
def import_(workspace: Workspace, bundle: Path, name: str | None) -> Version:
    """Take a dataset version out of BUNDLE, a file that `dataset export NAME FILE.regraft` has written."""
    return workspace.datasets.import_(bundle, name=name)


def _objects(rows: Iterable[bytes], source: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(_lines(rows, source), start=1):
        if line.strip():
            try:
                row = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError):  # also what is not UTF-8
                row = None
            if not isinstance(row, dict):
                raise _unusable(number, "is no JSON object")
            yield number, row


def _lines(rows: Iterable[bytes], source: Path) -> Iterator[bytes]:
    try:
        yield from rows
    except OSError as error:
        raise durable.unreadable(error, source) from error


def _unusable(number: int, reason: str) -> InvalidError:
    return InvalidError(f"Line {number} {reason}.", hint=_EXAMPLE, where=str(number))
