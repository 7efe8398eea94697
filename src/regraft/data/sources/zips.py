"""Zip archives: the directory is read by the standard library, each member straight from its place."""

from __future__ import annotations

import bz2
import io
import os
import stat
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile, ZipInfo

from regraft import durable
from regraft.data.sources import streams
from regraft.data.sources.archives import MAX_MEMBERS, Member, Names, Origin, list_members, refused
from regraft.data.sources.listing import Listing
from regraft.errors import InvalidError, InvalidPicture, RegraftError

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_ENCRYPTED = 0x1 | 0x40 | 0x2000
_UTF8 = 0x800
#: Signature, twenty-two bytes that the directory repeats, lengths of the name and of what follows it.
_HEADER = struct.Struct("<4s22xHH")
_ENTRY = b"PK\x01\x02"


def read_zip(path: Path) -> Listing:
    """List a zip archive of class folders; entries can be read in any order, in threads.

    Raises InvalidArchive where the archive is damaged or not safe, NotAllowedError, or InvalidError.
    """
    members = scan(path)
    _check_bundle(path, members)
    return list_members(path, "zip", members, ordered=False)


def scan(path: Path) -> list[Member]:
    """Return the files in a zip archive, checked; raises InvalidArchive."""
    try:
        origin = Origin.of(path)
        with _Directory(path, "rb") as file, ZipFile(file) as archive:
            names = Names(path)
            found = [
                (info, names.check(_name(info), folder=info.is_dir()))
                for info in _regular(archive.infolist(), names)
            ]
            found = [(info, parts) for info, parts in found if not info.is_dir()]
            unpacked = sum(info.file_size for info, _ in found)
            streams.check_growth(path, unpacked, origin.size)
            starts = _starts(file, [info for info, _ in found], archive.start_dir, names)
    except RegraftError:
        raise
    except PermissionError as error:
        raise durable.unreadable(error, path) from error
    except Exception as error:  # over damaged bytes zipfile raises anything
        words = str(error) if isinstance(error, BadZipFile) else ""
        raise streams.damaged(path, words=words) from error
    return [
        Member(parts=parts, size=info.file_size, read=_way(origin, info, start))
        for (info, parts), start in zip(found, starts, strict=True)
    ]


def _check_bundle(path: Path, members: Sequence[Member]) -> None:
    """Raise InvalidError for what Regraft exports to be imported: its pictures have no folders."""
    names = {member.parts[0] for member in members}
    if "datasets" in names and any(member.parts == ("bundle.json",) for member in members):
        raise InvalidError(
            f"{str(path)!r} is a bundle.", hint=f"Take it in: regraft dataset import {path}", where=str(path)
        )


class _Directory(io.FileIO):
    """The file of an archive; refuses a directory of too many entries before they fill the memory."""

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, os.fstat(self.fileno()).st_size - self.tell())
        data = super().read(left if size is None or size < 0 else min(size, left)) or b""
        if data.count(_ENTRY) > MAX_MEMBERS:
            raise BadZipFile(f"more than {MAX_MEMBERS:,} members")
        return data


@dataclass(frozen=True, slots=True)
class _Packed:
    """Where a member lies, and how it is packed."""

    origin: Origin
    start: int
    packed: int
    size: int
    checksum: int
    method: int

    def __call__(self) -> bytes:
        data = self._unpack(self.origin.read(self.start, self.packed))
        if len(data) != self.size:
            raise InvalidPicture("damaged (it is not as long as the archive says).")
        if zlib.crc32(data) != self.checksum:
            raise InvalidPicture("damaged (the archive has another checksum).")
        return data

    def _unpack(self, data: bytes) -> bytes:
        most = self.size + 1  # one byte too many tells a size that is not true
        try:
            if self.method == _DEFLATED:
                return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
            return bz2.BZ2Decompressor().decompress(data, most) if self.method == _BZIP2 else data
        except (zlib.error, OSError, ValueError, EOFError) as error:
            raise InvalidPicture(f"damaged ({str(error).strip(' .')}).") from None


def _way(origin: Origin, info: ZipInfo, start: int | None) -> Callable[[], bytes]:
    """Return how a member is read, or why it cannot be."""
    if info.flag_bits & _ENCRYPTED:
        return refused("encrypted: unpack the archive with its password")
    if info.compress_type not in (_STORED, _DEFLATED, _BZIP2):
        return refused(f"packed by a method that is not supported ({info.compress_type})")
    if start is None:
        return refused("damaged (its header is not what the directory says)")
    if info.compress_size > info.file_size + info.file_size // 8 + 1024:
        return refused("damaged (it is not as long as the archive says)")
    return _Packed(origin, start, info.compress_size, info.file_size, info.CRC, info.compress_type)


def _regular(infos: list[ZipInfo], names: Names) -> Iterator[ZipInfo]:
    for info in infos:
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise names.refuse(_name(info), "neither a file nor a folder, but perhaps a link")
        yield info


def _name(info: ZipInfo) -> str:
    """Return a member's name; many tools write UTF-8 without saying so."""
    name = info.orig_filename
    if info.flag_bits & _UTF8:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _starts(file: _Directory, infos: list[ZipInfo], end: int, names: Names) -> list[int | None]:
    """Return where the bytes of each member begin: None where its header is damaged.

    Raises InvalidArchive where two members share bytes: a small archive would unpack to any size.
    """
    starts = []
    taken = []
    for info in infos:
        written = info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437")
        head = os.pread(file.fileno(), _HEADER.size + len(written), max(0, info.header_offset))
        start = None
        if len(head) == _HEADER.size + len(written) and info.header_offset >= 0:
            magic, name_length, extra_length = _HEADER.unpack_from(head)
            if magic == MAGIC[0] and name_length == len(written) and head[_HEADER.size :] == written:
                start = info.header_offset + _HEADER.size + name_length + extra_length
        starts.append(start)
        taken.append((info.header_offset, (start or info.header_offset) + info.compress_size, info))
    taken.sort(key=lambda place: place[:2])
    for (_, stop, info), following in zip(taken, [*(place[0] for place in taken[1:]), end], strict=True):
        if stop > following:
            raise names.refuse(_name(info), "its bytes are those of another member too")
    return starts
