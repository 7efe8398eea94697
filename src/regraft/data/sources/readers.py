"""The door through which pictures come in: whatever a path or a name stands for, as a listing.

Readers list; they do not decode. Only RegraftError comes out of them, however damaged a source is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from regraft import durable
from regraft.data.sources import cifar, folders, idx, lists, streams, tars, zips
from regraft.data.sources.arrange import OWN_LIST, PICTURES, does_not_fit, text
from regraft.data.sources.folders import exists, expand, find_pictures, read_folder
from regraft.data.sources.listing import Listing
from regraft.data.sources.named import SETS, NamedSet, read_digits
from regraft.errors import (
    FetchError,
    IntegrityError,
    InvalidArchive,
    InvalidError,
    NotFoundError,
    RegraftError,
    did_you_mean,
)
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
#: Archives that only their own tools read, and how they begin.
_OTHERS = {".7z": b"7z\xbc\xaf'\x1c", ".rar": b"Rar!\x1a\x07"}
#: A longer file beside pictures is not looked at to see whether it is their list, in bytes.
_LOOK = 2**26
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
        _check_name(path)
    if not there or path.is_dir() or source.reader == "folder":
        return _read_folder(path, source)
    if not path.is_file():
        raise InvalidError(f"{str(path)!r} is neither a file nor a folder.", hint=_WANTED, where=str(path))
    reader = source.reader or _recognise(path)
    if reader == "parquet":
        return _read_parquet(path, source)
    if reader in ("csv", "jsonl"):
        _check_list(path)
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
    paths = {}
    for file in SETS[name].files:
        try:
            paths[file.name] = locate(file)
        except (FetchError, IntegrityError) as error:
            raise type(error)(
                str(error),
                hint=f"{error.hint} Or add a copy of the set: "
                f"regraft dataset add {name} FOLDER --reader {name}.".lstrip(),
            ) from error
    return SETS[name].read(paths)


def read_copy(path: Path, name: str) -> Listing:
    """List a set that goes by a name from a copy: a folder with its files, or the one file that it is.

    Raises NotFoundError, InvalidError.
    """
    if path.is_dir() or not exists(path):
        return SETS[name].read_local(path)
    return SETS[name].read({path.name: path})


def _check_file(path: Path) -> None:
    """Raise NotFoundError where a path that does not exist is called like a file."""
    if path.suffix.casefold() in (*_LISTS, *_ARCHIVES, *_OTHERS):
        near = [file.name for file in path.absolute().parent.glob("*") if file.is_file()]
        raise NotFoundError(
            f"There is no file {str(path)!r}.", hint=did_you_mean(path.name, near, otherwise=_WANTED)
        )


def _check_name(path: Path) -> None:
    """Raise NotFoundError where one word, that is no path, may have been meant for a set."""
    if path.is_absolute() or len(path.parts) != 1 or path.name == "..":
        return
    named = f"a named set: {', '.join(SETS)}"
    near = [*SETS, *(other.name for other in Path().glob("*") if other.is_dir())]
    guess = did_you_mean(path.name.casefold().replace("_", "-"), near)
    raise NotFoundError(
        f"There is no folder {str(path)!r}.",
        hint=f"{guess} It may be a folder of class folders, or {named}."
        if guess
        else f"Give the folder that holds one folder for each class, or {named}.",
    )


def _check_list(path: Path) -> None:
    """Raise InvalidError where what should be read as a list is packed."""
    if kind := _packed(_head(path)):
        what = "a Parquet file" if kind == "parquet" else f"a {kind} archive"
        raise InvalidError(
            f"{str(path)!r} is {what}, not a list.", hint="Leave --reader out.", where=str(path)
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
    if (path / OWN_LIST).is_file():
        ignored = does_not_fit(ignored)
    endings = {file.suffix.casefold() for file in files}
    if not source.reader and not endings & PICTURES:
        whole = [path / file for file in files]
        if ".parquet" in endings:
            return _read_parquet(path, source)
        if found := idx.find_files(whole):
            return idx.read_idx(found)
        if found := cifar.find_files(whole):
            return cifar.read_folder(found, source=path)
    try:
        listing = folders.list_files(path, files, ignored)
    except InvalidError:
        _check_no_list(path, files, labels=0)
        raise
    if len({entry.label for entry in listing.entries}) == 1 and not source.reader:
        _check_no_list(path, files, labels=1)
    return listing


def _check_no_list(path: Path, files: Sequence[Path], *, labels: int) -> None:
    """Raise InvalidError where a list beside or above the pictures tells more labels than their folders."""
    beside = [path / file for file in files if len(file.parts) == 1]
    above = [] if labels else [file for file in path.absolute().parent.glob("*") if file.is_file()]
    for file, root in [*((file, path) for file in beside), *((file, file.parent) for file in above)]:
        for folder in dict.fromkeys((root, path)):
            if len(_labels(file, folder, path)) > labels:
                more = "" if folder == file.parent else f" --root {path}"
                raise InvalidError(
                    f"The pictures of {str(path)!r} are not in class folders, but in the list {file.name!r}.",
                    hint=f"Add the list: regraft dataset add NAME {_beside(file, path)}{more}",
                    where=str(file),
                )


def _labels(file: Path, root: Path, pictures: Path) -> set[str]:
    """Return the labels that a list gives to files in a folder; none where it is no list."""
    if file.suffix.casefold() not in {*_LISTS} - {".txt"}:
        return set()
    read_list = lists.read_csv if _LISTS[file.suffix.casefold()] == "csv" else lists.read_jsonl
    try:
        if file.stat().st_size > _LOOK:
            return set()
        listing = read_list(file, {}, root)
    except (OSError, RegraftError):
        return set()
    inside = "" if root.absolute() == pictures.absolute() else f"{text(pictures.absolute().name)}/"
    return {entry.label for entry in listing.entries if entry.key.startswith(inside)}


def _beside(file: Path, path: Path) -> Path:
    """Write the path of a list like that of the folder that was given."""
    given = path.is_absolute() or path.name in ("", "..") or file.is_relative_to(path)
    return file if given else path.parent / file.name


def _read_own_list(path: Path, source: Source, *, count: int) -> Listing | None:
    """Read an export of ours as its list says; None where there is none, or the files are others by now."""
    own = path / OWN_LIST
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


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(4096)
    except OSError as error:
        raise durable.unreadable(error, path) from error


def _packed(head: bytes) -> str:
    """Return which reader reads a packed file that begins so; empty where it is none."""
    if head.startswith(zips.MAGIC):
        return "zip"
    if head.startswith(b"PAR1"):
        return "parquet"
    return "tar" if streams.compression(head) or tars.begins(head) else ""


def _recognise(path: Path) -> str:
    """Return which reader reads a file; raises InvalidError where none does."""
    head = _head(path)
    if kind := _packed(head):
        return kind
    suffix = path.suffix.casefold()
    if suffix in _OTHERS or head.startswith(tuple(_OTHERS.values())):
        raise InvalidArchive(
            f"{str(path)!r} is an archive that Regraft does not read.",
            hint="Use zip or tar.",
            where=str(path),
        )
    if suffix in _ARCHIVES:
        raise InvalidArchive(
            f"{str(path)!r} is called {suffix!r}, but is nothing of the kind.",
            hint="Download it again: it may be an error page, or end too early.",
            where=str(path),
        )
    if suffix in _LISTS:
        return _LISTS[suffix]
    if b"\0" in head or suffix in PICTURES or not head.strip():
        raise InvalidError(f"{str(path)!r} is a file, not a folder.", hint=_WANTED, where=str(path))
    start = b"".join(head.removeprefix(b"\xef\xbb\xbf").split())
    return "jsonl" if start.startswith((b"{", b"[{")) else "csv"
