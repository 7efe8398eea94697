"""What the folders in a path say of a picture: its label and its split; for folders and archives alike."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

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
#: How the names of pictures end.
PICTURES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
#: What an export of ours says of the pictures beside it.
OWN_LIST = "rows.jsonl"
#: Files and folders that systems and tools, and our own exports, leave behind.
JUNK = {OWN_LIST, "thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"}


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


def descend(paths: Sequence[tuple[str, ...]], *, packed: bool = False) -> list[tuple[str, ...]]:
    """Leave out the folders around everything, down to the classes or the splits; return paths in order.

    Files beside such a folder that are no pictures do not count, and stay as they are. What was `packed` may
    have one class, and stray pictures beside its classes: a folder was packed by its name.
    """
    found = list(paths)
    while top := _top(found, packed=packed):
        found = [parts[1:] if len(parts) > 1 and parts[0] == top else parts for parts in found]
    tops = {parts[0] for parts in found if len(parts) > 1}
    # one folder in one folder in one folder: the first is the class
    return found if packed or len(tops) > 1 or _is_split(tops) else list(paths)


def does_not_fit(ignored: Counter[str]) -> Counter[str]:
    """Return what was passed over, and among it a list of ours that names other files than there are."""
    return +(
        ignored + Counter({f"lists ({OWN_LIST}) that do not fit the files": 1}) - Counter({"system files": 1})
    )


def is_picture(name: str) -> bool:
    """Tell whether a file is called like a picture."""
    return PurePosixPath(name).suffix.casefold() in PICTURES


def text(name: str) -> str:
    """Return a file's name as it is kept: composed Unicode; bytes that are not UTF-8 are escaped."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def junk(name: str) -> str:
    """Return what kind of junk a file or folder of this name is; empty for what should be looked at."""
    if name.casefold() in JUNK:
        return "system files"
    return "hidden files" if name.startswith(".") else ""


def _top(paths: Sequence[tuple[str, ...]], *, packed: bool) -> str:
    """Return the one folder around everything; empty where there is none, or where it is a class."""
    tops = {parts[0] for parts in paths if len(parts) > 1}
    shallow = 1 if packed else 2
    loose = any(len(parts) <= shallow and is_picture(parts[-1]) for parts in paths)
    deep = any(len(parts) > 2 for parts in paths)
    return "" if len(tops) != 1 or loose or not deep or _is_split(tops) else tops.pop()


def _is_split(tops: Collection[str]) -> bool:
    return any(top.casefold() in SPLITS for top in tops)


def _check_splits(source: str, split: dict[str, str]) -> None:
    """Refuse a folder beside one that is called like a split: both would be taken for classes."""
    odd = [top for top, name in split.items() if not name]
    if odd and any(split.values()):
        raise InvalidError(
            f"The folder {odd[0]!r} stands beside the splits of {source!r}.",
            hint="Move it out of the way, or call it train, val or test.",
            where=odd[0],
        )
