"""The door through which pictures come in: whatever a path or a name stands for, as a listing.

Readers list; they do not decode. Only RegraftError comes out of them, however damaged a source is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regraft import durable
from regraft.data.sources import cifar, folders, idx, lists, streams, tars, zips
from regraft.data.sources.arrange import text
from regraft.data.sources.folders import exists, expand, find_pictures, read_folder
from regraft.data.sources.listing import Listing
from regraft.data.sources.named import SETS, NamedSet, read_digits
from regraft.errors import InvalidArchive, InvalidError, NotFoundError, did_you_mean
from regraft.records import RemoteFile

__all__ = [
    "SETS",
    "NamedSet",
    "Source",
    "exists",
    "expand",
    "find_pictures",
    "read",
    "read_digits",
    "read_folder",
    "read_named",
    "text",
]

#: What a source can be read as.
READERS = ("folder", "zip", "tar", "csv", "jsonl", "parquet")

_LISTS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}
_ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".tbz2", ".bz2", ".txz", ".xz", ".zst", ".parquet")
_PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
#: What an export of ours says of the pictures beside it.
_OWN_LIST = "rows.jsonl"
_WANTED = "Give a folder of class folders, a zip or tar of one, a list (CSV or JSON Lines), or Parquet."


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a person may say about a source besides its path."""

    #: One of `READERS`, or the name of a set; empty: whatever its content is.
    reader: str = ""
    #: The column of a list for each of our words: path, label, split, group, key, image.
    columns: Mapping[str, str] = field(default_factory=dict)
    #: What the paths in a list are relative to; None: the list's own folder.
    root: Path | None = None


def read(path: Path, source: Source | None = None) -> Listing:
    """List the pictures of a folder, an archive, a list, or a Parquet file, by its content and not its name.

    Raises NotFoundError, NotAllowedError, or InvalidError where it cannot be read as a dataset.
    """
    source = source or Source()
    if source.reader in SETS:
        return read_copy(path, source.reader)
    if source.reader and source.reader not in READERS:
        raise InvalidError(
            f"There is no reader {source.reader!r}.",
            hint=did_you_mean(
                source.reader, (*READERS, *SETS), otherwise=f"There are: {', '.join(READERS)}."
            ),
            where=source.reader,
        )
    if source.root is not None:
        folders.check_folder(source.root)
    there = exists(path)
    if not there:
        _check_file(path)
    if not there or path.is_dir() or source.reader == "folder":
        return _read_folder(path, source)
    if not path.is_file():
        raise InvalidError(f"{str(path)!r} is neither a file nor a folder.", hint=_WANTED, where=str(path))
    reader = source.reader or _recognise(path)
    if reader == "parquet":
        return _read_parquet(path, source)
    if reader in ("csv", "jsonl"):
        read_list = lists.read_csv if reader == "csv" else lists.read_jsonl
        return read_list(path, source.columns, source.root)
    return zips.read_zip(path) if reader == "zip" else _read_tar(path)


def read_named(name: str, locate: Callable[[RemoteFile], Path]) -> Listing:
    """List a set that goes by a name; `locate` returns where one of its files lies, downloaded and verified.

    Raises NotFoundError for a name that is none, InvalidError where the files are damaged.
    """
    if name not in SETS:
        raise NotFoundError(
            f"There is no data set {name!r}.",
            hint=did_you_mean(name, SETS, otherwise=f"There are: {', '.join(SETS)}."),
        )
    found = SETS[name]
    return found.read({file.name: locate(file) for file in found.files})


def read_copy(path: Path, name: str) -> Listing:
    """List a set that goes by a name from a copy: a folder with its files, or the one file that it is.

    Raises NotFoundError, InvalidError.
    """
    if path.is_dir() or not exists(path):
        return SETS[name].read_local(path)
    return SETS[name].read({path.name: path})


def _check_file(path: Path) -> None:
    """Raise NotFoundError where a path that does not exist is called like a file."""
    if path.suffix.casefold() in (*_LISTS, *_ARCHIVES):
        near = [file.name for file in path.absolute().parent.glob("*") if file.is_file()]
        raise NotFoundError(
            f"There is no file {str(path)!r}.", hint=did_you_mean(path.name, near, otherwise=_WANTED)
        )


def _read_folder(path: Path, source: Source) -> Listing:
    """Read a folder: class folders, or what a published set or a Parquet dataset unpacks to."""
    if source.reader == "parquet":
        return _read_parquet(path, source)
    folders.check_folder(path)
    ignored: Counter[str] = Counter()
    files = folders.walk(path, ignored)
    if not source.reader and (listing := _read_own_list(path, source, count=len(files))):
        return listing
    endings = {file.suffix.casefold() for file in files}
    if not source.reader and not endings & _PICTURES:
        whole = [path / file for file in files]
        if ".parquet" in endings:
            return _read_parquet(path, source)
        if found := idx.find_files(whole):
            return idx.read_idx(found)
        if found := cifar.find_files(whole):
            return cifar.read_folder(found, source=path)
    return folders.list_files(path, files, ignored)


def _read_own_list(path: Path, source: Source, *, count: int) -> Listing | None:
    """Read an export of ours as its list says; None where there is none, or the files are others by now."""
    own = path / _OWN_LIST
    if not own.is_file():
        return None
    try:
        listing = lists.read_jsonl(own, source.columns, source.root)
    except InvalidError:  # a list of somebody else's
        return None
    return listing if len(listing.entries) == count and not listing.refused else None


def _read_tar(path: Path) -> Listing:
    members = tars.scan(path)
    if found := cifar.find_members(members):
        return cifar.read_cifar(found, source=path)
    return tars.list_scanned(path, members)


def _read_parquet(path: Path, source: Source) -> Listing:
    from regraft.data.sources import parquet  # pyarrow, which only this format needs

    return parquet.read_parquet(path, source.columns, source.root)


def _recognise(path: Path) -> str:
    """Return which reader reads a file; raises InvalidError where none does."""
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise durable.unreadable(error, path) from error
    if head.startswith(zips.MAGIC):
        return "zip"
    if head.startswith(b"PAR1"):
        return "parquet"
    if streams.compression(head) or tars.begins(head):
        return "tar"
    suffix = path.suffix.casefold()
    if suffix in _ARCHIVES:
        raise InvalidArchive(
            f"{str(path)!r} is called {suffix!r}, but is nothing of the kind.",
            hint="Download it again: it may be an error page, or end too early.",
            where=str(path),
        )
    if suffix in _LISTS:
        return _LISTS[suffix]
    if b"\0" in head or suffix in _PICTURES or not head.strip():
        raise InvalidError(f"{str(path)!r} is a file, not a folder.", hint=_WANTED, where=str(path))
    return "jsonl" if head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{") else "csv"
