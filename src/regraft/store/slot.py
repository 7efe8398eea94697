"""One file to be downloaded: its places on disk, and whether what lies there is right.

<root>/<key>/<name>         the file; the key is the digest of its URLs and checksums
<root>/<key>/<name>.part    what has come of it, and in <name>.part.json what it is
<root>/<key>/<name>.sha256  the digest that was found where none was known beforehand
<root>/<key>/<name>.json    what the server calls that file, to ask whether it has another one by now
<root>/<name>               a file that a person put there; taken where a checksum proves it
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path

from regraft import durable
from regraft.errors import InvalidRecord
from regraft.progress import Progress
from regraft.records import Record, RemoteFile, canonical, decode, digest, encode
from regraft.store.transfer import public

log = logging.getLogger(__name__)

#: Hexadecimal digits of each checksum, the best first.
DIGITS = {"sha256": 64, "sha1": 40, "md5": 32}

_PIECE = 2**20


class Part(Record):
    """What is known of a file of which a part has come."""

    url: str
    #: An ETag or a date, as If-Range takes it.
    validator: str
    size: int | None
    #: Bytes that the disk has confirmed.
    done: int


class Slot:
    """The places on disk of one file."""

    def __init__(self, root: Path, file: RemoteFile) -> None:
        urls = [public(url) for url in file.urls]
        folder = root / digest(canonical({"urls": urls, **sums_of(file)}))
        self.file = file
        self.path = folder / file.name
        self.part = folder / f"{file.name}.part"
        self.note = folder / f"{file.name}.part.json"
        self.memory = folder / f"{file.name}.sha256"
        self.origin = folder / f"{file.name}.json"
        self.lock = folder / ".lock"
        self.own = root / file.name

    def read_note(self, url: str) -> Part:
        """Return what is known of the part, empty where nothing can be resumed from a URL."""
        nothing = Part(url=public(url), validator="", size=None, done=0)
        try:
            part = decode(Part, self.note.read_bytes(), where=self.note.name)
            done = min(part.done, self.part.stat().st_size)
        except (OSError, InvalidRecord):
            return nothing
        same = part.url == nothing.url and part.validator
        return part.model_copy(update={"done": done}) if same else nothing

    def write_note(self, part: Part, done: int) -> None:
        """Keep what is known of the part."""
        durable.swap(self.note, encode(part.model_copy(update={"done": done})), point="fetch.note")

    def drop_part(self) -> None:
        """Forget what has come."""
        durable.remove(self.part)
        durable.remove(self.note)

    def read_validator(self, url: str) -> str:
        """Return what the server calls the file that came from a URL; empty where that is not known."""
        try:
            origin = decode(Part, self.origin.read_bytes(), where=self.origin.name)
        except (OSError, InvalidRecord):
            return ""
        return origin.validator if origin.url == public(url) else ""

    def write_origin(self, whole: Part) -> None:
        """Keep what the server calls the file."""
        durable.swap(self.origin, encode(whole), point="fetch.note")

    def drop(self) -> None:
        """Forget the whole file."""
        durable.remove(self.origin)  # first: it must never speak of another file
        durable.remove(self.path)
        durable.remove(self.memory)

    def remember(self, found: str) -> None:
        """Keep the digest of a file of which none was known."""
        log.info("The sha256 of %s is %s.", public(self.file.urls[0]), found)
        durable.swap(self.memory, f"{found}  {self.file.name}\n".encode(), point="fetch.memory")

    def problem(self, path: Path, progress: Progress) -> str | None:
        """Say what a file on this machine has that it should not; empty for a good one, None for none."""
        known = sums_of(self.file) or self._remembered()
        sums = Sums(self.file, known)
        try:
            if not path.is_file():
                return None
            sums.read(path, path.stat().st_size, progress)
        except OSError as error:
            raise durable.unreadable(error, path) from error
        said = sums.problem()
        if not said and not known:
            self.remember(sums.hex("sha256"))
        return said

    def _remembered(self) -> dict[str, str]:
        try:
            return {"sha256": self.memory.read_text(encoding="ascii")[:64]}
        except (OSError, ValueError):
            return {}


class Sums:
    """The size and the digests of bytes that are seen once, in order."""

    def __init__(self, file: RemoteFile, known: Mapping[str, str]) -> None:
        self.size = 0
        self._file = file
        self._known = known
        self._running = {kind: hashlib.new(kind, usedforsecurity=False) for kind in known or ("sha256",)}

    def update(self, piece: bytes) -> None:
        """See the next bytes."""
        self.size += len(piece)
        for running in self._running.values():
            running.update(piece)

    def read(self, path: Path, length: int, progress: Progress) -> None:
        """See the first bytes of a file; raises OSError."""
        with path.open("rb") as stream:
            while self.size < length and (piece := stream.read(min(_PIECE, length - self.size))):
                self.update(piece)
                progress(f"Checking {self._file.name}", self.size, length)

    def hex(self, kind: str) -> str:
        """Return a digest of what was seen."""
        return self._running[kind].hexdigest()

    def problem(self) -> str:
        """Say what the bytes have that the file has not; empty where they are the file's."""
        size = self._file.size
        if size is not None and self.size != size:
            return f"more than {size:,} bytes" if self.size > size else f"{self.size:,} bytes of {size:,}"
        wrong = [kind for kind, known in self._known.items() if self.hex(kind) != known]
        return f"{wrong[0]} {self.hex(wrong[0])} instead of {self._known[wrong[0]]}" if wrong else ""


def sums_of(file: RemoteFile) -> dict[str, str]:
    """Return the checksums that are known of a file, the best first."""
    return {kind: getattr(file, kind).lower() for kind in DIGITS if getattr(file, kind)}
