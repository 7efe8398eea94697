"""The one canonical JSON in which records stand on disk, and versions of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from regraft.errors import InvalidRecord

Kind = Literal["datasets", "models", "reports"]


T = TypeVar("T", bound="Record")


class Record(BaseModel):
    """A stored document: it never changes, and it takes no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def canonical(document: Mapping[str, Any]) -> bytes:
    """Write a JSON object in its one canonical form: sorted keys, two spaces, UTF-8, a newline."""
    text = json.dumps(document, sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return f"{text}\n".encode()


def encode(record: Record) -> bytes:
    """Write a record as canonical JSON."""
    return canonical(record.model_dump(mode="json"))


def decode(kind: type[T], data: bytes, *, where: str) -> T:
    """Read a record of one kind; `where` names the document in the error.

    Raises InvalidRecord.
    """
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidRecord(
            f"{where} cannot be read: {first['msg']} at {place!r}.",
            hint="It was written by another version of Regraft, or changed by hand.",
            where=place,
        ) from error


def digest(data: bytes) -> str:
    """Return the sha256 of some bytes in hexadecimal."""
    return sha256(data).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Version:
    """A committed version: what it is called, its digest, and its manifest as it stands on disk."""

    kind: Kind
    name: str
    number: int
    digest: str
    data: bytes

    def __str__(self) -> str:
        """Write the version as a ref: `hotdog:v3`."""
        return f"{self.name}:v{self.number}"

    def __repr__(self) -> str:
        return f"<Version {self.kind}/{self} {self.digest[:12]}>"  # the manifest may be megabytes

    def read(self, kind: type[T]) -> T:
        """Decode the manifest; raises InvalidRecord."""
        return decode(kind, self.data, where=f"{self.kind}/{self.name}/v{self.number}.json")
