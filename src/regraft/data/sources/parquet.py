"""Parquet: pictures in a column of bytes, as Hugging Face and Regraft itself keep them, or named by paths.

Everything but the pictures is read at once; pictures are read when their turn comes.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import types

from regraft.data.sources import streams
from regraft.data.sources.archives import Origin
from regraft.data.sources.arrange import SPLITS, text
from regraft.data.sources.folders import walk
from regraft.data.sources.listing import Listing
from regraft.data.sources.row_groups import Pictures, open_file, reading
from regraft.data.sources.rows import Stated, collect, resolve, without
from regraft.errors import InvalidError

#: Files of more rows are refused.
MAX_ROWS = 10_000_000
#: Rows of everything else that are read together, and what they may take, in bytes.
_FACTS, _MAX_FACTS = 1024, 256 * 2**20
#: Pictures that are looked at before it is decided whether there are any.
_FIRST = 8

_IMAGES = ("image", "img", "picture", "photo", "image_bytes", "bytes", "jpg", "jpeg", "png")


def read_parquet(path: Path, columns: Mapping[str, str], root: Path | None) -> Listing:
    """List the rows of a Parquet file, or of all those below a folder, whose names may say the split.

    Where there are paths in place of pictures they are relative to `root`, by default the file's folder.
    Raises InvalidError.
    """
    folder = path if path.is_dir() else path.parent
    below = sorted(walk(path, Counter())) if path.is_dir() else [Path(path.name)]
    shown = [file for file in below if path.is_file() or file.suffix.casefold() == ".parquet"]
    tables = [_Table(folder / file, file, columns) for file in shown]
    rows = _with_keys([row for table in tables for row in table.rows()])
    return collect("parquet", rows, root=root or folder, source=f"The Parquet source {str(path)!r}")


def split_of(path: Path) -> str:
    """Return the split that a file's name says, or its folder's, as in `train-00000-of-00002.parquet`."""
    words = [re.split(r"[-_.]", path.name)[0], *reversed(path.parts[:-1])]
    return next((SPLITS[word.casefold()] for word in words if word.casefold() in SPLITS), "")


def _with_keys(rows: list[Stated]) -> list[Stated]:
    """Call embedded pictures by the paths that stand beside them, if those are good names; else by place."""
    paths = Counter(row.words.get("path") for row in rows if row.read)
    good = all(count == 1 and isinstance(path, str) and _relative(path) for path, count in paths.items())
    keyed = []
    for row in rows:
        if row.read and not row.words.get("key"):
            key = row.words["path"] if good else row.place
            keyed.append(replace(row, words={**row.words, "key": key}))
        else:
            keyed.append(row)
    return keyed


def _relative(name: str) -> bool:
    path = PurePosixPath(name)
    return bool(name) and name.isprintable() and not path.is_absolute() and ".." not in path.parts


class _Table:
    """A Parquet file: what its rows say, and the pictures in it."""

    def __init__(self, path: Path, shown: Path, columns: Mapping[str, str]) -> None:
        self._path = path
        self._name = text(shown.with_suffix("").as_posix())
        self._split = split_of(shown)
        self._source = f"The Parquet file {str(path)!r}"
        with reading(path), open_file(path) as file:
            self._classes = _class_names(file.schema_arrow)
            self._groups, self._count = file.num_row_groups, file.metadata.num_rows
            self._choose(file, columns)
        if self._count > MAX_ROWS:
            raise InvalidError(
                f"{self._source} has more than {MAX_ROWS:,} rows.",
                hint="Write the rows into several files.",
                where=str(path),
            )
        self._pictures = Pictures(Origin.of(path), self._image)

    def rows(self) -> Iterator[Stated]:
        """Yield what the rows say; raises InvalidArchive."""
        number = 0
        for group in range(self._groups):
            at = 0
            for facts in self._facts(group):
                for row in facts:
                    yield self._stated(row, group, at, number)
                    at, number = at + 1, number + 1
                if number > self._count:
                    break
        if number != self._count:
            raise streams.damaged(self._path, words=f"it should have {self._count:,} rows")

    def _choose(self, file: pq.ParquetFile, columns: Mapping[str, str]) -> None:
        """Decide which column holds what."""
        schema = file.schema_arrow
        fields = dict(zip(schema.names, schema.types, strict=True))
        self._found = resolve(schema.names, columns, source=self._source, also=("image",))
        self._image = self._found.pop("image", "") or _image_column(fields)
        #: Whether the pictures' column has the parts `bytes` and `path`, as Hugging Face has it.
        self._parts = self._image in fields and types.is_struct(fields[self._image])
        if self._image and self._found.get("path") == self._image:
            del self._found["path"]
        names = [name for name in self._classes if name not in self._found.values()]
        if "label" not in self._found and len(names) == 1:
            self._found["label"] = names[0]
        if not self._image and "path" not in self._found:
            raise without("image", schema.names, source=self._source, means="pictures or their paths")
        if "label" not in self._found:
            raise without("label", schema.names, source=self._source, means="the labels")
        taken = {*self._found.values(), self._image}
        self._extra = [name for name, kind in fields.items() if name not in taken and _is_scalar(kind)]
        #: Whether there are only the paths of the pictures.
        self._named_by_path = not self._image or (
            self._parts and "path" not in self._found and _only_paths(file, self._image)
        )

    def _facts(self, group: int) -> Iterator[list[dict[str, object]]]:
        """Yield what stands in a row group beside the pictures, in batches."""
        whole = [*self._found.values(), *self._extra]
        beside = f"{self._image}.path"
        with reading(self._path), open_file(self._path) as file:
            has_path = self._parts and beside in _leaves(file)
            for batch in file.iter_batches(
                batch_size=_FACTS,
                row_groups=[group],
                columns=[*whole, beside] if has_path else whole,
                use_threads=False,
            ):
                if batch.nbytes > _MAX_FACTS:
                    raise streams.damaged(self._path, words="some rows have far too much text")
                columns = {name: _values(batch.column(name)) for name in whole}
                if has_path:
                    columns[beside] = batch.column(self._image).field("path").to_pylist()
                yield [
                    dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
                ]

    def _stated(self, row: dict[str, object], group: int, at: int, number: int) -> Stated:
        words = {word: row[name] for word, name in self._found.items()}
        if "path" not in words:
            words["path"] = row.get(f"{self._image}.path")
        reason = ""
        names = self._classes.get(self._found["label"])
        label = words["label"]
        if names is not None and isinstance(label, int):
            reason = "" if -1 <= label < len(names) else f"{label} is the number of no class"
            words["label"] = names[label] if 0 <= label < len(names) else None
        if not words.get("split"):
            words["split"] = self._split
        return Stated(
            place=f"{self._name}/{number:06}",
            words=words,
            extra={name: self._named(name, row[name]) for name in self._extra if _is_value(row[name])},
            read=None if self._named_by_path else partial(self._pictures.read, group, at),
            reason=reason,
        )

    def _named(self, name: str, value: object) -> object:
        names = self._classes.get(name, [])
        return names[value] if isinstance(value, int) and 0 <= value < len(names) else value


def _image_column(fields: Mapping[str, pa.DataType]) -> str:
    """Return the column that holds pictures; empty where there is none."""
    holds = [name for name, kind in fields.items() if _holds_bytes(kind)]
    named = [name for name in holds if name.casefold() in _IMAGES]
    return named[0] if named else holds[0] if len(holds) == 1 else ""


def _holds_bytes(kind: pa.DataType) -> bool:
    if types.is_struct(kind):
        return any(part.name == "bytes" and _holds_bytes(part.type) for part in kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _is_scalar(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        return _is_scalar(kind.value_type)
    return any(
        is_kind(kind)
        for is_kind in (
            types.is_string,
            types.is_large_string,
            types.is_integer,
            types.is_floating,
            types.is_boolean,
            types.is_temporal,
            types.is_decimal,
        )
    )


def _values(column: pa.Array) -> list[object]:
    """Return the values of a column as Python's; times and decimals as text."""
    if types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if types.is_temporal(column.type) or types.is_decimal(column.type):
        column = column.cast(pa.string())
    return cast(list[object], column.to_pylist())


def _is_value(value: object) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _leaves(file: pq.ParquetFile) -> set[str]:
    return {file.schema.column(i).path for i in range(len(file.schema))}


def _only_paths(file: pq.ParquetFile, image: str) -> bool:
    """Tell whether the first pictures have paths in place of bytes.

    The file's statistics would say it, but of damaged ones Arrow may end the process.
    """
    columns = [f"{image}.bytes"]
    first = next(file.iter_batches(batch_size=_FIRST, columns=columns, use_threads=False), None)
    return first is not None and first.column(image).field("bytes").null_count == len(first) > 0


def _class_names(schema: pa.Schema) -> dict[str, list[str]]:
    """Return the names of the classes that stand as numbers, by column, as Hugging Face writes them."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"].items()
        found = {}
        for column, feature in features:
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel":
                names = feature["names"]
                names = [names[str(i)] for i in range(len(names))] if isinstance(names, dict) else names
                found[column] = [str(name) for name in names]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError):
        return {}
    return {column: names for column, names in found.items() if column in schema.names}
