"""Unpack an archive for code that wants files: member by member, checked, and all of it or nothing.

Regraft itself reads archives where they lie. Code that was written for other toolkits asks for a folder.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from hashlib import file_digest
from pathlib import Path

from regraft import durable
from regraft.data.sources import tars, zips
from regraft.data.sources.archives import Member, pass_over
from regraft.errors import ConflictError, InvalidArchive, InvalidPicture
from regraft.progress import Progress, silent

log = logging.getLogger(__name__)


def unpack(archive: Path, folder: Path, progress: Progress = silent) -> Path:
    """Unpack a zip or a tar archive, which may be compressed, as a new folder; return the folder.

    One that holds just what the archive holds is returned as it is. What systems leave behind, such as
    `__MACOSX`, is left out. Raises ConflictError where another folder is there, InvalidArchive where the
    archive is damaged or not safe to read; nothing is written then.
    """
    members = _scan(archive)
    if not os.path.lexists(folder):
        _write(archive, members, folder, progress)
    elif wrong := _problem(archive, members, folder, progress):
        raise ConflictError(
            f"{str(folder)!r} exists already, and is not what {archive.name!r} holds: {wrong}.",
            hint="Choose a folder that is not there yet.",
        )
    return folder


def keep_unpacked(archive: Path, root: Path, progress: Progress = silent) -> Path:
    """Unpack an archive in a folder below `root` that is called after its sha256; return that folder.

    It is Regraft's own: where it lacks, changed or gained anything it is removed and made anew. Of several
    processes one unpacks. Raises like `unpack`.
    """
    members = _scan(archive)
    with archive.open("rb") as file:
        folder = root / file_digest(file, "sha256").hexdigest()
    waiting = f"Waiting for another process to unpack {archive.name}"
    with durable.hold(root / f"{folder.name}.lock", busy=lambda: progress(waiting, 0, 1)):
        if os.path.lexists(folder):
            if not (wrong := _problem(archive, members, folder, progress)):
                return folder
            log.warning("%r is unpacked again: %s.", str(folder), wrong)
            durable.remove_folder(folder)
        _write(archive, members, folder, progress)
    return folder


def _scan(archive: Path) -> list[Member]:
    try:
        with archive.open("rb") as file:
            zipped = file.read(4) in zips.MAGIC
    except OSError as error:
        raise durable.unreadable(error, archive) from error
    return pass_over(zips.scan(archive) if zipped else tars.scan(archive))[1]


def _write(archive: Path, members: Sequence[Member], folder: Path, progress: Progress) -> None:
    task = f"Unpacking {archive.name}"
    with durable.tree(folder) as tree:
        for done, (member, data) in enumerate(_contents(archive, members)):
            progress(task, done, len(members))
            tree.put("/".join(member.parts), data)
    progress(task, len(members), len(members))


def _problem(archive: Path, members: Sequence[Member], folder: Path, progress: Progress) -> str:
    """Say how a folder differs from what the archive holds; empty where it does not."""
    found = {Path(above, name).relative_to(folder) for above, _, names in os.walk(folder) for name in names}
    wanted = {Path(*member.parts) for member in members}
    if found != wanted:
        name = min(found ^ wanted)
        return f"{str(name)!r} {'is missing' if name in wanted else 'is not in the archive'}"
    for done, (member, data) in enumerate(_contents(archive, members)):
        progress(f"Checking {archive.name}", done, len(members))
        try:
            same = folder.joinpath(*member.parts).read_bytes() == data
        except OSError:
            same = False
        if not same:
            return f"{'/'.join(member.parts)!r} was changed"
    return ""


def _contents(archive: Path, members: Sequence[Member]) -> Iterator[tuple[Member, bytes]]:
    tars.expect([member.read for member in members])
    for member in members:
        try:
            yield member, member.read()
        except InvalidPicture as error:
            raise InvalidArchive(
                f"{'/'.join(member.parts)!r} in {str(archive)!r} cannot be read: {error}",
                hint="Download it or pack it again.",
                where="/".join(member.parts),
            ) from error
