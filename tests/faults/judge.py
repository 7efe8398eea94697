"""The judge of a store: what was acknowledged is there, what is visible is whole, and nothing has moved."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import regraft
from regraft.data.assembly import open_rows, read_refused
from regraft.errors import RegraftError
from regraft.records import DatasetVersion
from regraft.store.opening import open_store

Ack = dict[str, Any]
#: Of each version its digest, its pictures by key with label, split and bytes, and its refused files.
State = dict[str, Any]
LABELS = ("cat", "dog", "owl")


def label_of(digest: str) -> str:
    """Return the label of a worker's picture; it follows from its bytes, so that no other can be right."""
    return LABELS[int(digest[:2], 16) % len(LABELS)]


def state(root: Path) -> State:
    """Read everything that a store shows, and verify every byte on the way."""
    datasets = regraft.open(root).datasets
    catalog = open_store(root).catalog
    found: State = {}
    for name, number, removed in catalog.every("datasets"):
        if removed is not None:
            found[f"{name}:v{number}"] = "removed"
            continue
        data = datasets.get(f"{name}:v{number}")
        pictures = {row.key: (row.label, row.split, data.read(row)) for row in data}
        assert len(pictures) == data.record.count == len(data), data.version
        refused = read_refused(open_store(root), data.record)
        assert len(refused) == data.record.refused_count, data.version
        found[str(data.version)] = (data.version.digest, pictures, refused)
    for name in catalog.names("datasets"):
        found |= {f"{name}:{tag}": number for tag, number in catalog.tags("datasets", name).items()}
    return found


def faults(root: Path, acks: Sequence[Ack] = (), *, since: int = 0) -> list[str]:
    """Say everything that is wrong with a store, given what was acknowledged; pictures `since` an ack."""
    try:
        return [*_damage(root), *_losses(root, acks, since)]
    except RegraftError as error:
        return [f"{type(error).__name__}: {error}"]


def damage(root: Path) -> list[str]:
    """Say what a deep verification finds, and whether a picture moved or is not what its row says."""
    try:
        return _damage(root)
    except RegraftError as error:
        return [f"{type(error).__name__}: {error}"]


def _damage(root: Path) -> list[str]:
    result = regraft.open(root).store.verify(deep=True)
    found = [f"{fault.name} {fault.what}" for fault in result.faults]
    return found or [
        fault for name in open_store(root).catalog.names("datasets") for fault in _moved(root, name)
    ]


def _moved(root: Path, name: str) -> Iterable[str]:
    """Compare the last two versions: a picture keeps its split, unless it was moved by hand."""
    datasets = regraft.open(root).datasets
    versions = datasets.history(name)[-2:]
    before: dict[str, str] = {}
    for version in versions:
        data = datasets.get(str(version))
        rows = list(data)
        by_hand = bool(data.record.corrections)
        for row in rows:
            data.read(row)
            if not by_hand and before.get(row.digest, row.split) != row.split:
                yield f"{row.key} of {version} has moved to {row.split}"
        before = {row.digest: row.split for row in rows}


def _losses(root: Path, acks: Sequence[Ack], since: int) -> Iterable[str]:
    catalog = open_store(root).catalog
    committed = [ack for ack in acks if ack["step"] == "committed"]
    known, hidden = {}, set()
    for name, number, removed in catalog.every("datasets"):
        known[name, number] = catalog.read("datasets", name, number)
        if removed is not None:
            hidden.add((name, number))
    for ack in committed:
        version = known.get((ack["name"], ack["version"]))
        if version is None or version.digest != ack["digest"]:
            yield f"{ack['name']}:v{ack['version']} is lost"
    places = [(ack["name"], ack["version"]) for ack in committed]
    if len(set(places)) < len(places):
        yield "a version was acknowledged twice"
    for ack in acks[since:]:
        place = (ack.get("name"), ack.get("version"))
        if ack["step"] == "committed" and place in known and place not in hidden:  # those may be collected
            yield from _missing(root, known[ack["name"], ack["version"]], ack)
    yield from _lines(known, hidden)
    yield from _steps(root, acks)


def _missing(root: Path, version: Any, ack: Ack) -> Iterable[str]:
    store = open_store(root)
    record = version.read(DatasetVersion)
    rows = {row.digest: row for row in open_rows(store, record)}
    for digest in ack["pictures"]:
        if digest not in rows:
            yield f"a picture of {version} is lost"
    for digest, row in rows.items():
        if row.label != label_of(digest):
            yield f"{row.key} of {version} has the label of another picture"


def _lines(known: dict[tuple[str, int], Any], hidden: set[tuple[str, int]]) -> Iterable[str]:
    """Look whether the versions of each name are numbered without gaps, each upon the one before.

    Versions that were removed may be passed over.
    """
    names: dict[str, dict[int, Any]] = defaultdict(dict)
    for (name, number), version in known.items():
        names[name][number] = version
    for name, versions in names.items():
        if sorted(versions) != list(range(1, len(versions) + 1)):
            yield f"the numbers of {name} have gaps"
            continue
        allowed: set[str | None] = {None}
        for number in sorted(versions):
            if json.loads(versions[number].data)["parent"] not in allowed:
                yield f"{name}:v{number} is not made upon the version before it"
            allowed = {*(allowed if (name, number) in hidden else ()), versions[number].digest}


def _steps(root: Path, acks: Sequence[Ack]) -> Iterable[str]:
    """Compare tags and removals with what may be: the last that was acknowledged, or what was begun since."""
    catalog = open_store(root).catalog
    allowed: dict[tuple[str, str], set[object]] = {}
    for ack in acks:
        if ack["step"] in ("tagging", "tagged"):
            place: tuple[str, str] = ("tag", ack["tag"])
            value, before, done = ack["version"], None, ack["step"] == "tagged"
        elif ack["step"] in ("hiding", "hidden"):
            place = ("dataset", ack["name"])
            value, before, done = ack["hide"], False, ack["step"] == "hidden"
        else:
            continue
        allowed[place] = {value} if done else {*allowed.get(place, {before}), value}
    tags = catalog.tags("datasets", "shared")
    for (kind, name), values in allowed.items():
        now = tags.get(name) if kind == "tag" else bool(catalog.removed("datasets", name))
        if now not in values:
            yield f"{kind} {name} is {now}, and may be {sorted(map(str, values))}"
