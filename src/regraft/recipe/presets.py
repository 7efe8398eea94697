"""Recipes that come with Regraft, by name."""

from __future__ import annotations

import re
from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "recipes"
_WORD = re.compile(r"[a-z0-9-]+")
#: For those who begin, in the order of how much of a net learns; the others follow by name.
_FIRST = ("probe", "few-shot", "lp-ft", "partial", "full", "scratch")


def names() -> list[str]:
    """Return the names of all presets, in the order in which people read them."""
    found = {path.stem for path in _FOLDER.glob("*.toml")}
    return [*(name for name in _FIRST if name in found), *sorted(found.difference(_FIRST))]


def is_word(name: str) -> bool:
    """Tell whether this could be the name of a preset, and not only of a file."""
    return bool(_WORD.fullmatch(name))


def find(name: str) -> Path | None:
    """Return the file of a preset; None where there is none of that name."""
    path = _FOLDER / f"{name}.toml"
    return path if is_word(name) and path.is_file() else None


def summary(name: str) -> str:
    """Return what a preset says of itself in its first line."""
    first = (_FOLDER / f"{name}.toml").read_text(encoding="utf-8").splitlines()[0]
    return first.removeprefix("#").strip()
