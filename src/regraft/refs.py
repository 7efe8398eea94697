"""Refs: the words that name a version. Pure; nothing is looked up here."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from regraft.errors import InvalidRef

#: Where a pretrained model can come from.
SOURCES = ("embedded", "timm")

_NAME = re.compile(r"[^\W_][\w.-]{0,99}")
_VERSION = re.compile(r"v[1-9][0-9]{0,8}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ref:
    """A name, perhaps with a version (`v3`, or a tag such as `best`), perhaps of a pretrained source."""

    name: str
    #: A version or a tag; empty means the latest version.
    version: str = ""
    #: `embedded`, `timm`: a model that is not in the workspace yet. Empty: something in the workspace.
    source: str = ""

    def __str__(self) -> str:
        """Write the ref in its short form: `hotdog:v3`, `timm:resnet18`."""
        if self.source:
            return f"{self.source}:{self.name}"
        return f"{self.name}:{self.version}" if self.version else self.name

    @property
    def number(self) -> int | None:
        """The version as a number; None where a tag or nothing is named."""
        return int(self.version[1:]) if _VERSION.fullmatch(self.version) else None


def parse(text: str) -> Ref:
    """Parse `hotdog`, `hotdog:v3`, `hotdog/version/v3`, `hotdog:best` or `timm:resnet18.a1_in1k`.

    Raises InvalidRef.
    """
    head, colon, tail = text.partition(":")
    if colon and head in SOURCES:
        if not tail or not re.fullmatch(r"[\w.-]+", tail):
            raise InvalidRef(f"{text!r} names no model.", hint=f"Write {head}:NAME.")
        return Ref(name=tail, source=head)
    if "/version/" in text:
        head, _, tail = text.partition("/version/")
        colon = ":"
    if colon and not tail:
        raise InvalidRef(f"{text!r} ends where a version should stand.", hint=f"Write {head}:v1, or {head}.")
    name = check_name(head)
    if tail and not _NAME.fullmatch(tail):
        raise InvalidRef(
            f"{tail!r} is no version and no tag.", hint="A version is v1, v2, ...; a tag is a word."
        )
    return Ref(name=name, version="" if tail == "latest" else tail)


def check_name(text: str) -> str:
    """Return `text` in its composed Unicode form if it can name something; raise InvalidRef if not."""
    name = unicodedata.normalize("NFC", text)
    if not _NAME.fullmatch(name):
        raise InvalidRef(
            f"{text!r} cannot be a name.",
            hint="Use letters, digits, '.', '_' and '-', a letter or digit first, 100 at most.",
        )
    return name


def make_name(text: str) -> str:
    """Make a name out of any words, such as a folder's name."""
    words = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", text)).strip("-._")
    return words[:100] or "pictures"
