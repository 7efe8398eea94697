"""What the comments above the fields of a recipe say, and its JSON schema, which says it too."""

from __future__ import annotations

import inspect
import re
from functools import cache
from typing import Any

from regraft.recipe.sections import GroupRule, Recipe, Section

#: A comment above a field, as the house writes them, and the field's name.
_FIELD = re.compile(r"((?:^    #: .*\n)+)    (\w+):", re.MULTILINE)


@cache
def descriptions(section: type[Section]) -> dict[str, str]:
    """Return what a section says of each of its fields; empty where its source is not there."""
    try:
        source = inspect.getsource(section)
    except OSError:
        return {}  # an installation without sources
    return {
        name: " ".join(line.strip().removeprefix("#: ") for line in words.strip().splitlines())
        for words, name in _FIELD.findall(source)
    }


def schema() -> dict[str, Any]:
    """Return the JSON schema of a recipe file, which editors complete and check by."""
    made = Recipe.model_json_schema()
    sections = {type(field.default).__name__: type(field.default) for field in Recipe.model_fields.values()}
    for name, table in ({"GroupRule": GroupRule} | sections).items():
        _describe(made["$defs"][name]["properties"], descriptions(table))
    for name in sections:
        made["$defs"][name]["properties"]["replace"] = {
            "type": "boolean",
            "description": "Whether nothing of what the file extends stays of this table.",
        }
    _describe(made["properties"], descriptions(Recipe))
    made["properties"]["extends"] = {
        "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
        "description": "Presets, or files relative to this one, that this one is laid over, in order.",
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


def _describe(properties: dict[str, Any], words: dict[str, str]) -> None:
    for name, found in properties.items():
        if name in words:
            found["description"] = words[name]
