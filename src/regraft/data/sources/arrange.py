"""What the folders in a path say of a picture: its label and its split; for folders and archives alike."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from regraft.errors import InvalidError

#: Names of folders that hold a split, and the split that they hold.
SPLITS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
#: Files and folders that systems and tools, and our own exports, leave behind.
JUNK = {"rows.jsonl", "thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What is known of a picture from its path; one with a `reason` cannot be used."""

    key: str
    label: str = ""
    split: str = ""
    reason: str = ""


def arrange(paths: Sequence[tuple[str, ...]], *, source: str) -> list[Place]:
    """Return the place of each path below `source`, in order: class folders, perhaps with splits above.

    Raises InvalidError where a folder stands beside the splits.
    """
    tops = {parts[0] for parts in paths if len(parts) > 1}
    split = {top: SPLITS.get(top.casefold(), "") for top in tops}
    deep = {parts[0] for parts in paths if len(parts) > 2}
    nested = bool(deep) and all(split.values())
    _check_splits(source, {top: split[top] for top in sorted(tops) if top in deep or not split[top]})
    if set(split.values()) == {"train"}:  # nothing is held out yet
        split = dict.fromkeys(split, "")
    places = []
    for parts in paths:
        folders = parts[1:-1] if nested else parts[:-1]
        key = text("/".join(parts))
        if folders:
            places.append(Place(key=key, label=text(folders[0]), split=split[parts[0]] if nested else ""))
        else:
            places.append(Place(key=key, reason="not inside a class folder"))
    return places


def text(name: str) -> str:
    """Return a file's name as it is kept: composed Unicode; bytes that are not UTF-8 are escaped."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def junk(name: str) -> str:
    """Return what kind of junk a file or folder of this name is; empty for what should be looked at."""
    if name.casefold() in JUNK:
        return "system files"
    return "hidden files" if name.startswith(".") else ""


def _check_splits(source: str, split: dict[str, str]) -> None:
    """Refuse a folder beside one that is called like a split: both would be taken for classes."""
    odd = [top for top, name in split.items() if not name]
    if odd and any(split.values()):
        raise InvalidError(
            f"The folder {odd[0]!r} stands beside the splits of {source!r}.",
            hint="Move it out of the way, or call it train, val or test.",
            where=odd[0],
        )
