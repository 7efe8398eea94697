"""Tar archives, compressed or not: a first pass lists them, a second one reads the pictures.

What is not compressed is read from its place. A compressed archive can only be unpacked from the front: its
entries stand in the order of the archive, and reading them in that order, in threads, unpacks it once. In any
other order it begins again for each step back.
"""

from __future__ import annotations

import tarfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tarfile import TarInfo
from typing import Self

from regraft import durable
from regraft.data.pictures import MAX_BYTES
from regraft.data.sources import streams
from regraft.data.sources.archives import Member, Names, Origin, list_members
from regraft.data.sources.listing import Listing
from regraft.data.sources.streams import Stream
from regraft.errors import InvalidArchive, InvalidPicture, RegraftError

#: What an unread picture may wait for in memory, in bytes, while those behind it are read.
_WAITING = 4 * MAX_BYTES
#: Members that only describe the next one, and the bytes that such a description may have.
_DESCRIBING = (tarfile.XHDTYPE, tarfile.XGLTYPE, b"X", tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
_DESCRIPTION = 2**20


def begins(head: bytes) -> bool:
    """Tell whether a file that begins with these bytes is an archive that is not compressed."""
    try:
        return bool(TarInfo.frombuf(head[: tarfile.BLOCKSIZE], "utf-8", "surrogateescape").name)
    except tarfile.HeaderError:
        return False


def list_scanned(path: Path, members: Sequence[Member]) -> Listing:
    """List members that `scan` returned; raises InvalidError where nothing lies in class folders."""
    packed = any(isinstance(member.read, _Span) for member in members)
    listing = list_members(path, "tar", members, ordered=packed)
    expect([entry.read for entry in listing.entries])
    return listing


def expect(reads: Sequence[Callable[[], bytes]]) -> None:
    """Say which members of a compressed archive will be read: only those are kept until their turn."""
    spans = sorted((read for read in reads if isinstance(read, _Span)), key=lambda span: span.offset)
    if spans:
        spans[0].forward.spans = spans


def scan(path: Path) -> list[Member]:
    """Return the files in a tar archive, checked; raises InvalidArchive."""
    try:
        origin = Origin.of(path)
    except OSError as error:
        raise durable.unreadable(error, path) from error
    names = Names(path)
    members = []
    with Stream(path) as stream:
        forward = _Forward(origin) if stream.compression else None
        try:
            with tarfile.open(fileobj=stream, mode="r|", bufsize=2**16, tarinfo=_Info) as archive:  # type: ignore[call-overload]  # asks for more than `read`
                while (info := archive.next()) is not None:
                    archive.members.clear()  # it would keep them all
                    _check_kind(info, names)
                    parts = names.check(info.name, folder=info.isdir())
                    if info.isdir():
                        continue
                    place = (info.offset_data, info.size)
                    read = _Span(forward, *place) if forward else _Slice(origin, *place)
                    members.append(Member(parts=parts, size=info.size, read=read))
            stream.drain()
        except RegraftError:
            raise
        except Exception as error:  # over damaged bytes tarfile raises anything
            words = str(error) if isinstance(error, tarfile.TarError) else ""
            raise streams.damaged(path, words=words) from error
    return members


class _Info(TarInfo):
    """A header that is looked at before anything is done with it."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Raise ReadError where tarfile would take damage for the end, or read any number of bytes."""
        if not buf:
            raise tarfile.ReadError("it ends without an end mark")
        if not any(buf):  # the end mark: tarfile knows what to do
            return super().frombuf(buf, encoding, errors)
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error
        if info.size < 0 or (info.type in _DESCRIBING and info.size > _DESCRIPTION):
            raise tarfile.ReadError("a header with an impossible size")
        return info


@dataclass(frozen=True, slots=True)
class _Slice:
    """A member of an archive that is not compressed."""

    origin: Origin
    offset: int
    size: int

    def __call__(self) -> bytes:
        return self.origin.read(self.offset, self.size)


@dataclass(frozen=True, slots=True)
class _Span:
    """A member of a compressed archive: its place among the unpacked bytes."""

    forward: _Forward
    offset: int
    size: int

    def __call__(self) -> bytes:
        return self.forward.read(self)


class _Forward:
    """A compressed archive that is unpacked from front to back for threads that ask nearly in order."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._lock = threading.Lock()
        self._stream: Stream | None = None
        #: Unpacked on the way to another one, by offset; their own threads come for them soon.
        self._waiting: dict[int, bytes] = {}
        #: What will be asked for, in order, and how many of these are behind.
        self.spans: list[_Span] = []
        self._passed = 0

    def read(self, span: _Span) -> bytes:
        """Return the bytes of a member; raises InvalidPicture."""
        with self._lock:
            if span.offset in self._waiting:
                return self._waiting.pop(span.offset)
            try:
                return self._advance(span)
            except InvalidArchive as error:
                raise InvalidPicture(f"the archive is damaged before it ends ({error}).") from error

    def _advance(self, wanted: _Span) -> bytes:
        stream = self._stream
        if stream is None or stream.position > wanted.offset:
            self._origin.check()
            self.close()
            self._passed = 0
            stream = self._stream = Stream(self._origin.path)
        while self._passed < len(self.spans) and (span := self.spans[self._passed]).offset <= wanted.offset:
            self._passed += 1
            if stream.position <= span.offset < wanted.offset:
                self._waiting[span.offset] = self._take(stream, span)
                while sum(map(len, self._waiting.values())) > _WAITING:
                    del self._waiting[next(iter(self._waiting))]
        data = self._take(stream, wanted)
        if self._passed == len(self.spans):
            self.close()
        return data

    def _take(self, stream: Stream, span: _Span) -> bytes:
        stream.skip_to(span.offset)
        data = stream.read(span.size)
        if len(data) < span.size:
            raise InvalidPicture("truncated.")
        return data

    def close(self) -> None:
        """Close the file; what waits stays."""
        if self._stream is not None:
            self._stream.close()
        self._stream = None


def _check_kind(info: TarInfo, names: Names) -> None:
    if info.issym() or info.islnk():
        raise names.refuse(info.name, "not a regular file but a link")
    if info.issparse() or not (info.isreg() or info.isdir()):
        raise names.refuse(info.name, "not a regular file but a device, a sparse file or something else")
