"""Where pictures come from: a folder, or a named set. Readers list; they do not decode."""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from regraft import durable
from regraft.data import pictures
from regraft.errors import InvalidError, NotFoundError, did_you_mean
from regraft.records import Refused

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
#: Files and folders that systems and tools leave behind.
JUNK = {"thumbs.db", "desktop.ini", "__macosx", "@eadir", "$recycle.bin", "icon\r"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file that should be a picture, its label, and how to read it."""

    key: str
    label: str
    #: Empty where the source does not say.
    split: str
    read: Callable[[], bytes]


@dataclass(kw_only=True)
class Listing:
    """What a reader found."""

    reader: str
    entries: list[Entry] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    #: What was passed over, by kind.
    ignored: Counter[str] = field(default_factory=Counter)


def read_folder(root: Path) -> Listing:
    """List a folder of class folders, with or without `train`, `val` and `test` above them.

    Raises NotFoundError, or InvalidError where the folder holds no class folders.
    """
    _check_folder(root)
    listing = Listing(reader="folder")
    files = sorted(_walk(root, listing.ignored), key=lambda path: (text(path.as_posix()), path))
    tops = {path.parts[0] for path in files if len(path.parts) > 1}
    split = {top: SPLITS.get(top.casefold(), "") for top in tops}
    deep = {path.parts[0] for path in files if len(path.parts) > 2}
    nested = bool(deep) and all(split.values())
    _check_splits(root, {top: split[top] for top in sorted(tops) if top in deep or not split[top]})
    if set(split.values()) == {"train"}:  # nothing is held out yet
        split = dict.fromkeys(split, "")
    for path in files:
        folders = path.parts[1:-1] if nested else path.parts[:-1]
        key = text(path.as_posix())
        if not folders:
            listing.refused.append(Refused(key=key, reason="not inside a class folder"))
            continue
        listing.entries.append(
            Entry(
                key=key,
                label=text(folders[0]),
                split=split[path.parts[0]] if nested else "",
                read=_Reader(root / path),
            )
        )
    if not listing.entries:
        raise InvalidError(
            f"The folder {str(root)!r} has no pictures in class folders{_passed_over(listing.ignored)}.",
            hint="Make a folder for each class and put its pictures there: "
            "photos/cat/1.jpg, photos/dog/2.jpg.",
            where=str(root),
        )
    return listing


def _check_splits(root: Path, split: dict[str, str]) -> None:
    """Refuse a folder beside one that is called like a split: both would be taken for classes."""
    odd = [top for top, name in split.items() if not name]
    if odd and any(split.values()):
        raise InvalidError(
            f"The folder {odd[0]!r} stands beside the splits of {str(root)!r}.",
            hint="Move it out of the way, or call it train, val or test.",
            where=odd[0],
        )


def find_pictures(root: Path) -> list[Path]:
    """List the files below a folder that are not junk, in order of their names."""
    return sorted(root / path for path in _walk(root, Counter()))


def read_digits() -> Listing:
    """List scikit-learn's 1,797 scanned digits of 8 x 8 pixels, as PNG pictures."""
    from sklearn.datasets import load_digits  # slow to import, and needed for this set alone

    digits = load_digits()
    listing = Listing(reader="digits")
    for index, (pixels, target) in enumerate(zip(digits.images, digits.target, strict=True)):
        values = (pixels * (255 / 16)).round().astype("uint8")
        listing.entries.append(
            Entry(key=f"{target}/{index:04}.png", label=str(target), split="", read=_Drawn(values))
        )
    return listing


#: Data sets that can be named in place of a folder.
NAMED: dict[str, Callable[[], Listing]] = {"digits": read_digits}


def expand(words: str | Path) -> Path:
    """Return a path with `~` replaced, where there is such a person."""
    try:
        return Path(words).expanduser()
    except RuntimeError:
        return Path(words)


def exists(path: Path) -> bool:
    """Tell whether a path exists; raises NotAllowedError below a folder that may not be entered."""
    try:
        path.stat()
    except PermissionError as error:
        raise durable.unreadable(error, path) from error
    except (OSError, ValueError):  # no path at all: too long, or with a zero in it
        return False
    return True


def natural(text: str) -> tuple[list[tuple[int, int | str]], str]:
    """Return a sorting key that puts 2 before 10; no two texts have the same."""
    parts = [part for part in re.split(r"(\d+)", text) if part]
    return [(0, int(part)) if part.isdecimal() else (1, part) for part in parts], text


@dataclass(frozen=True, slots=True)
class _Reader:
    path: Path

    def __call__(self) -> bytes:
        return pictures.read_file(self.path)


@dataclass(frozen=True, slots=True)
class _Drawn:
    pixels: npt.NDArray[np.uint8]

    def __call__(self) -> bytes:
        buffer = BytesIO()
        Image.fromarray(self.pixels).save(buffer, format="PNG")
        return buffer.getvalue()


def text(name: str) -> str:
    """Return a file's name as it is kept: composed Unicode; bytes that are not UTF-8 are escaped."""
    return unicodedata.normalize("NFC", os.fsencode(name).decode("utf-8", "backslashreplace"))


def _passed_over(ignored: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))
    return f" (passed over: {kinds})" if kinds else ""


def _check_folder(root: Path) -> None:
    if not exists(root):
        near = [path.name for path in root.absolute().parent.glob("*") if path.is_dir()]
        raise NotFoundError(
            f"There is no folder {str(root)!r}.",
            hint=did_you_mean(
                root.name, near, otherwise="Give the folder that holds one folder for each class."
            ),
        )
    if not root.is_dir():
        raise InvalidError(
            f"{str(root)!r} is a file, not a folder.",
            hint="Give the folder that holds one folder for each class.",
            where=str(root),
        )
    if not os.access(root, os.R_OK | os.X_OK):
        raise InvalidError(
            f"The folder {str(root)!r} cannot be read.", hint="Check its permissions.", where=str(root)
        )


def _walk(root: Path, ignored: Counter[str]) -> list[Path]:
    """Return the regular files below `root`, relative to it; count what is passed over."""
    found: list[Path] = []
    home = root.resolve()
    for folder, folders, files in os.walk(root, onerror=lambda _: ignored.update({"unreadable folders": 1})):
        here = Path(folder)
        keep = []
        for name in folders:
            if kind := _junk(name):
                ignored[kind] += 1
            elif (here / name).is_symlink():
                ignored["links to folders"] += 1
            else:
                keep.append(name)
        folders[:] = keep
        for name in files:
            path = here / name
            if kind := _junk(name) or _odd(path, home):
                ignored[kind] += 1
            else:
                found.append(path.relative_to(root))
    return found


def _junk(name: str) -> str:
    if name.casefold() in JUNK:
        return "system files"
    return "hidden files" if name.startswith(".") else ""


def _odd(path: Path, home: Path) -> str:
    try:
        if path.is_symlink():
            if not path.exists():
                return "broken links"
            if not path.resolve().is_relative_to(home):
                return "links that leave the folder"
        return "" if stat.S_ISREG(path.stat().st_mode) else "special files"
    except OSError:
        return ""  # it vanished: reading it will say so
