"""Names that every disk keeps: what a label or a key becomes in the path of an exported picture."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from hashlib import sha256
from pathlib import PurePosixPath

from regraft.data.sources.arrange import PICTURES, junk
from regraft.records import Row

#: The longest name of a file that common disks keep, in bytes.
MAX_NAME = 255
#: Names with one of these endings are left as they are; to others the ending of their content is added.
SUFFIXES = PICTURES

_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
#: What Windows takes for a device, whatever the ending.
_DEVICE = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$) *(\.|$)", re.IGNORECASE)
_MAGIC = (
    (b"\xff\xd8", ".jpg"),
    (b"\x89PNG", ".png"),
    (b"GIF8", ".gif"),
    (b"BM", ".bmp"),
    (b"II*\0", ".tif"),
    (b"MM\0*", ".tif"),
    (b"RIFF", ".webp"),
)


class Layout:
    """Give each picture of an export its path: SPLIT/LABEL/NAME, safe and unique on every disk."""

    def __init__(self, labels: Iterable[str]) -> None:
        """Choose the folder of every label; those that are safe as they are keep their name."""
        taken: set[str] = set()
        self._folders = {
            label: _unique(safe(label), taken, mark=sha256(label.encode()).hexdigest()[:8])
            for label in sorted(labels, key=lambda label: (safe(label) != label, label))
        }
        self._taken: dict[str, set[str]] = {}

    def path(self, row: Row, head: bytes) -> str:
        """Return the path of a picture whose bytes begin with `head`; each picture is given once."""
        folder = f"{row.split}/{self._folders[row.label]}"
        name = row.key.rpartition("/")[2]
        if PurePosixPath(name).suffix.casefold() not in SUFFIXES:
            name += next((suffix for magic, suffix in _MAGIC if head.startswith(magic)), "")
        taken = self._taken.setdefault(folder, set())
        return f"{folder}/{_unique(safe(name), taken, mark=row.digest[:8])}"


def safe(name: str) -> str:
    """Return a name without what some disk, shell or reader would take for something else."""
    name = unicodedata.normalize("NFC", name)
    name = "".join("_" if unicodedata.category(letter) == "Cc" else letter for letter in name)
    name = _FORBIDDEN.sub("_", name)
    stripped = name.rstrip(". ")  # Windows leaves them out
    name = stripped + "_" * (len(name) - len(stripped))
    if not name or _DEVICE.match(name) or junk(name):
        name = f"_{name}"
    return _short(name, MAX_NAME)


def _unique(name: str, taken: set[str], *, mark: str) -> str:
    """Return the name, marked where another one is the same on a disk that knows no case."""
    unmarked, number = name, 1
    while (same := unicodedata.normalize("NFC", name.casefold())) in taken:
        suffix = f"-{mark}" if number == 1 else f"-{mark}-{number}"
        ending = _ending(unmarked)
        stem = _cut(unmarked.removesuffix(ending), MAX_NAME - len(f"{suffix}{ending}".encode()))
        name = f"{stem}{suffix}{ending}"
        number += 1
    taken.add(same)
    return name


def _short(name: str, limit: int) -> str:
    """Cut a name to so many bytes; its ending stays."""
    ending = _ending(name)
    return _cut(name.removesuffix(ending), limit - len(ending.encode())) + ending


def _cut(text: str, limit: int) -> str:
    return text.encode()[:limit].decode(errors="ignore")


def _ending(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return suffix if suffix.casefold() in SUFFIXES else ""
