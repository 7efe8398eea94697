"""Archives: what zip and tar share. They are read member by member; nothing is ever unpacked to a disk.

The names in an archive are only words for labels and keys: no file is made from them. They are checked
all the same, because they come back as names when a dataset is exported.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from regraft.data.pictures import MAX_BYTES
from regraft.data.sources import lists
from regraft.data.sources.arrange import JUNK, OWN_LIST, descend, does_not_fit, junk, text
from regraft.data.sources.folders import list_paths
from regraft.data.sources.listing import Listing
from regraft.errors import InvalidArchive, InvalidError, InvalidPicture

#: Archives of more members are refused.
MAX_MEMBERS = 2_000_000
#: The longest name of a file that common disks keep, in bytes.
_MAX_NAME = 255
#: A longer list of an export is not looked at, in bytes.
_MAX_LIST = 2**29


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A regular file in an archive."""

    #: The folders above it, and its name.
    parts: tuple[str, ...]
    #: Unpacked, in bytes, as the archive says.
    size: int
    #: Raises InvalidPicture with the reason.
    read: Callable[[], bytes]


@dataclass(frozen=True, slots=True)
class Origin:
    """A file that is read in parts, and how to notice that it is another one by now."""

    path: Path
    size: int
    #: When it was changed, in nanoseconds.
    changed: int

    @classmethod
    def of(cls, path: Path) -> Origin:
        """Remember what a file is now; raises OSError."""
        facts = path.stat()
        return cls(path, facts.st_size, facts.st_mtime_ns)

    def check(self) -> None:
        """Raise InvalidPicture where the file has changed."""
        try:
            same = Origin.of(self.path) == self
        except OSError:
            same = False
        if not same:
            raise InvalidPicture("the archive was changed while it was read.")

    def read(self, offset: int, length: int) -> bytes:
        """Return some bytes of the file; raises InvalidPicture."""
        self.check()
        try:
            with self.path.open("rb", buffering=0) as file:
                data = os.pread(file.fileno(), length, offset)
        except OSError as error:
            raise InvalidPicture(f"cannot be read ({os.strerror(error.errno or 0)}).") from None
        if len(data) < length:
            raise InvalidPicture("truncated.")
        return data


class Names:
    """The names in one archive, checked one by one."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._count = 0
        self._files: dict[str, str] = {}

    def check(self, name: str, *, folder: bool = False) -> tuple[str, ...]:
        """Return the parts of a member's name; raises InvalidArchive where it is not a plain, new one."""
        self._count += 1
        if self._count > MAX_MEMBERS:
            raise InvalidArchive(
                f"{str(self._path)!r} has more than {MAX_MEMBERS:,} members.",
                hint="Pack the pictures in several archives.",
                where=str(self._path),
            )
        parts = tuple(_relative(name).removesuffix("/" if folder else "").split("/"))
        if folder and parts in ((".",), ("",)) and not name.startswith("/"):
            return ()
        if reason := _unsafe(name) or next(filter(None, map(_unsafe_part, parts)), ""):
            raise self.refuse(name, f"a name that is not safe: {reason}")
        if not folder:
            self._check_new(name, "/".join(parts))
        return parts

    def refuse(self, name: str, words: str) -> InvalidArchive:
        """Return the exception that refuses the archive for one of its members."""
        return InvalidArchive(
            f"{str(self._path)!r} is refused for its member {text(name)!r}: {words}.",
            hint="Unpack it with a tool that you trust, look at what is inside, and give the folder.",
            where=text(name),
        )

    def _check_new(self, name: str, path: str) -> None:
        """Refuse names that are one name on a disk that composes letters or knows no case."""
        same = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        if (other := self._files.setdefault(same, name)) is not name:
            words = "it stands there twice" if other == name else f"some disks take it for {text(other)!r}"
            raise self.refuse(name, words)


def list_members(path: Path, reader: str, members: Sequence[Member], *, ordered: bool) -> Listing:
    """List the members of an archive like the folder that was packed.

    One folder around everything counts as the name of the archive, unless it is a split. An export of ours is
    read as its list says. With `ordered` the entries stay in the order of the archive. Raises InvalidError
    where nothing lies in class folders.
    """
    ignored, useful = pass_over(members)
    if listing := _by_list(members, useful, path, reader):
        if ordered:
            places = {id(member.read): place for place, member in enumerate(useful)}
            listing.entries.sort(key=lambda entry: places.get(id(entry.read), 0))
        ignored["system files"] -= 1
        listing.ignored = +ignored
        return listing
    if any(member.parts == (OWN_LIST,) for member in members):
        ignored = does_not_fit(ignored)
    paths = descend([member.parts for member in useful], packed=True)
    found = list(zip(paths, useful, strict=True))
    if not ordered:
        found.sort(key=lambda item: (text("/".join(item[0])), item[0]))
    return list_paths(
        reader,
        [parts for parts, _ in found],
        [_reading(member) for _, member in found],
        ignored=ignored,
        source=f"archive {str(path)!r}",
        where=str(path),
    )


def pass_over(members: Sequence[Member]) -> tuple[Counter[str], list[Member]]:
    """Return what is junk, counted like in a folder, and the other members."""
    useful = []
    found: dict[tuple[str, ...], str] = {}
    for member in members:
        for depth, name in enumerate(member.parts, start=1):
            if kind := junk(name):
                found[member.parts[:depth]] = kind  # a folder of junk counts once
                break
        else:
            useful.append(member)
    return Counter(found.values()), useful


def refused(reason: str) -> Callable[[], bytes]:
    """Return a way to read that only says why the picture cannot be read."""
    return partial(_raise, reason)


def _raise(reason: str) -> bytes:
    raise InvalidPicture(f"{reason}.")


def _reading(member: Member) -> Callable[[], bytes]:
    if member.size > MAX_BYTES:
        return refused(f"larger than {MAX_BYTES // 2**20} MiB ({member.size / 2**20:,.0f} MiB)")
    return member.read


def _by_list(members: Sequence[Member], useful: Sequence[Member], path: Path, reader: str) -> Listing | None:
    """Read an export of ours as its list says; None where its list does not name exactly what is there."""
    own = [member for member in members if member.parts[-1] == OWN_LIST]
    if len(own) != 1 or own[0].size > _MAX_LIST:
        return None
    top = own[0].parts[:-1]
    if any(member.parts[: len(top)] != top for member in useful):
        return None
    reads = {text("/".join(member.parts[len(top) :])): _reading(member) for member in useful}
    try:
        listing = lists.read_packed(reader, path / OWN_LIST, own[0].read(), reads)
    except (InvalidError, InvalidPicture):  # a list of somebody else's, or a damaged one
        return None
    return listing if len(listing.entries) == len(useful) and not listing.refused else None


def _relative(name: str) -> str:
    while name.startswith("./"):  # how tar writes the content of the folder that it stands in
        name = name[2:]
    return name


def _unsafe(name: str) -> str:
    if name.startswith("/"):
        return "an absolute path"
    if "\\" in name:
        return "a backslash"
    return "a drive letter" if re.match(r"[A-Za-z]:", _relative(name)) else ""


def _unsafe_part(part: str) -> str:
    if part in ("", ".", ".."):
        return f"{part!r} in place of a name"
    if part.casefold() not in JUNK and any(unicodedata.category(letter) == "Cc" for letter in part):
        return "a control character"
    return f"longer than {_MAX_NAME} bytes" if len(os.fsencode(part)) > _MAX_NAME else ""
