"""Turn pictures into a new version of a dataset: checked, split, and stored once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cached_property

from regraft.data import facts, pictures
from regraft.data.assembly import Assembly, Checked, Mode, open_rows, refuse
from regraft.data.corrections import read_corrections
from regraft.data.measured import Measured
from regraft.data.parallel import ordered
from regraft.data.sources.listing import Entry, Listing, natural
from regraft.errors import ConflictError, InvalidError, InvalidPicture
from regraft.progress import Progress
from regraft.records import DatasetVersion, Refused, Row, SplitRule, Version, digest
from regraft.refs import check_name
from regraft.store.leases import lease
from regraft.store.opening import Store
from regraft.store.packs import PackWriter, Place
from regraft.store.rows import Rows

_FOLDER = "Give a folder with one folder of pictures for each class."
_LIST = "Mend the list, or say with --root what its paths are relative to."
#: What to do where a source of a kind gives no picture.
_HINTS = {"csv": _LIST, "jsonl": _LIST, "parquet": _LIST, "build": "Append pictures that can be read."}


@dataclass(frozen=True, kw_only=True)
class Added:
    """What adding pictures gave."""

    version: Version
    record: DatasetVersion
    #: Whether a new version was made; False where nothing has changed.
    new: bool
    refused: tuple[Refused, ...]
    #: What was passed over without a look, by kind, such as hidden files.
    ignored: dict[str, int]
    #: Pictures that the version before did not have.
    new_pictures: int
    #: Pictures that the version before had and this one does not.
    gone: int

    def __repr__(self) -> str:
        return (
            f"<Added {self.version}: {self.new_pictures} new, {self.gone} gone, {len(self.refused)} refused>"
        )


class Intake:
    """The next version of a dataset while it is made.

    `check` reads and looks at a picture, in any thread; `take` keeps it, in order; `commit` publishes. Until
    then nothing is visible. Pictures that the version before has are neither decoded nor stored again, and
    keep their place and their split; a rule by which splits were made stays.
    """

    def __init__(self, store: Store, name: str, rule: SplitRule, *, mode: Mode, decode: bool = True) -> None:
        self._store = store
        self._name = check_name(name)
        self._rule = rule
        self._mode = mode
        self._decode = decode
        self._parent = store.catalog.latest("datasets", name)
        if self._parent and mode == "new":
            raise _taken(name)
        self._writer = PackWriter(store.packs)
        self._stored: set[str] = set()
        self._taken: list[Checked] = []
        #: Old rows by digest, as far as they were met and can be read.
        self._old: dict[str, Row] = {}
        #: Pictures that the version before knows, whether it has them or a person dropped them.
        self._known: set[str] = set()
        before = self._parent.read(DatasetVersion) if self._parent else None
        self._before = open_rows(store, before)
        self._dropped = {item.digest for item in read_corrections(store, before) if item.change == "dropped"}

    def check(self, entry: Entry) -> Checked:
        """Read a picture and look at it."""
        name = ""
        try:
            data = entry.read()
            name = digest(data)
            if name in self._dropped:  # it will be refused, by name
                return Checked(entry=entry, digest=name)
            if row := self._find_old(name):
                return Checked(entry=entry, digest=name, size=(row.width, row.height))
            if not self._decode:
                return Checked(entry=entry, digest=name, data=data, size=pictures.glance(data))
            seen = facts.measure(data)
            size = int(seen["width"]), int(seen["height"])
            return Checked(entry=entry, digest=name, data=data, size=size, facts=seen)
        except InvalidPicture as error:
            return Checked(entry=entry, digest=name, reason=str(error).removesuffix("."))

    def take(self, checked: Checked) -> None:
        """Keep a picture for the version; the bytes of a new one go into a pack."""
        if checked.data and checked.digest not in self._stored:
            self._writer.add(checked.digest, checked.data)
            self._stored.add(checked.digest)
        # what reads the picture may hold its bytes
        self._taken.append(replace(checked, entry=replace(checked.entry, read=_read_once), data=b""))

    def commit(self, listing: Listing, progress: Progress, *, related: bool = False) -> Added:
        """Publish the version; the caller holds a lease.

        Raises InvalidError where no picture can be used, and, where the pictures should be `related` to those
        of the version before, ConflictError if none is the same.
        """
        kept, refused = _without_copies(self._taken)
        refused = sorted([*listing.refused, *refused], key=lambda item: item.key)
        if not kept and self._mode != "append":
            raise InvalidError(
                f"None of the {len(refused)} files can be used. "
                f"The first, {refused[0].key!r}: {refused[0].reason}."
                if refused
                else "There are no pictures.",
                hint=_HINTS.get(listing.reader, _FOLDER),
            )
        known = self._known | self._dropped
        new = sum(item.digest not in known for item in kept)
        if related and len(self._before) and new == len(kept):
            raise ConflictError(
                f"There is a dataset {self._name!r} already, and it has none of these pictures.",
                hint="Give the folder another name: regraft dataset add NAME FOLDER, then use NAME.",
            )
        places: dict[str, Place | Row] = {**self._old, **self._writer.finish()}
        lost: list[Refused] = []
        gone = [0]

        def build(parent: Version | None) -> DatasetVersion:
            if parent and self._mode == "new":  # somebody made it meanwhile
                raise _taken(self._name)
            made = parent.read(DatasetVersion) if parent else None
            before, seen = self._before, kept
            if parent != self._parent:
                before = open_rows(self._store, made)
                seen = self._look_again(kept, made, before)
            draft = Assembly(self._store, made, before, self._rule, self._mode, progress)
            record, lost[:] = draft.manifest(seen, refused, places, parent.digest if parent else None)
            if not record.count:
                raise InvalidError(
                    "The version would have no pictures.",
                    hint=_HINTS.get(listing.reader, _FOLDER),
                )
            gone.append(draft.gone)
            return record

        version, is_new = self._store.catalog.commit("datasets", self._name, build)
        record = version.read(DatasetVersion)
        if is_new:
            rows = open_rows(self._store, record)
            rows.index()
            if self._decode:
                seen = {item.digest: item.facts for item in kept if item.facts is not None}
                Measured(self._store, rows).remember(seen, self._before)
        return Added(
            version=version,
            record=record,
            new=is_new,
            refused=tuple(lost),
            ignored=dict(listing.ignored),
            new_pictures=new,
            gone=gone[-1],
        )

    def _look_again(self, kept: list[Checked], made: DatasetVersion | None, before: Rows) -> list[Checked]:
        """Look at pictures that a version knew and the one that somebody made meanwhile does not."""
        unseen = {item.digest for item in kept} & (self._known | self._dropped)
        known = {row.digest for row in before.find("digest", unseen)}
        known |= {item.digest for item in read_corrections(self._store, made) if item.change == "dropped"}
        return [
            self._seen(item) if item.digest in unseen - known and item.facts is None else item
            for item in kept
        ]

    def _seen(self, item: Checked) -> Checked:
        row = self._old.get(item.digest)
        if row is None:
            raise ConflictError(
                f"Picture {item.entry.key!r} was taken back into {self._name!r} meanwhile.",
                hint="Do it again.",
            )
        return replace(item, facts=facts.measure(self._store.packs.read(row))) if self._decode else item

    def _find_old(self, name: str) -> Row | None:
        """Return the row that the version before has of a picture, unless its pack is gone."""
        if self._mode == "append":
            row = next(iter(self._before.find("digest", [name])), None)
        else:
            row = self._all_old.get(name)
        if row is not None:
            self._known.add(name)
        if row is None or not self._store.packs.files.has(row.pack):
            return None
        self._old[name] = row
        return row

    @cached_property
    def _all_old(self) -> dict[str, Row]:
        return {row.digest: row for row in self._before}


def _taken(name: str) -> ConflictError:
    return ConflictError(
        f"There is a dataset {name!r} already.",
        hint="Choose another name, or mode 'append' or 'overwrite'.",
    )


def add(
    store: Store,
    name: str,
    listing: Listing,
    rule: SplitRule,
    progress: Progress,
    *,
    mode: Mode = "overwrite",
    decode: bool = True,
    related: bool = False,
) -> Added:
    """Store what a reader listed as the next version of dataset `name`; see Intake."""
    with lease(store.storage), pictures.quiet():
        intake = Intake(store, name, rule, mode=mode, decode=decode)
        for done, item in enumerate(ordered(intake.check, listing.entries), start=1):
            intake.take(item)
            progress("Reading pictures", done, len(listing.entries))
        return intake.commit(listing, progress, related=related)


def _read_once() -> bytes:
    raise AssertionError("an entry is read once")


def _without_copies(checked: list[Checked]) -> tuple[list[Checked], list[Refused]]:
    """Keep one of several equal pictures: none where their labels differ, the held-out one before train."""
    refused = [refuse(item, item.reason) for item in checked if item.reason]
    equal: dict[str, list[Checked]] = defaultdict(list)
    for item in checked:
        if not item.reason:
            equal[item.digest].append(item)
    kept = []
    for copies in equal.values():
        labels = sorted({item.entry.label for item in copies}, key=natural)
        first = min(copies, key=lambda item: item.entry.split in ("train", ""))
        if len(labels) > 1:
            words = " and ".join(repr(label) for label in labels)
            reason = f"the same picture is labelled {words}"
            refused += [refuse(item, reason) for item in copies]
            continue
        kept.append(first)
        reason = f"the same picture as {first.entry.key!r}"
        refused += [refuse(item, reason) for item in copies if item is not first]
    return kept, refused
