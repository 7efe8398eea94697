"""Bundles: versions with all that they need in one file, to be carried to another workspace.

A bundle is an uncompressed zip archive: `bundle.json` says which versions it holds; the rest lies as it does
in a store. Equal versions give an equal file. Whoever reads one trusts nothing in it: every name, size and
digest is checked, and what does not belong is refused.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from regraft import durable
from regraft.errors import ConflictError, InvalidArchive, InvalidError, NotFoundError, RegraftError
from regraft.progress import Progress, silent
from regraft.records import Correction, DatasetVersion, Kind, Record, Refused, Version, decode, encode
from regraft.refs import check_name
from regraft.store.catalog import file_name, seal, unseal
from regraft.store.checks import RowChecks
from regraft.store.leases import lease
from regraft.store.opening import Store
from regraft.store.references import KINDS, Needs, digest_of, is_digest, is_object, keep, needs
from regraft.store.zips import stored

#: The layout of bundles that this code reads and writes.
FORMAT = 1
#: Limits on what is read: members, bytes of a version's file, bytes of any other file.
MEMBERS = 100_000
MANIFEST = 64 * 2**20
OBJECT = 8 * 2**30

_REFUSED = TypeAdapter(tuple[Refused, ...])
_CORRECTIONS = TypeAdapter(tuple[Correction, ...])
_INDEX = "bundle.json"
_VERSION = re.compile(rf"({'|'.join(KINDS)})/([^/]+)/v([1-9][0-9]{{0,8}})\.json")
#: The end record of a zip file without a comment; it says how large the list of members is.
_END = struct.Struct("<4sHHHHIIH")
#: The one before it for larger numbers, and the record that says where that is.
_LARGE = struct.Struct("<4sQHHIIQQQQ")
_PLACE = struct.Struct("<4sIQI")
#: Bytes of a member's entry in the list of members, at most.
_ENTRY = 1024
#: What `zipfile` raises on files that are no good archive.
_BAD = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
    struct.error,
)


class Packed(Record):
    """A version in a bundle."""

    kind: Kind
    name: str
    number: int
    digest: str


class Bundle(Record):
    """What a bundle says of itself."""

    format: Literal[1]
    versions: tuple[Packed, ...]


def write_bundle(
    store: Store,
    versions: Sequence[Version],
    path: Path,
    *,
    replace: bool = False,
    progress: Progress = silent,
) -> None:
    """Write versions and all that they need into one file: at once, or not at all.

    Raises ConflictError where the file exists, unless it should be replaced, and IntegrityError where
    something that is needed is missing or damaged.
    """
    if not replace and path.exists():  # before minutes of reading
        raise ConflictError(f"{str(path)!r} exists already.", hint="Choose another name.")
    files = {_name(version): seal(version) for version in versions}
    packed = [
        Packed(kind=version.kind, name=version.name, number=version.number, digest=version.digest)
        for version in sorted(versions, key=_name)
    ]
    files[_INDEX] = encode(Bundle(format=FORMAT, versions=tuple(packed)))
    wanted = [needs(version) for version in versions]
    blobs = {store.blobs.name(digest): digest for need in wanted for digest in need.blobs}
    packs = {store.packs.files.name(digest): digest for need in wanted for digest in need.packs}

    def members() -> Iterator[tuple[str, bytes]]:
        names = sorted({*files, *blobs, *packs})
        for done, name in enumerate(names, start=1):
            if name in files:
                yield name, files[name]
            else:
                yield (
                    name,
                    store.blobs.get(blobs[name]) if name in blobs else store.packs.files.get(packs[name]),
                )
            progress("Writing the bundle", done, len(names))

    durable.stream(path, stored(members()), replace=replace, point="bundle")


def read_bundle(
    store: Store, path: Path, *, name: str | None = None, progress: Progress = silent
) -> list[Version]:
    """Put the versions of a bundle into a store, and return them as they are called there.

    They keep their digests, their name unless another is given, and their number where that is free.
    Versions that are there already stay as they are. Raises InvalidArchive where the file is no bundle, is
    damaged, or holds anything that does not belong into it: nothing is then visible.
    """
    with _opened(path) as members:
        versions = members.versions()
        if name is not None and len({version.name for version in versions}) > 1:
            raise InvalidError(
                f"The bundle {path.name!r} holds versions of several names.",
                hint="Import it without another name.",
                where=path.name,
            )
        wanted = [members.check_needs(version) for version in versions]
        members.check_all_wanted(store, wanted)
        with lease(store.storage):
            members.put(store, progress)
            for version, need in zip(versions, wanted, strict=True):
                members.check_there(store, version, need)
            called = [check_name(name) if name else version.name for version in versions]
            return [
                store.catalog.adopt(_renamed(version, new))[0]
                for version, new in zip(versions, called, strict=True)
            ]


class _Members:
    """The members of an archive that is not trusted."""

    def __init__(self, archive: zipfile.ZipFile, *, size: int) -> None:
        self._archive = archive
        self._infos: dict[str, zipfile.ZipInfo] = {}
        for info in archive.infolist():
            if not 0 <= info.header_offset < size:
                raise _bad(f"{info.filename!r} lies outside of the bundle.", info.filename)
            self._take(info)
        if sum(info.file_size for info in self._infos.values()) > size:
            raise _bad("The members of the bundle are larger than the file.", "")

    def versions(self) -> list[Version]:
        """Return the versions that the archive says it holds, checked, in the order of their numbers."""
        try:
            index = decode(Bundle, self._read(_INDEX), where=_INDEX)
        except InvalidError as error:
            raise _bad(str(error), _INDEX) from error
        found = {_name(version): version for version in map(self._version, index.versions)}
        given = {name for name in self._infos if _VERSION.fullmatch(name)}
        if len(found) < len(index.versions) or set(found) != given or not found:
            raise _bad("The versions in the bundle are not those that it names.", _INDEX)
        return sorted(
            found.values(), key=lambda version: (KINDS.index(version.kind), version.name, version.number)
        )

    def check_needs(self, version: Version) -> Needs:
        """Return what a version needs; its manifest is read for the first time."""
        try:
            wanted = needs(version)
        except InvalidError as error:
            raise _bad(str(error), _name(version)) from error
        if not all(map(is_digest, wanted.blobs | wanted.packs)):
            raise _bad(f"The version {str(version)!r} needs what has no digest.", _name(version))
        return wanted

    def check_all_wanted(self, store: Store, wanted: Iterable[Needs]) -> None:
        """Refuse files that no version of the bundle needs."""
        names = {name for need in wanted for name in need.names(store)}
        for name in self._objects():
            if name not in names:
                raise _bad(f"No version in the bundle needs {name!r}.", name)

    def put(self, store: Store, progress: Progress) -> None:
        """Put every blob and pack into a store, each verified before."""
        objects = self._objects()
        for done, name in enumerate(objects, start=1):
            data = self._read(name)
            if sha256(data).hexdigest() != digest_of(name):
                raise _bad(f"The file {name!r} in the bundle is damaged.", name)
            (store.blobs if name.startswith("blobs/") else store.packs.files).put(data)
            progress("Reading the bundle", done, len(objects))

    def check_there(self, store: Store, version: Version, wanted: Needs) -> None:
        """Refuse a version whose files are neither in the bundle nor in the store, or do not fit together."""
        where = _name(version)
        for missing in sorted(keep(store, wanted)):
            raise _bad(
                f"The version {str(version)!r} needs {missing!r}, which the bundle does not have.", where
            )
        if version.kind != "datasets":
            return
        data = version.read(DatasetVersion)
        try:
            for name, fault in RowChecks(store).faults(data):
                raise _bad(f"In {str(version)!r}, {name!r} {fault}.", where)
            for list_, kind in ((data.refused, _REFUSED), (data.corrections, _CORRECTIONS)):
                if list_ is not None:
                    kind.validate_json(store.blobs.get(list_))
        except InvalidError as error:
            raise _bad(str(error), where) from error
        except ValidationError as error:
            raise _bad(f"A list of {str(version)!r} cannot be read.", where) from error

    def _take(self, info: zipfile.ZipInfo) -> None:
        name = info.filename
        version = _VERSION.fullmatch(name)
        if not (name == _INDEX or is_object(name) or (version and _is_name(version[2]))):
            raise _bad(f"{name!r} does not belong into a bundle.", name)
        if name in self._infos:
            raise _bad(f"{name!r} is in the bundle twice.", name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise _bad(f"{name!r} is compressed, which nothing in a bundle is.", name)
        if info.file_size > (OBJECT if is_object(name) else MANIFEST):
            raise _bad(f"{name!r} is too large ({info.file_size:,} bytes).", name)
        self._infos[name] = info

    def _version(self, packed: Packed) -> Version:
        name = file_name(packed.kind, packed.name, packed.number)
        plain = unseal(self._read(name))
        if plain is None or sha256(plain).hexdigest() != packed.digest:
            raise _bad(f"The version file {name!r} in the bundle is damaged.", name)
        return Version(
            kind=packed.kind, name=packed.name, number=packed.number, digest=packed.digest, data=plain
        )

    def _objects(self) -> list[str]:
        return sorted(filter(is_object, self._infos))

    def _read(self, name: str) -> bytes:
        if name not in self._infos:
            raise _bad(f"The bundle has no {name!r}.", name)
        info = self._infos[name]
        try:
            with self._archive.open(info) as file:
                data = file.read(info.file_size)
        except _BAD as error:
            raise _bad(f"{name!r} in the bundle cannot be read.", name) from error
        if len(data) != info.file_size:
            raise _bad(f"{name!r} in the bundle is cut short.", name)
        return data


@contextmanager
def _opened(path: Path) -> Iterator[_Members]:
    try:
        size = path.stat().st_size
        _check_end(path, size)
        archive = zipfile.ZipFile(path)
    except FileNotFoundError:
        raise NotFoundError(f"There is no file {str(path)!r}.") from None
    except _BAD as error:
        raise _bad(f"{path.name!r} is no bundle, or is cut short.", path.name) from error
    except OSError as error:
        raise durable.unreadable(error, path) from error
    with archive:
        yield _Members(archive, size=size)


def _check_end(path: Path, size: int) -> None:
    """Refuse an archive whose list of members would fill the memory before one of them is looked at."""
    with path.open("rb") as file:
        file.seek(max(size - _LARGE.size - _PLACE.size - _END.size, 0))
        tail = file.read()
    mark, _, _, _, count, listed, _, comment = _END.unpack(tail[-_END.size :])
    if len(tail) > _END.size and tail[-_END.size - _PLACE.size :].startswith(b"PK\6\7"):
        _, _, _, _, _, _, _, count, listed, _ = _LARGE.unpack(tail[: _LARGE.size])
    if mark != b"PK\5\6" or comment or count > MEMBERS or listed > MEMBERS * _ENTRY:
        raise zipfile.BadZipFile


def _is_name(text: str) -> bool:
    try:
        return check_name(text) == text
    except RegraftError:
        return False


def _name(version: Version) -> str:
    return file_name(version.kind, version.name, version.number)


def _bad(message: str, where: str) -> InvalidArchive:
    return InvalidArchive(message, hint="Have the bundle made again: regraft dataset export.", where=where)


def _renamed(version: Version, name: str) -> Version:
    return Version(
        kind=version.kind, name=name, number=version.number, digest=version.digest, data=version.data
    )
