"""Write the pictures of a version where other programs find them: a folder, a zip, or a Parquet file.

The pictures are the very bytes that were stored. A folder and a zip hold them as SPLIT/LABEL/NAME, where a
name may be changed so that every disk takes it, and a list `rows.jsonl` with the true words. Equal rows give
equal files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from regraft import durable
from regraft.data.naming import Layout
from regraft.data.parallel import ordered
from regraft.data.parquet_writer import write_parquet
from regraft.data.sources.arrange import OWN_LIST
from regraft.errors import ConflictError, InvalidError, did_you_mean
from regraft.progress import Progress
from regraft.records import DatasetVersion, Row
from regraft.store.opening import Store
from regraft.store.zips import stored

#: The list beside the pictures.
ROWS = OWN_LIST

_FORMATS = ("folder", "zip", "parquet")
_SUFFIXES = {".zip": "zip", ".parquet": "parquet", ".regraft": "bundle"}
_OTHERS = {".tar", ".gz", ".tgz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".csv", ".tsv", ".json", ".jsonl"}


class Many(Protocol):
    """Rows that know how many they are."""

    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Row]: ...


def format_of(path: Path) -> str:
    """Return the format that a path's suffix asks for: `zip`, `parquet`, `bundle`, and otherwise `folder`.

    Raises InvalidError for the suffix of another kind of file.
    """
    suffix = path.suffix.casefold()
    if suffix in _OTHERS:
        raise InvalidError(
            f"A dataset is not exported as {suffix!r}.",
            hint="Give a folder, or a name that ends in .zip, .parquet or .regraft.",
            where=str(path),
        )
    return _SUFFIXES.get(suffix, "folder")


def export(
    store: Store,
    record: DatasetVersion,
    rows: Many,
    path: Path,
    *,
    format: str = "",  # noqa: A002 (the word of the command line)
    progress: Progress,
    replace: bool = False,
) -> None:
    """Write rows of a version to `path` as `folder`, `zip` or `parquet`: all of it, or nothing.

    Without a format the suffix of the path decides. Raises ConflictError where `path` exists, unless it is a
    file that should be replaced, InvalidError where there is no such format.
    """
    kind = format or format_of(path)
    if kind not in _FORMATS:
        raise InvalidError(
            f"Pictures are not exported as {kind!r}.",
            hint=did_you_mean(kind, _FORMATS, otherwise=f"It is one of {', '.join(_FORMATS)}."),
            where="format",
        )
    _check_free(path, replace=replace, folder=kind == "folder")
    pictures = _read(store, rows, progress)
    if kind == "folder":
        with durable.tree(path, point="export") as tree:
            for name, data in _members(pictures, record):
                tree.put(name, data)
    else:
        chunks = (
            stored(_members(pictures, record)) if kind == "zip" else write_parquet(pictures, record.labels)
        )
        durable.stream(path, chunks, replace=replace, point="export")


def _check_free(path: Path, *, replace: bool, folder: bool) -> None:
    """Refuse early what would be refused when everything is written."""
    if not os.path.lexists(path):
        return
    if path.is_dir() or (folder and replace):
        raise ConflictError(
            f"{str(path)!r} exists already.",
            hint="A folder is never replaced, nor a file by a folder: choose another name.",
        )
    if not replace:
        raise ConflictError(f"{str(path)!r} exists already.", hint="Choose another name, or add --replace.")


def _read(store: Store, rows: Many, progress: Progress) -> Iterator[tuple[Row, bytes]]:
    """Yield the rows with their pictures, read ahead in threads and verified."""
    total = len(rows)
    pictures = ordered(lambda row: (row, store.packs.read(row)), rows)
    for done, picture in enumerate(pictures, start=1):
        yield picture
        progress("Writing pictures", done, total)


def _members(pictures: Iterator[tuple[Row, bytes]], record: DatasetVersion) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of every picture, and of the list in the end."""
    layout = Layout(record.labels)
    lines = []
    for row, data in pictures:
        name = layout.path(row, data)
        lines.append(_line(name, row))
        yield name, data
    yield ROWS, b"".join(lines)


def _line(path: str, row: Row) -> bytes:
    words = {
        "path": path,
        "key": row.key,
        "label": row.label,
        "split": row.split,
        "group": row.group,
        "metadata": json.loads(row.metadata),
    }
    return f"{json.dumps(words, ensure_ascii=False)}\n".encode()
