"""A recipe as TOML text, which `read` gives back with the same values."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from regraft.recipe.sections import Recipe

#: The order in which people read a recipe; any other table follows.
SECTIONS = tuple(Recipe.model_fields)

_BARE = re.compile(r"[A-Za-z0-9_-]+")
#: A list that is longer than this has a line for each item.
_WIDTH = 80


def write(
    recipe: Recipe | Mapping[str, Any],
    *,
    header: str = "",
    comments: Mapping[str, str] | None = None,
) -> str:
    """Write a recipe, or a document of the keys that differ from the defaults, as TOML.

    Keys that are in no section come first, then the sections in their order, and keys in the order that they
    have; one whose value is None is left out, since TOML has none. `header` stands above all of it as a
    comment, and `comments` above their keys: `{"optim.lr": "why"}`.
    """
    document = recipe.model_dump() if isinstance(recipe, Recipe) else recipe
    words = comments or {}
    sections = {key: value for key, value in document.items() if isinstance(value, Mapping)}
    plain = {key: value for key, value in document.items() if key not in sections}
    parts = [_comment(header)] if header else []
    if any(value is not None for value in plain.values()):
        parts.append(_lines(plain, words, ""))
    rank = {name: index for index, name in enumerate(SECTIONS)}
    for name in sorted(sections, key=lambda key: rank.get(key, len(rank))):  # a sort keeps the others' order
        lines = _lines(sections[name], words, f"{name}.")
        parts.append("\n".join(filter(None, [f"[{_key(name)}]", lines])))
    return "\n\n".join(parts) + "\n"


def _lines(table: Mapping[str, Any], comments: Mapping[str, str], prefix: str) -> str:
    lines = []
    for key, value in table.items():
        if value is None:
            continue
        if words := comments.get(f"{prefix}{key}"):
            lines.append(_comment(words))
        lines.append(f"{_key(key)} = {_spread(value)}")
    return "\n".join(lines)


def _comment(text: str) -> str:
    # TOML forbids control characters in comments, and a line of its own begins with every line break
    clean = (re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", line) for line in text.strip().split("\n"))
    return "\n".join(f"# {line}".rstrip() for line in clean)


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _string(name)


def format_value(value: object) -> str:
    """Write a value as TOML, on one line."""
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int():
            return str(value)
        case float():
            return repr(float(value))  # of numpy's, too
        case Mapping():
            inner = ", ".join(f"{_key(k)} = {format_value(v)}" for k, v in value.items() if v is not None)
            return f"{{ {inner} }}" if inner else "{}"
        case Iterable():
            return f"[{', '.join(map(format_value, value))}]"
    raise TypeError(f"a recipe holds no {type(value).__name__}")


def _spread(value: object) -> str:
    """Write a value as TOML, a long list with a line for each item."""
    line = format_value(value)
    if len(line) <= _WIDTH or isinstance(value, str | Mapping) or not isinstance(value, Iterable):
        return line
    return "[\n" + "".join(f"  {format_value(item)},\n" for item in value) + "]"


def _string(text: str) -> str:
    """A JSON string is a TOML string, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
