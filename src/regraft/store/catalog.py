"""The catalog: immutable versions v1, v2, ... of named things, and tags that name one of them.

A version is one file, published once. `latest` is no tag that somebody moves: it is the version with the
highest number, and so it moves by itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from regraft import durable
from regraft.errors import ConflictError, IntegrityError, InvalidRef, NotFoundError, did_you_mean
from regraft.records import Kind, Record, Version, canonical, digest, encode
from regraft.refs import Ref, check_name

_FILE = re.compile(r"v([1-9][0-9]*)\.json")
_TAG = re.compile(r"(?!v[0-9]+$|latest$)[^\W_][\w.-]{0,99}")


class Catalog:
    """The versions of a store."""

    def __init__(self, root: Path) -> None:
        self._root = root

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
            parent = self.latest(kind, name)
            data = encode(build(parent))
            if parent is not None and _same_content(data, parent):
                # who published it may have died before it was flushed
                durable.confirm(self._path(kind, name, parent.number), point="catalog.commit")
                return parent, False
            number = parent.number + 1 if parent else 1
            try:
                durable.put(self._path(kind, name, number), data, point="catalog.commit")
            except ConflictError:
                continue
            return Version(kind=kind, name=name, number=number, digest=digest(data), data=data), True

    def find(self, kind: Kind, ref: Ref) -> Version:
        """Return the version that a ref names; raises NotFoundError with the closest names."""
        numbers = self.numbers(kind, ref.name)
        if not numbers:
            raise NotFoundError(
                f"No {kind[:-1]} is named {ref.name!r}.",
                hint=did_you_mean(ref.name, self.names(kind), otherwise=f"See `regraft {kind[:-1]} list`."),
            )
        if not ref.version:
            return self._read(kind, ref.name, numbers[-1])
        number = ref.number or self.tags(kind, ref.name).get(ref.version)
        if number not in numbers:
            known = [f"v{number}" for number in numbers] + list(self.tags(kind, ref.name))
            raise NotFoundError(
                f"{kind[:-1].capitalize()} {ref.name!r} has no version {ref.version!r}.",
                hint=did_you_mean(ref.version, known, otherwise=f"The latest is {known[len(numbers) - 1]}."),
            )
        return self._read(kind, ref.name, number)

    def find_digest(self, kind: Kind, wanted: str) -> Version | None:
        """Return the version with this digest, or None."""
        for name in self.names(kind):
            for number in reversed(self.numbers(kind, name)):
                version = self._read(kind, name, number)
                if version.digest == wanted:
                    return version
        return None

    def latest(self, kind: Kind, name: str) -> Version | None:
        """Return the latest version of a name, or None."""
        numbers = self.numbers(kind, name)
        return self._read(kind, name, numbers[-1]) if numbers else None

    def names(self, kind: Kind) -> list[str]:
        """List the names of one kind that have a version."""
        folder = self._root / kind
        if not folder.is_dir():
            return []
        return sorted(path.name for path in folder.iterdir() if self.numbers(kind, path.name))

    def numbers(self, kind: Kind, name: str) -> list[int]:
        """List the version numbers of a name in order; empty where there is no such name."""
        try:
            files = [path.name for path in (self._root / kind / name).iterdir()]
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise durable.unreadable(error, self._root / kind / name) from error
        return sorted(int(match[1]) for file in files if (match := _FILE.fullmatch(file)))

    def tag(self, kind: Kind, ref: Ref, tag: str) -> Version:
        """Let a tag name a version; a tag that exists moves at once."""
        if not _TAG.fullmatch(tag):
            raise InvalidRef(
                f"{tag!r} cannot be a tag.", hint="A tag is a word; 'latest' and 'v1' are taken."
            )
        version = self.find(kind, ref)
        path = self._root / "tags" / kind / ref.name / f"{tag}.json"
        durable.swap(path, canonical({"version": version.number}), point="catalog.tag")
        return version

    def tags(self, kind: Kind, name: str) -> dict[str, int]:
        """Return the tags of a name and the version number that each stands for."""
        folder = self._root / "tags" / kind / name
        if not folder.is_dir():
            return {}
        return {path.stem: _tagged(path) for path in sorted(folder.glob("[!.]*.json"))}

    def _path(self, kind: Kind, name: str, number: int) -> Path:
        return self._root / kind / name / f"v{number}.json"

    def _read(self, kind: Kind, name: str, number: int) -> Version:
        path = self._path(kind, name, number)
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            raise IntegrityError(f"The version file {str(path)!r} is missing.") from None
        except OSError as error:
            raise durable.unreadable(error, path) from error
        found = digest(data)
        if self._parent_of(kind, name, number + 1) not in (None, found):
            raise IntegrityError(
                f"The version file {str(path)!r} is not what it was when v{number + 1} was made.",
                hint="Restore it from a copy of the workspace, or use the later version.",
            )
        return Version(kind=kind, name=name, number=number, digest=found, data=data)

    def _parent_of(self, kind: Kind, name: str, number: int) -> str | None:
        """Return the digest that a version names as its parent's; None where there is no such version."""
        try:
            parent: str | None = json.loads(self._path(kind, name, number).read_bytes())["parent"]
        except (OSError, ValueError, KeyError, TypeError):
            return None  # not there, or damaged: reading that version will say so
        return parent


def _tagged(path: Path) -> int:
    try:
        number: int = json.loads(path.read_bytes())["version"]
    except OSError as error:
        raise durable.unreadable(error, path) from error
    except (ValueError, TypeError, KeyError):
        raise IntegrityError(f"The tag {str(path)!r} is damaged.", hint="Tag a version again.") from None
    return number


def _same_content(data: bytes, version: Version) -> bool:
    try:
        old, new = json.loads(version.data), json.loads(data)
        return bool(old | {"parent": None} == new | {"parent": None})
    except (ValueError, TypeError):
        raise IntegrityError(f"The manifest of {version.kind}/{version} is damaged.") from None
