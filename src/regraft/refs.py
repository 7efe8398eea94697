"""Refs: the words that name a version. Pure; nothing is looked up here."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

from regraft.errors import InvalidRef

#: Where a pretrained model can come from, and how one of each is written.
SOURCES = {
    "embedded": "embedded:NAME",
    "timm": "timm:NAME or timm:NAME.TAG",
    "torchvision": "torchvision:NAME or torchvision:NAME/WEIGHTS",
    "regraft": "regraft:NAME",
    "hf": "hf:OWNER/NAME or hf:OWNER/NAME@REVISION",
    "file": "file:PATH",
    "https": "https://HOST/FILE#sha256=DIGEST, or without what follows the #",
    "http": "http://HOST/FILE#sha256=DIGEST, or without what follows the #",
}

_NAME = re.compile(r"[^\W_][\w.-]{0,99}")
_VERSION = re.compile(r"v[1-9][0-9]{0,8}")
_PLAIN = r"(?P<name>[\w.-]+)"
_OWNED = r"(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(?:@(?P<version>\w[\w.-]*(?:/[\w.-]+)*))?"
_ADDRESS = r"(?P<name>//[^\s#/?]+/[^\s#]+)(?:#sha256=(?P<version>[0-9a-fA-F]{64}))?"
#: What may follow the colon.
_REST = {
    "embedded": re.compile(_PLAIN),
    "timm": re.compile(_PLAIN),
    "torchvision": re.compile(rf"{_PLAIN}(?:/(?P<version>\w+))?"),
    "regraft": re.compile(_PLAIN),
    "hf": re.compile(_OWNED),
    "file": re.compile(r"(?P<name>[^\0\n]+)"),
    "https": re.compile(_ADDRESS),
    "http": re.compile(_ADDRESS),
}
#: What stands between a name and its version; a colon where nothing else is said.
_BETWEEN = {"torchvision": "/", "hf": "@", "https": "#sha256=", "http": "#sha256="}
#: How files with weights end.
_ENDING = re.compile(r"(\.(safetensors|pth|pt|th|bin|ckpt|tar))+$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ref:
    """A name, perhaps with a version (`v3`, or a tag such as `best`), perhaps of a pretrained source."""

    #: Of a source: the model, the path, or the address from its slashes on.
    name: str
    #: A version or a tag; empty means the latest version. Of a source: which weights, which revision, or
    #: the sha256 of the file; empty where the ref leaves it open.
    version: str = ""
    #: `timm`, `hf`, ...: a model that is not in the workspace yet. Empty: something in the workspace.
    source: str = ""

    def __str__(self) -> str:
        """Write the ref in its short form: `hotdog:v3`, `timm:resnet18`."""
        start = f"{self.source}:" if self.source else ""
        end = f"{_BETWEEN.get(self.source, ':')}{self.version}" if self.version else ""
        return f"{start}{self.name}{end}"

    @property
    def number(self) -> int | None:
        """The version as a number; None where a tag or nothing is named."""
        return int(self.version[1:]) if _VERSION.fullmatch(self.version) else None

    @property
    def stored_name(self) -> str:
        """What a model of a source is called in the workspace: `resnet18.a1_in1k`."""
        last = self.name.partition("?")[0].rstrip("/").rpartition("/")[2]
        if self.source in ("file", "https", "http"):
            last = _ENDING.sub("", last)
        return make_name(last, otherwise="model")


def parse(text: str) -> Ref:
    """Parse `hotdog`, `hotdog:v3`, `hotdog/version/v3`, `hotdog:best`, or a pretrained source's model.

    Those are written `embedded:NAME`, `timm:NAME[.TAG]`, `torchvision:NAME[/WEIGHTS]`, `regraft:NAME`,
    `hf:OWNER/NAME[@REVISION]`, `file:PATH` and `https://HOST/FILE[#sha256=DIGEST]`. Raises InvalidRef.
    """
    head, colon, tail = text.partition(":")
    if colon and head in SOURCES:
        return _parse_source(text, head, tail)
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


def make_name(text: str, *, otherwise: str = "pictures") -> str:
    """Make a name out of any words, such as a folder's name; `otherwise` where nothing is left of them."""
    words = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", text)).strip("-._")
    return words[:100] or otherwise


def _parse_source(text: str, source: str, rest: str) -> Ref:
    if source in ("https", "http") and "@" in rest.removeprefix("//").partition("/")[0]:
        raise InvalidRef(
            "The address of a model cannot hold a user name and a password: it is stored with the model.",
            hint="Fetch the file by other means, and name it: file:PATH.",
        )
    match = _REST[source].fullmatch(rest)
    if not match or not rest.strip():
        raise InvalidRef(f"{text!r} names no model.", hint=f"Write {SOURCES[source]}.")
    parts = match.groupdict()
    version = parts.get("version") or ""
    if source in ("https", "http"):
        version = version.lower()  # hexadecimal digits mean the same in both cases
    return Ref(name=parts["name"], version=version, source=source)
