"""What versions need: the blobs and packs that must stay, and which versions these are."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from math import inf
from typing import get_args

from regraft import durable
from regraft.errors import NotFoundError
from regraft.records import DatasetVersion, Kind, Lineage, ModelVersion, Report, Version
from regraft.store.leases import lease, reuse
from regraft.store.opening import Store

#: What a version can be, those that others are made of first.
KINDS: tuple[Kind, ...] = get_args(Kind)

_DIGEST = re.compile(r"[0-9a-f]{64}")
_MENTIONED = re.compile(r'"([0-9a-f]{64})"')
_OBJECT = re.compile(r"(blobs|packs)/[0-9a-f]{2}/[0-9a-f]{62}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Needs:
    """What a version cannot be used without, by digest."""

    blobs: frozenset[str]
    packs: frozenset[str] = frozenset()

    def names(self, store: Store) -> set[str]:
        """Return what the blobs and packs are called in a store's storage."""
        return {store.blobs.name(digest) for digest in self.blobs} | {
            store.packs.files.name(digest) for digest in self.packs
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """A version, and what of it has to stay."""

    version: Version
    needs: Needs
    #: Whether the version is hidden; it may be recovered.
    removed: bool = False
    #: Whether all of it has to stay, and not its row tables alone.
    whole: bool = True


def needs(version: Version) -> Needs:
    """Return what a version cannot be used without; raises InvalidRecord."""
    if version.kind == "datasets":
        data = version.read(DatasetVersion)
        lists = frozenset(filter(None, (data.refused, data.corrections)))
        return Needs(blobs=_tables(data) | lists, packs=frozenset(data.packs))
    if version.kind == "models":
        net = version.read(ModelVersion)
        statistics = net.trust.statistics if net.trust else None
        batch = net.training.batch if net.training else None
        files = (net.trunk, net.head, net.adapter, net.statistics, statistics, batch)
        return Needs(blobs=frozenset(filter(None, files)))
    report = version.read(Report)
    return Needs(blobs=frozenset(filter(None, (report.predictions, report.page))))


def held(store: Store, *, removed_after: float) -> list[Held]:
    """List the versions that keep something in the store.

    These are the visible ones, those that were removed after a moment, and those that a run that is at work
    was given. Of other datasets the row tables stay, without the pictures, where a model has learned from
    them or a report has measured on them: they say which pictures these were. Raises IntegrityError,
    InvalidRecord or NotAllowedError where a version or a run cannot be read: then nothing is known.
    """
    everything = [
        (store.catalog.read(kind, name, number), removed)
        for kind in KINDS
        for name, number, removed in store.catalog.every(kind)
    ]
    return select(everything, running=_running(store), removed_after=removed_after)


def select(
    everything: Sequence[tuple[Version, float | None]],
    *,
    running: Set[str] = frozenset(),
    removed_after: float = inf,
) -> list[Held]:
    """Return what `held` does, of some versions; beside each stands when it was removed, if it was."""
    kept = [
        Held(version=version, needs=needs(version), removed=removed is not None)
        for version, removed in everything
        if removed is None or removed > removed_after or version.digest in running
    ]
    whole = [item.version for item in kept]
    known = {version.digest: version for version, _ in everything}
    evidence = _evidence(whole, known) - {version.digest for version in whole}
    return kept + [
        Held(
            version=version,
            needs=Needs(blobs=_tables(version.read(DatasetVersion))),
            removed=True,
            whole=False,
        )
        for digest in sorted(evidence)
        if (version := known[digest]).kind == "datasets"
    ]


def mentioned(store: Store, version: Version) -> set[str]:
    """Return the names of whatever blobs and packs could be meant by the digests in a version's manifest.

    They are more than it needs; a field that somebody adds to a manifest is among them from the first day.
    """
    digests = frozenset(match[1] for match in _MENTIONED.finditer(version.data.decode()))
    return Needs(blobs=digests, packs=digests).names(store)


def is_object(name: str) -> bool:
    """Tell whether a name is that of a blob or a pack; anything else was not put there by a store."""
    return _OBJECT.fullmatch(name) is not None


def digest_of(name: str) -> str:
    """Return the digest that the name of a blob or a pack stands for."""
    return "".join(name.split("/")[-2:])


def is_digest(text: str) -> bool:
    """Tell whether a text has the shape of a digest."""
    return _DIGEST.fullmatch(text) is not None


def keep(store: Store, wanted: Needs) -> set[str]:
    """Let what is needed stay while the caller holds a lease; return the names of what is not there."""
    missing = set()
    for name in sorted(wanted.names(store)):
        if reuse(store.storage, name):
            store.storage.confirm(name, point="blob")  # who wrote it may have died before it was flushed
        else:
            missing.add(name)
    return missing


def recover(store: Store, version: Version) -> None:
    """Show a removed version again; raises NotFoundError where what it needs was collected."""
    with lease(store.storage):
        missing = keep(store, needs(version))
        if missing:
            raise NotFoundError(
                f"{version.kind[:-1].capitalize()} {str(version)!r} was removed, and its files are gone.",
                hint="Make it again from its source, or import it from a copy.",
            )
        store.catalog.recover(version)


def _tables(data: DatasetVersion) -> frozenset[str]:
    return frozenset(segment.digest for segment in data.segments)


def _running(store: Store) -> set[str]:
    """Return the digests of the versions that were given to runs that are at work, or can go on."""
    digests: set[str] = set()
    for run_id in store.journal.ids():
        try:
            run = store.journal.find(run_id)
            record = run.record
            goes_on = record.status != "done" and bool(run.checkpoints().list())
        except FileNotFoundError:
            continue  # it was removed in this moment
        except OSError as error:
            raise durable.unreadable(error, store.journal.find(run_id).path / "run.json") from error
        if goes_on or record.status == "running":
            digests.update(value for value in record.inputs.values() if is_digest(value))
    return digests


def _evidence(versions: list[Version], everything: dict[str, Version]) -> set[str]:
    """Return the versions that others say they learned from or measured, and what those learned from."""
    found: set[str] = set()
    waiting = list(versions)
    while waiting:
        for digest in _sources(waiting.pop()):
            if digest in everything and digest not in found:
                found.add(digest)
                waiting.append(everything[digest])
    return found


def _sources(version: Version) -> Iterator[str]:
    lineage: Lineage | None = None
    if version.kind == "models":
        lineage = version.read(ModelVersion).lineage
    if version.kind == "reports":
        report = version.read(Report)
        lineage = report.lineage
        yield from (report.dataset, report.model)
    if lineage:
        yield from (lineage.dataset, lineage.model)
