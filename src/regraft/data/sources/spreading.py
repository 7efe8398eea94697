"""Lay what an archive held into a folder that is somebody's own, where nothing is ever replaced."""

from __future__ import annotations

import os
from pathlib import Path

from regraft import durable
from regraft.errors import ConflictError


def spread(unpacked: Path, folder: Path) -> None:
    """Copy all that lies in one folder into another, which may hold more; what is there already stays.

    A folder that is new appears at once, with all that it holds, or not at all. Raises ConflictError where a
    file of the same name has another content, or the folder is none, before anything is copied.
    """
    nearest = next(path for path in (folder.absolute(), *folder.absolute().parents) if os.path.lexists(path))
    if not nearest.is_dir():
        raise ConflictError(f"{str(nearest)!r} is no folder.", hint="Unpack into another one.")
    _check(unpacked, folder)
    _lay(unpacked, folder)


def _check(source: Path, target: Path) -> None:
    for path in sorted(source.iterdir()):
        there = target / path.name
        if not os.path.lexists(there):
            continue
        if path.is_dir() and there.is_dir():
            _check(path, there)
        elif path.is_dir() or not there.is_file() or path.read_bytes() != there.read_bytes():
            raise ConflictError(
                f"{str(there)!r} is there already, and is not what the archive holds.",
                hint="Move it away, or unpack into another folder.",
            )


def _lay(source: Path, target: Path) -> None:
    for path in sorted(source.iterdir()):
        there = target / path.name
        if path.is_dir() and there.is_dir():
            _lay(path, there)
        elif path.is_dir():
            with durable.tree(there) as tree:
                for file in sorted(file for file in path.rglob("*") if file.is_file()):
                    tree.put(file.relative_to(path).as_posix(), file.read_bytes())
        elif not there.exists():
            durable.stream(there, [path.read_bytes()])
