"""The catalog: immutable versions v1, v2, ... of named things, and tags that name one of them.

A version is one file, published once; it holds its own digest, so that damage shows. `latest` is no tag
that somebody moves: it is the version with the highest number, and so it moves by itself. Removing a version
puts a marker beside it and recovering takes the marker away: the version itself never changes, and its
number is never given again.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress

from regraft.errors import ConflictError, IntegrityError, InvalidRef, NotFoundError, did_you_mean
from regraft.records import Kind, Record, Version, canonical, digest, encode
from regraft.refs import Ref, check_name
from regraft.store.storage import Storage

_FILE = re.compile(r"v([1-9][0-9]*)\.(json|removed)")
_TAG = re.compile(r"(?!v[0-9]+$|latest$)[^\W_][\w.-]{0,99}")


class Catalog:
    """The versions of a store."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    def commit(
        self, kind: Kind, name: str, build: Callable[[Version | None], Record]
    ) -> tuple[Version, bool]:
        """Publish what `build` makes of the latest version as the next one; return it and whether it is new.

        Where another writer publishes the same number first, `build` is called again with that version,
        so that no writer's work is lost. A record that differs from the latest one in nothing but its
        parent is no new version.
        """
        name = check_name(name)
        while True:
            numbers = self._all(kind, name)  # once: whatever is published from here on is a conflict
            shown = [number for number, removed in numbers.items() if not removed]
            parent = self.read(kind, name, max(shown)) if shown else None
            data = encode(build(parent))
            if parent is not None and _same_content(data, parent):
                # who published it may have died before it was flushed
                self._storage.confirm(file_name(kind, name, parent.number), point="catalog.commit")
                return parent, False
            with suppress(ConflictError):
                return self._publish(kind, name, max(numbers, default=0) + 1, data), True

    def adopt(self, version: Version) -> tuple[Version, bool]:
        """Publish a version of another store as it is, digest and all; return it and whether it is new.

        It keeps its number where that is free, and gets the next one otherwise.
        """
        while True:
            numbers = self._all(version.kind, version.name)
            for number in numbers:
                here = self.read(version.kind, version.name, number)
                if here.digest == version.digest:
                    self.recover(here)  # this flushes the folder of the version too
                    return here, False
            number = max(numbers) + 1 if version.number in numbers else version.number
            with suppress(ConflictError):
                return self._publish(version.kind, version.name, number, version.data), True

    def find(self, kind: Kind, ref: Ref) -> Version:
        """Return the version that a ref names; raises NotFoundError with the closest names."""
        listed = self._all(kind, ref.name)
        numbers = sorted(number for number, removed in listed.items() if not removed)
        if not numbers:
            raise NotFoundError(
                f"No {kind[:-1]} is named {ref.name!r}.",
                hint=self._removed_hint(kind, ref.name)
                or did_you_mean(ref.name, self.names(kind), otherwise=f"See `regraft {kind[:-1]} list`."),
            )
        if not ref.version:
            return self.read(kind, ref.name, numbers[-1])
        number = ref.number or self.tags(kind, ref.name).get(ref.version)
        if number in listed.keys() - set(numbers):
            raise NotFoundError(
                f"{kind[:-1].capitalize()} '{ref.name}:v{number}' was removed.",
                hint=f"Get it back with: regraft {kind[:-1]} recover {ref.name}:v{number}",
            )
        if number not in numbers:
            known = [f"v{number}" for number in numbers] + list(self.tags(kind, ref.name))
            raise NotFoundError(
                f"{kind[:-1].capitalize()} {ref.name!r} has no version {ref.version!r}.",
                hint=did_you_mean(ref.version, known, otherwise=f"The latest is {known[len(numbers) - 1]}."),
            )
        return self.read(kind, ref.name, number)

    def find_digest(self, kind: Kind, wanted: str) -> Version | None:
        """Return the version with this digest: of several a visible one; None where there is none."""
        listed = self._listed(kind).items()
        places = [(removed, name, -number) for name, numbers in listed for number, removed in numbers.items()]
        for _, name, number in sorted(places):
            version = self.read(kind, name, -number)
            if version.digest == wanted:
                return version
        return None

    def latest(self, kind: Kind, name: str) -> Version | None:
        """Return the latest version of a name, or None."""
        numbers = self.numbers(kind, name)
        return self.read(kind, name, numbers[-1]) if numbers else None

    def history(self, kind: Kind, name: str) -> list[Version]:
        """Return all versions of a name, the oldest first."""
        return [self.read(kind, name, number) for number in self.numbers(kind, name)]

    def names(self, kind: Kind) -> list[str]:
        """List the names of one kind that have a version."""
        return sorted(name for name, numbers in self._listed(kind).items() if not all(numbers.values()))

    def numbers(self, kind: Kind, name: str) -> list[int]:
        """List the version numbers of a name in order; empty where there is no such name."""
        return sorted(number for number, removed in self._all(kind, name).items() if not removed)

    def removed(self, kind: Kind, name: str) -> list[int]:
        """List the numbers of the versions that were removed and not recovered, in order."""
        return sorted(number for number, removed in self._all(kind, name).items() if removed)

    def every(self, kind: Kind) -> Iterator[tuple[str, int, float | None]]:
        """Yield the name and the number of every version, and when it was removed, where it was."""
        for name, numbers in sorted(self._listed(kind).items()):
            for number, removed in sorted(numbers.items()):
                marker = self._storage.find(_marker(kind, name, number)) if removed else None
                yield name, number, marker.modified if marker else None

    def read(self, kind: Kind, name: str, number: int) -> Version:
        """Read one version, removed or not; raises IntegrityError where it is missing or damaged."""
        file = file_name(kind, name, number)
        data = self._storage.read(file)
        if data is None:
            raise IntegrityError(f"The version file {file!r} is missing.", hint=_HEAL)
        plain = unseal(data)
        if plain is None:
            raise IntegrityError(f"The version file {file!r} is damaged.", hint=_HEAL)
        return Version(kind=kind, name=name, number=number, digest=digest(plain), data=plain)

    def remove(self, version: Version) -> None:
        """Hide a version, until it is recovered or what it alone needs is collected.

        Raises ConflictError where a tag names it.
        """
        self.check_untagged(version)
        with suppress(ConflictError):  # it was removed already
            self._storage.put(
                _marker(version.kind, version.name, version.number), canonical({}), point="catalog.remove"
            )

    def modified(self, version: Version) -> float:
        """Return when a version came into this storage, by the storage's clock, in seconds."""
        file = file_name(version.kind, version.name, version.number)
        found = self._storage.find(file)
        if found is None:
            raise IntegrityError(f"The version file {file!r} is missing.", hint=_HEAL)
        return found.modified

    def check_untagged(self, *versions: Version) -> None:
        """Raise ConflictError where tags name one of some versions of a name."""
        first, numbers = versions[0], {version.number for version in versions}
        tags = self.tags(first.kind, first.name)
        named = {tag: f"{first.name}:v{number}" for tag, number in tags.items() if number in numbers}
        if named:
            said = ", ".join(f"{tag!r} names {version!r}" for tag, version in named.items())
            commands = " && ".join(
                f"regraft {first.kind[:-1]} tag {first.name} {tag} --delete" for tag in named
            )
            raise ConflictError(
                f"The tag {said}." if len(named) == 1 else f"Tags are in the way: {said}.",
                hint=f"Delete {'it' if len(named) == 1 else 'them'} first: {commands}",
            )

    def recover(self, version: Version) -> None:
        """Show a removed version again."""
        marker = _marker(version.kind, version.name, version.number)
        self._storage.remove(marker)
        self._storage.confirm(
            marker, point="catalog.recover"
        )  # else it could be hidden, and collected, later

    def tag(self, kind: Kind, ref: Ref, tag: str) -> Version:
        """Let a tag name a version; a tag that exists moves at once."""
        if not _TAG.fullmatch(tag):
            raise InvalidRef(
                f"{tag!r} cannot be a tag.", hint="A tag is a word; 'latest' and 'v1' are taken."
            )
        version = self.find(kind, ref)
        data = canonical({"version": version.number})
        self._storage.swap(_tag_file(kind, ref.name, tag), data, point="catalog.tag")
        return version

    def untag(self, kind: Kind, ref: Ref, tag: str) -> Version:
        """Take a tag away and return the version that it named.

        Raises NotFoundError, with the tags that there are, where the name, or the version, has no such tag.
        """
        version = self.find(kind, ref)
        tags = self.tags(kind, ref.name)
        if tag not in tags or (ref.version and tags[tag] != version.number):
            known = ", ".join(repr(name) for name in tags)
            raise NotFoundError(
                f"{kind[:-1].capitalize()} {str(ref)!r} has no tag {tag!r}.",
                hint=f"The tags of {ref.name!r}: {known}." if known else f"{ref.name!r} has no tags.",
            )
        file = _tag_file(kind, ref.name, tag)
        self._storage.remove(file)
        self._storage.confirm(file, point="catalog.tag")  # else it could be back after a power cut
        return self.read(kind, ref.name, tags[tag])

    def tags(self, kind: Kind, name: str) -> dict[str, int]:
        """Return the tags of a name and the version number that each stands for."""
        files = sorted(found.name for found in self._storage.list(f"tags/{kind}/{name}"))
        return {
            file.rpartition("/")[2].removesuffix(".json"): self.tagged(file)
            for file in files
            if file.endswith(".json")
        }

    def _publish(self, kind: Kind, name: str, number: int, data: bytes) -> Version:
        version = Version(kind=kind, name=name, number=number, digest=digest(data), data=data)
        self._storage.put(file_name(kind, name, number), seal(version), point="catalog.commit")
        return version

    def _all(self, kind: Kind, name: str) -> dict[int, bool]:
        """Return the numbers of a name, and whether each was removed."""
        return self._listed(f"{kind}/{name}").get(name, {})

    def _listed(self, folder: str) -> dict[str, dict[int, bool]]:
        found: dict[str, dict[int, bool]] = defaultdict(dict)
        for file in self._storage.list(folder):
            _, name, last = (*file.name.split("/"), "", "")[:3]
            if match := _FILE.fullmatch(last):
                number = int(match[1])
                found[name][number] = found[name].get(number, False) or match[2] == "removed"
        return found

    def tagged(self, file: str) -> int:
        """Return the number that the file of a tag names; raises IntegrityError where it is damaged."""
        data = self._storage.read(file)
        try:
            number: int = json.loads(data or b"")["version"]
        except (ValueError, TypeError, KeyError):
            raise IntegrityError(f"The tag {file!r} is damaged.", hint="Tag a version again.") from None
        return number

    def _removed_hint(self, kind: Kind, name: str) -> str:
        removed = self.removed(kind, name)
        return (
            f"It was removed. Get it back with: regraft {kind[:-1]} recover {name}:v{removed[-1]}"
            if removed
            else ""
        )


def seal(version: Version) -> bytes:
    """Write a version as its file: the manifest and its digest."""
    return canonical({**json.loads(version.data), "digest": version.digest})


def unseal(data: bytes) -> bytes | None:
    """Return the manifest of a version's file; None where it is not what its digest says."""
    try:
        document = json.loads(data)
        said = document.pop("digest")
        plain = canonical(document)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return plain if digest(plain) == said else None


def file_name(kind: Kind, name: str, number: int) -> str:
    """Return what the file of a version is called in its storage."""
    return f"{kind}/{name}/v{number}.json"


def _tag_file(kind: Kind, name: str, tag: str) -> str:
    return f"tags/{kind}/{name}/{tag}.json"


def _marker(kind: Kind, name: str, number: int) -> str:
    return f"{kind}/{name}/v{number}.removed"


def _same_content(data: bytes, version: Version) -> bool:
    old, new = json.loads(version.data), json.loads(data)
    return bool(old | {"parent": None} == new | {"parent": None})


_HEAL = "See `regraft store verify`. Restore it from a copy of the workspace, or use another version."
