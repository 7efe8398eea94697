"""A folder of class folders, with or without `train`, `val` and `test` above them."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from regraft import durable
from regraft.data import pictures
from regraft.data.sources.arrange import arrange, descend, junk, text
from regraft.data.sources.listing import Entry, Listing
from regraft.errors import InvalidError, NotFoundError, did_you_mean
from regraft.records import Refused

_WANTED = "Give the folder that holds one folder for each class."


def read_folder(root: Path) -> Listing:
    """List a folder of class folders, with or without `train`, `val` and `test` above them.

    A folder that holds nothing but these is passed through. Raises NotFoundError, or InvalidError where the
    folder holds no class folders.
    """
    check_folder(root)
    ignored: Counter[str] = Counter()
    return list_files(root, walk(root, ignored), ignored)


def list_files(root: Path, files: Sequence[Path], ignored: Counter[str]) -> Listing:
    """List files that were found below a folder, given relative to it.

    Raises InvalidError where none lies in a class folder.
    """
    paths = sorted(files, key=lambda path: (text(path.as_posix()), path))
    return list_paths(
        "folder",
        descend([path.parts for path in paths]),
        [partial(pictures.read_file, root / path) for path in paths],
        ignored=ignored,
        source=f"folder {str(root)!r}",
        where=str(root),
    )


def list_paths(
    reader: str,
    paths: Sequence[tuple[str, ...]],
    reads: Sequence[Callable[[], bytes]],
    *,
    ignored: Counter[str],
    source: str,
    where: str,
) -> Listing:
    """List what lies at some paths below a folder or in an archive, in order.

    Raises InvalidError where none lies in a class folder.
    """
    listing = Listing(reader=reader, ignored=ignored)
    for place, read in zip(arrange(paths, source=where), reads, strict=True):
        if place.reason:
            listing.refused.append(Refused(key=place.key, reason=place.reason))
        else:
            listing.entries.append(Entry(key=place.key, label=place.label, split=place.split, read=read))
    if not listing.entries:
        raise InvalidError(
            f"The {source} has no pictures in class folders{_passed_over(ignored)}.",
            hint="Make a folder for each class and put its pictures there: "
            "photos/cat/1.jpg, photos/dog/2.jpg.",
            where=where,
        )
    return listing


def find_pictures(root: Path) -> list[Path]:
    """List the files below a folder that are not junk, in order of their names."""
    return sorted(root / path for path in walk(root, Counter()))


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


def check_folder(root: Path) -> None:
    """Raise NotFoundError or InvalidError unless this is a folder that can be read."""
    if not exists(root):
        near = [path.name for path in root.absolute().parent.glob("*") if path.is_dir()]
        raise NotFoundError(
            f"There is no folder {str(root)!r}.", hint=did_you_mean(root.name, near, otherwise=_WANTED)
        )
    if not root.is_dir():
        raise InvalidError(f"{str(root)!r} is a file, not a folder.", hint=_WANTED, where=str(root))
    if not os.access(root, os.R_OK | os.X_OK):
        raise InvalidError(
            f"The folder {str(root)!r} cannot be read.", hint="Check its permissions.", where=str(root)
        )


def walk(root: Path, ignored: Counter[str]) -> list[Path]:
    """Return the regular files below `root`, relative to it; count what is passed over."""
    found: list[Path] = []
    home = root.resolve()
    for folder, folders, files in os.walk(root, onerror=lambda _: ignored.update({"unreadable folders": 1})):
        here = Path(folder)
        keep = []
        for name in folders:
            if kind := junk(name):
                ignored[kind] += 1
            elif (here / name).is_symlink():
                ignored["links to folders"] += 1
            else:
                keep.append(name)
        folders[:] = keep
        for name in files:
            path = here / name
            if kind := junk(name) or _odd(path, home):
                ignored[kind] += 1
            else:
                found.append(path.relative_to(root))
    return found


def _passed_over(ignored: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(ignored.items()))
    return f" (passed over: {kinds})" if kinds else ""


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
