"""Rows of a list become entries: each says where its picture is, and what it shows."""

from __future__ import annotations

import json
import math
import stat
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path, PurePosixPath

from regraft.data import pictures
from regraft.data.sources.arrange import SPLITS, text
from regraft.data.sources.listing import Entry, Listing
from regraft.errors import InvalidError, did_you_mean
from regraft.records import Refused

#: What we call the columns of a list, and what others call them, in any case.
ALIASES = {
    "path": ("path", "file", "filename", "file_name", "filepath", "image", "image_path"),
    "label": ("label", "class", "class_name", "category", "target", "y"),
    "split": ("split", "set", "subset", "partition"),
    "group": ("group", "group_id"),
    "key": ("key",),
}
#: The column in which a list that Regraft wrote keeps everything else.
METADATA = "metadata"


class Unusable(Exception):  # noqa: N818 (it is caught within these modules: a reason, not an error)
    """Why one row cannot be used."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stated:
    """What one row says, before it is checked."""

    #: Such as `line 7`.
    place: str
    #: By our words: path, label, split, group, key.
    words: Mapping[str, object]
    #: By the words of the list.
    extra: Mapping[str, object] = field(default_factory=dict)
    #: How the picture is read, where the row holds it.
    read: Callable[[], bytes] | None = None
    #: Why the row cannot be used at all.
    reason: str = ""


def resolve(
    names: Sequence[str], wanted: Mapping[str, str], *, source: str, also: Sequence[str] = ()
) -> dict[str, str]:
    """Return which column stands for each of our words, of those that the list has.

    `wanted` says it for some of them; `also` are words that only some lists have. Raises InvalidError.
    """
    known = (*ALIASES, *also)
    lower = {name.strip().casefold(): name for name in reversed(names)}
    found = {}
    for word, column in wanted.items():
        if word not in known:
            raise InvalidError(
                f"{word!r} is none of the words for a column.",
                hint=did_you_mean(word, known, otherwise=f"They are: {', '.join(known)}."),
                where=word,
            )
        if column.strip().casefold() not in lower:
            raise InvalidError(
                f"{source} has no column {column!r}.",
                hint=did_you_mean(column, names, otherwise=_there_are(names)),
                where=column,
            )
        found[word] = lower[column.strip().casefold()]
    taken = set(found.values())
    for word, aliases in ALIASES.items():
        if word not in found:
            free = (lower[alias] for alias in aliases if alias in lower and lower[alias] not in taken)
            if name := next(free, ""):
                found[word] = name
    return found


def without(word: str, names: Sequence[str], *, source: str, means: str) -> InvalidError:
    """Return the exception that says that a list lacks a column."""
    return InvalidError(
        f"{source} has no column for {means}.",
        hint=f"Name it {word!r}, or say which it is with --column {word}=NAME. {_there_are(names)}",
        where=word,
    )


def collect(reader: str, rows: Iterable[Stated], *, root: Path, source: str) -> Listing:
    """List what the rows say; a row that cannot be used is refused with its place.

    Raises InvalidError where there are no rows.
    """
    listing = Listing(reader=reader)
    files = Files(root)
    found: dict[str, list[tuple[str, Entry]]] = defaultdict(list)
    for row in rows:
        try:
            entry = _entry(row, files)
        except Unusable as error:
            listing.refused.append(Refused(key=_key(row) or row.place, reason=f"{row.place}: {error}"))
        else:
            found[entry.key].append((row.place, entry))
    for same in found.values():
        _keep_one(same, listing)
    if not listing.entries and not listing.refused:
        raise InvalidError(f"{source} has no rows.", hint="Write one row for each picture.", where=source)
    if {entry.split for entry in listing.entries} == {"train"}:  # nothing is held out yet
        listing.entries = [replace(entry, split="") for entry in listing.entries]
    return listing


class Files:
    """The pictures below a folder that a list may name."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._home = root.resolve()
        #: Whether a folder lies in the root, links followed.
        self._inside: dict[Path, bool] = {}

    def find(self, written: str) -> tuple[str, Path]:
        """Return the key and the file of a path; raises Unusable."""
        path = PurePosixPath(written.strip().replace("\\", "/"))
        if "\0" in written or path.name in ("", "."):
            raise Unusable(f"{written!r} is no path")
        if path.is_absolute():
            below = next((b for b in (self._root.absolute(), self._home) if path.is_relative_to(b)), None)
            if below is None:
                raise self._outside()
            path = path.relative_to(below)
        if ".." in path.parts:
            raise self._outside()
        return unicodedata.normalize("NFC", path.as_posix()), self._file(path.as_posix())

    def _file(self, name: str) -> Path:
        # a list may have been written where the disk composes letters in another way
        for form in dict.fromkeys((name, *(unicodedata.normalize(kind, name) for kind in ("NFC", "NFD")))):
            file = self._root / form
            try:
                mode = file.lstat().st_mode
                if not self._is_inside(file.resolve() if stat.S_ISLNK(mode) else file):
                    raise self._outside()
                mode = file.stat().st_mode
            except (OSError, ValueError, RuntimeError):
                continue
            if not stat.S_ISREG(mode):
                raise Unusable("not a file")
            return file
        raise Unusable("there is no such file below the list's folder, or --root")

    def _is_inside(self, file: Path) -> bool:
        folder = file.parent
        if folder not in self._inside:
            self._inside[folder] = folder.resolve().is_relative_to(self._home)
        return self._inside[folder]

    def _outside(self) -> Unusable:
        return Unusable("outside the list's folder: give its folder with --root")


def word(value: object) -> str:
    """Return a label, a split or a group as text: 3 and 3.0 are `3`; raises Unusable for what is neither."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unusable(f"{value} is no value")
        return str(int(value)) if value.is_integer() else repr(value)
    if not isinstance(value, str | int):
        raise Unusable(f"a {type(value).__name__} in place of a text")
    return _clean(str(value).strip())


def compact(values: Mapping[str, object]) -> str:
    """Write metadata as one line of canonical JSON; raises Unusable for what JSON has no word for."""
    try:
        line = json.dumps(values, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    except (ValueError, TypeError, RecursionError) as error:
        raise Unusable(f"its metadata cannot be kept ({error})") from None
    return _clean(line)


def _entry(row: Stated, files: Files) -> Entry:
    if row.reason:
        raise Unusable(row.reason)
    key = word(row.words.get("key"))
    read = row.read
    if read is None:
        written = row.words.get("path")
        if not isinstance(written, str) or not written.strip():
            raise Unusable("no path")
        path_key, file = files.find(_clean(written))
        key, read = key or path_key, partial(pictures.read_file, file)
    label = word(row.words.get("label"))
    if not label:
        raise Unusable("no label")
    split = word(row.words.get("split"))
    if split and split.casefold() not in SPLITS:
        raise Unusable(f"unknown split {split!r}: write train, val or test")
    return Entry(
        key=key,
        label=label,
        split=SPLITS.get(split.casefold(), ""),
        group=word(row.words.get("group")),
        metadata=compact(_metadata(row.extra)),
        read=read,
    )


def _metadata(extra: Mapping[str, object]) -> dict[str, object]:
    """Return everything else that a row says; what Regraft itself wrote into one column is taken apart."""
    values = dict(extra)
    packed = values.get(METADATA)
    if isinstance(packed, str):
        try:
            packed = json.loads(packed or "{}")
        except (ValueError, RecursionError):
            return values
    if isinstance(packed, dict):
        del values[METADATA]
        values |= packed
    return values


def _keep_one(same: list[tuple[str, Entry]], listing: Listing) -> None:
    """Keep the first of several rows about one picture; none where they do not agree on its label."""
    (first, kept), *more = same
    other = next((item for item in more if item[1].label != kept.label), None)
    if other is None:
        listing.entries.append(kept)
        reasons = [(place, entry, f"repeats {first}") for place, entry in more]
    else:
        words = f"{first} says {kept.label!r}, {other[0]} says {other[1].label!r}"
        reasons = [(place, entry, words) for place, entry in same]
    for place, entry, words in reasons:
        reason = f"{place}: {words}"
        listing.refused.append(Refused(key=entry.key, reason=reason, label=entry.label))


def _clean(words: str) -> str:
    try:
        words.encode()
    except UnicodeError:
        raise Unusable("holds half a letter (a lone surrogate)") from None
    return unicodedata.normalize("NFC", words)


def _key(row: Stated) -> str:
    written = row.words.get("key") or row.words.get("path")
    return text(written) if isinstance(written, str) and written.isprintable() else ""


def _there_are(names: Sequence[str]) -> str:
    shown = ", ".join(repr(name[:60]) for name in names[:20])
    return f"There are: {shown}{', ...' if len(names) > 20 else ''}." if names else "There are none."
