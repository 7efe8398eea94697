"""A resolved recipe as TOML text, which `regraft finetune --recipe` reads."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping

#: The order in which people read a recipe; any other section follows by name.
SECTIONS = ("model", "data", "optim", "train", "eval")

BARE = re.compile(r"[A-Za-z0-9_-]+")
WIDTH = 80


def format_recipe(recipe: Mapping[str, object]) -> str:
    """Write a recipe as TOML: sections in their order, keys by name, whatever order they came in.

    A key without a value is left out, since TOML has none.
    """
    plain = {key: value for key, value in recipe.items() if not isinstance(value, Mapping)}
    parts = [_lines(plain)] if plain else []
    rank = {name: index for index, name in enumerate(SECTIONS)}
    for name in sorted(recipe, key=lambda key: (rank.get(key, len(SECTIONS)), key)):
        section = recipe[name]
        if isinstance(section, Mapping):
            parts.append("\n".join(filter(None, [f"[{_key(name)}]", _lines(section)])))
    return "\n\n".join(parts) + "\n"


def _lines(section: Mapping[str, object]) -> str:
    return "\n".join(
        f"{_key(key)} = {_value(section[key])}" for key in sorted(section) if section[key] is not None
    )


def _key(name: str) -> str:
    return name if BARE.fullmatch(name) else _string(name)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return _string(value)
        case int() | float():
            return repr(value)
        case Mapping():
            return "{ " + ", ".join(f"{_key(k)} = {_value(value[k])}" for k in sorted(value)) + " }"
        case Iterable():
            return _array([_value(item) for item in value])
    raise TypeError(f"A recipe holds no {type(value).__name__}.")


def _array(items: list[str]) -> str:
    line = f"[{', '.join(items)}]"
    return line if len(line) <= WIDTH else "[\n" + "".join(f"  {item},\n" for item in items) + "]"


def _string(text: str) -> str:
    """A JSON string is a TOML string, but for DEL, which TOML wants escaped."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
