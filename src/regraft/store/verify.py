"""Verify a store: is everything there that versions need, and is it what it was?"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256

from regraft.errors import IntegrityError, InvalidError, RegraftError
from regraft.progress import Progress, silent
from regraft.records import DatasetVersion, Version
from regraft.store.catalog import file_name
from regraft.store.checks import RowChecks
from regraft.store.opening import Store
from regraft.store.references import KINDS, Held, digest_of, is_object, needs, select
from regraft.store.storage import Found
from regraft.store.tables import read_rows

#: Blobs up to this size are compared with their digest also where nothing deep is asked for, in bytes.
SMALL = 32 * 2**20
_CHUNK = 4 * 2**20
_MISSING = "is missing"
_UNREADABLE = "cannot be read"


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """Something that is not as it should be."""

    #: The file, as it is called below the folder of the workspace.
    name: str
    #: What is wrong with it, such as `is missing`.
    what: str
    #: Who needs it, such as `dataset photos:v1`.
    needed_by: tuple[str, ...]
    advice: str
    #: Of a pack: how many pictures of each version cannot be read.
    pictures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class Verified:
    """What was looked at, and what was found."""

    #: Whether every byte was read.
    deep: bool
    versions: int
    #: Blobs and packs.
    objects: int
    #: Bytes that were read and compared with their digest.
    bytes: int
    faults: tuple[Fault, ...]
    #: Versions that were made from one that is not in this workspace.
    adopted: tuple[str, ...]
    #: Blobs and packs that no version needs, and their bytes.
    orphans: int
    orphan_bytes: int


def verify(store: Store, *, deep: bool = False, progress: Progress = silent) -> Verified:
    """Look at every version, tag, run, table and file of a store.

    Tables and small blobs are compared with their digests. Packs and large blobs are so only where it goes
    `deep`; otherwise it is seen whether they are there, can be read and are as long as their pictures need.
    """
    everything, faults = _read_versions(store)
    shown = select(everything)
    users = _users(store, shown)
    hidden = [
        Held(version=version, needs=needs(version), removed=True)
        for version, removed in everything
        if removed is not None
    ]
    files = {
        file.name: file
        for folder in ("blobs", "packs")
        for file in store.storage.list(folder)
        if is_object(file.name)
    }
    wrong = dict.fromkeys(users.keys() - files.keys(), _MISSING)
    damaged, hashed = _damaged(store, list(files.values()), deep=deep, progress=progress)
    wrong |= damaged
    all_users = _users(
        store, [*shown, *hidden]
    )  # what only hidden versions need may be gone, and not be damaged
    datasets = [item.version for item in shown if item.version.kind == "datasets"]
    wrong |= _disagreeing(store, [item for item in shown if item.needs.packs], wrong)
    faults += [_fault(store, name, what, all_users.get(name, ()), datasets) for name, what in wrong.items()]
    faults += [*_check_tags(store, everything, faults), *_check_runs(store)]
    known = {version.digest for version, _ in everything}
    orphans = [file for name, file in files.items() if name not in all_users]
    return Verified(
        deep=deep,
        versions=len(everything),
        objects=len(files),
        bytes=hashed,
        faults=tuple(sorted(faults, key=lambda fault: fault.name)),
        adopted=tuple(_label(version) for version, _ in everything if not _parents(version) <= known),
        orphans=len(orphans),
        orphan_bytes=sum(file.size for file in orphans),
    )


def _read_versions(store: Store) -> tuple[list[tuple[Version, float | None]], list[Fault]]:
    """Read every version that can be read, with the time at which it was removed."""
    found, faults = [], []
    for kind in KINDS:
        for name, number, removed in store.catalog.every(kind):
            try:
                version = store.catalog.read(kind, name, number)
                needs(version)
                found.append((version, removed))
            except RegraftError as error:
                file = file_name(kind, name, number)
                fault = Fault(
                    name=file,
                    what=_what(error) if store.storage.find(file) else _MISSING,
                    needed_by=(f"{kind[:-1]} {name}:v{number}",),
                    advice="Restore it from a copy of the workspace.",
                )
                faults.append(fault)
    return found, faults


def _damaged(
    store: Store, files: Sequence[Found], *, deep: bool, progress: Progress
) -> tuple[dict[str, str], int]:
    """Return what is wrong with which files, and how many bytes were compared with their digest."""

    def look(file: Found) -> tuple[str, int]:
        try:
            if deep or (file.name.startswith("blobs/") and file.size <= SMALL):
                return _hash(store, file.name), file.size
            store.storage.read(file.name, offset=max(file.size - 1, 0), length=1)
        except RegraftError as error:
            return _what(error), 0
        return "", 0

    wrong, hashed = {}, 0
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        for done, (file, (what, size)) in enumerate(zip(files, pool.map(look, files), strict=True), start=1):
            hashed += size
            if what:
                wrong[file.name] = what
            progress("Verifying files", done, len(files))
    return wrong, hashed


def _hash(store: Store, name: str) -> str:
    """Compare a file with its name, without holding all of it; return what is wrong."""
    running, offset = sha256(), 0
    while chunk := store.storage.read(name, offset=offset, length=_CHUNK):
        running.update(chunk)
        offset += len(chunk)
    gone = chunk is None  # a collector took it away in this moment
    return "" if gone or running.hexdigest() == digest_of(name) else "is damaged"


def _disagreeing(store: Store, datasets: Iterable[Held], wrong: Mapping[str, str]) -> dict[str, str]:
    """Return where rows, versions and packs disagree, as far as nothing is known to be wrong with them."""
    rows = RowChecks(store)
    found: dict[str, str] = {}
    for item in datasets:
        try:
            faults = list(rows.faults(item.version.read(DatasetVersion)))
        except InvalidError as error:
            faults = [(error.where, "is no table of rows")]
        except RegraftError:
            continue  # the table is missing, damaged or unreadable, and that was said
        found |= {name: what for name, what in faults if name not in wrong}
    return found


def _fault(
    store: Store, name: str, what: str, needed_by: Sequence[str], datasets: Iterable[Version]
) -> Fault:
    pictures: dict[str, int] = {}
    if name.startswith("packs/"):
        for version in datasets:
            if _label(version) in needed_by and (count := _harmed(store, version, name)):
                pictures[_label(version)] = count
    return Fault(
        name=name,
        what=what,
        needed_by=tuple(needed_by),
        advice=_advice(name, what, needed_by),
        pictures=pictures,
    )


def _harmed(store: Store, version: Version, name: str) -> int:
    """Return how many pictures of a version cannot be read from a pack."""

    def is_harmed(offset: int, length: int, digest: str) -> bool:
        try:
            data = store.storage.read(name, offset=offset, length=length)
        except (RegraftError, ValueError):
            return True
        return data is None or sha256(data).hexdigest() != digest

    try:
        return sum(
            is_harmed(row.offset, row.length, row.digest)
            for row in read_rows(store.blobs, version.read(DatasetVersion).segments)
            if store.packs.files.name(row.pack) == name
        )
    except RegraftError:
        return 0  # the row table cannot be read, which is a fault of its own


def _advice(name: str, what: str, needed_by: Sequence[str]) -> str:
    if what == _UNREADABLE:
        return "Check the disk and the file's permissions."
    if not needed_by:
        return "Delete it: no version needs it."
    words = {
        "dataset": "import the version from a copy, or add the same pictures under another name",
        "model": "fetch the pretrained model again, or fine-tune again",
        "report": "evaluate again",
    }[needed_by[0].partition(" ")[0]]
    if name.startswith("packs/"):
        words = "add the same pictures again: regraft dataset add NAME FOLDER"
    return f"{words[0].upper()}{words[1:]}." if what == _MISSING else f"Delete it, then {words}."


def _check_tags(
    store: Store, everything: Iterable[tuple[Version, float | None]], faults: Iterable[Fault]
) -> Iterator[Fault]:
    states = {
        file_name(version.kind, version.name, version.number): "" if removed is None else "was removed"
        for version, removed in everything
    } | {fault.name: "" for fault in faults}  # a version that cannot be read is a fault of its own
    for found in store.storage.list("tags"):
        folder, _, file = found.name.removeprefix("tags/").rpartition("/")
        kind, _, name = folder.partition("/")
        tag = file.removesuffix(".json")
        try:
            number = store.catalog.tagged(found.name)
            file = f"{folder}/v{number}.json"
            state = states.get(file, "is not there")
            if file not in states and store.storage.find(file):  # somebody has just published it
                state = ""
            what = f"names v{number}, which {state}" if state else ""
        except RegraftError as error:
            what = _what(error)
        if what:
            yield Fault(
                name=found.name,
                what=what,
                needed_by=(f"{kind[:-1]} {name}:{tag}",),
                advice=f"Tag a version again: regraft {kind[:-1]} tag {name}:VERSION {tag}",
            )


def _check_runs(store: Store) -> Iterator[Fault]:
    for run_id in store.journal.ids():
        try:
            _ = store.journal.find(run_id).record
        except (RegraftError, OSError) as error:
            yield Fault(
                name=f"runs/{run_id}/run.json",
                what=_UNREADABLE if isinstance(error, OSError) else _what(error),
                needed_by=(f"run {run_id}",),
                advice="Delete the folder of the run, unless the run is at work.",
            )


def _users(store: Store, held: Iterable[Held]) -> dict[str, list[str]]:
    """Return who needs which file; a version that is hidden says so."""
    users: dict[str, dict[str, None]] = defaultdict(dict)
    for item in held:
        label = _label(item.version) + (" (removed)" if item.removed else "")
        for name in item.needs.names(store):
            users[name][label] = None
    return {name: list(labels) for name, labels in users.items()}


def _what(error: RegraftError) -> str:
    if isinstance(error, IntegrityError):
        return "is damaged"
    return "is not what this version of Regraft writes" if isinstance(error, InvalidError) else _UNREADABLE


def _label(version: Version) -> str:
    return f"{version.kind[:-1]} {version}"


def _parents(version: Version) -> set[str]:
    """Return the digest of the version before, if there was one."""
    parent = json.loads(version.data).get("parent")
    return {parent} if parent else set()
