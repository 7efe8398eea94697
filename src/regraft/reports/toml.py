"""A resolved recipe as TOML text, which `regraft finetune --recipe` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from regraft.recipe import write


def format_recipe(recipe: Mapping[str, object]) -> str:
    """Write a recipe as TOML: sections in their order, keys by name, whatever order they came in.

    A key without a value is left out, since TOML has none.
    """
    return write(_sorted(recipe))


def _sorted(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(item) for item in value] if isinstance(value, list | tuple) else value
