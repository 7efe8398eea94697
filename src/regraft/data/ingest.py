"""Turn what a reader listed into a new version of a dataset: checked, split, and stored once."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pydantic import TypeAdapter

from regraft.data import pictures, splits
from regraft.data.parallel import ordered
from regraft.data.readers import Entry, Listing, natural
from regraft.errors import ConflictError, InvalidError, InvalidPicture
from regraft.progress import Progress
from regraft.records import DatasetVersion, Refused, Row, SplitRule, Version, digest
from regraft.refs import check_name
from regraft.store.opening import Store
from regraft.store.packs import PackWriter, Place
from regraft.store.tables import read_rows, write_rows

_REFUSED = TypeAdapter(tuple[Refused, ...])


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


@dataclass(frozen=True, kw_only=True, slots=True)
class _Checked:
    entry: Entry
    digest: str = ""
    data: bytes = b""
    size: tuple[int, int] = (0, 0)
    reason: str = ""


def add(
    store: Store,
    name: str,
    listing: Listing,
    rule: SplitRule,
    progress: Progress,
    *,
    related: bool = False,
) -> Added:
    """Store what a reader listed as the next version of dataset `name`.

    Pictures that the version before has are neither decoded nor stored again, and keep their place and
    their split; a rule by which splits were made stays. Raises InvalidError where no file can be used, and,
    where the pictures should be `related` to those of the version before, ConflictError if none is the same.
    """
    name = check_name(name)  # before hours of reading
    before = _rows_of(store, store.catalog.latest("datasets", name))
    old = {digest: row for digest, row in before.items() if store.packs.files.path(row.pack).exists()}
    writer = PackWriter(store.packs)
    checked = _check_all(listing, old, writer, progress)
    kept, refused = _without_copies(checked)
    refused = sorted([*listing.refused, *refused], key=lambda item: item.key)
    if not kept:
        raise InvalidError(
            f"None of the {len(refused)} files can be used. "
            f"The first, {refused[0].key!r}: {refused[0].reason}.",
            hint="Give a folder with one folder of pictures for each class.",
        )
    new = sum(item.digest not in before for item in kept)
    if related and before and new == len(kept):
        raise ConflictError(
            f"There is a dataset {name!r} already, and it has none of these pictures.",
            hint="Give the folder another name: regraft dataset add NAME FOLDER, then use NAME.",
        )
    places: dict[str, Place | Row] = {**old, **writer.finish()}

    def build(parent: Version | None) -> DatasetVersion:
        before = _rows_of(store, parent)
        made = parent.read(DatasetVersion).split_rule if parent else rule
        here = made if made.fractions else rule
        rows = _place(kept, places, before, here)
        given = all(item.entry.split for item in kept)
        here = SplitRule(fractions={}, seed=0) if given else here
        return _manifest(store, listing, rows, refused, here, parent)

    version, is_new = store.catalog.commit("datasets", name, build)
    return Added(
        version=version,
        record=version.read(DatasetVersion),
        new=is_new,
        refused=tuple(refused),
        ignored=dict(listing.ignored),
        new_pictures=new,
    )


def read_refused(store: Store, record: DatasetVersion) -> tuple[Refused, ...]:
    """Return the files that a version could not use."""
    return _REFUSED.validate_json(store.blobs.get(record.refused)) if record.refused else ()


def _check_all(
    listing: Listing, old: Mapping[str, Row], writer: PackWriter, progress: Progress
) -> list[_Checked]:
    """Read and check every file in threads; new pictures go into packs in the order of the listing."""

    def check(entry: Entry) -> _Checked:
        name = ""
        try:
            data = entry.read()
            name = digest(data)
            if row := old.get(name):
                return _Checked(entry=entry, digest=name, size=(row.width, row.height))
            return _Checked(entry=entry, digest=name, data=data, size=pictures.check(data))
        except InvalidPicture as error:
            return _Checked(entry=entry, digest=name, reason=str(error).removesuffix("."))

    results = []
    stored: set[str] = set()
    with pictures.quiet():
        for done, item in enumerate(ordered(check, listing.entries), start=1):
            if item.data and item.digest not in stored:
                writer.add(item.digest, item.data)
                stored.add(item.digest)
            results.append(replace(item, data=b""))
            progress("Reading pictures", done, len(listing.entries))
    return results


def _without_copies(checked: list[_Checked]) -> tuple[list[_Checked], list[Refused]]:
    """Keep one of several equal pictures: none where their labels differ, the held-out one before train."""
    refused = [_refuse(item, item.reason) for item in checked if item.reason]
    equal: dict[str, list[_Checked]] = defaultdict(list)
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
            refused += [_refuse(item, reason) for item in copies]
            continue
        kept.append(first)
        reason = f"the same picture as {first.entry.key!r}"
        refused += [_refuse(item, reason) for item in copies if item is not first]
    return kept, refused


def _refuse(item: _Checked, reason: str) -> Refused:
    return Refused(key=item.entry.key, reason=reason, digest=item.digest, label=item.entry.label)


def _rows_of(store: Store, version: Version | None) -> dict[str, Row]:
    if version is None:
        return {}
    return {row.digest: row for row in read_rows(store.blobs, version.read(DatasetVersion).segments)}


def _place(
    kept: list[_Checked], places: Mapping[str, Place | Row], before: Mapping[str, Row], rule: SplitRule
) -> list[Row]:
    """Make the rows: those of the version before first, in their order, then the new ones."""
    unsplit = [(item.digest, item.entry.label) for item in kept if not item.entry.split]
    sticky = {name: row.split for name, row in before.items()}
    assigned = splits.assign(unsplit, rule.fractions, seed=rule.seed, old=sticky)
    rows = {}
    for item in kept:
        place = places[item.digest]
        rows[item.digest] = Row(
            key=item.entry.key,
            digest=item.digest,
            pack=place.pack,
            offset=place.offset,
            length=place.length,
            label=item.entry.label,
            split=item.entry.split or assigned[item.digest],
            width=item.size[0],
            height=item.size[1],
        )
    return [rows[name] for name in before if name in rows] + [
        row for name, row in rows.items() if name not in before
    ]


def _manifest(
    store: Store,
    listing: Listing,
    rows: list[Row],
    refused: list[Refused],
    rule: SplitRule,
    parent: Version | None,
) -> DatasetVersion:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        counts[row.split][row.label] += 1
    return DatasetVersion(
        parent=parent.digest if parent else None,
        reader=listing.reader,
        labels=tuple(sorted({row.label for row in rows}, key=natural)),
        splits={split: dict(counts[split]) for split in splits.ORDER if split in counts},
        split_rule=rule,
        count=len(rows),
        segments=write_rows(store.blobs, rows),
        packs=tuple(sorted({row.pack for row in rows})),
        size=sum(row.length for row in rows),
        refused=store.blobs.put(_REFUSED.dump_json(tuple(refused), indent=2)) if refused else None,
        refused_count=len(refused),
    )
