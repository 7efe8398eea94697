"""Read a recipe in spite of what is wrong with it: each fault is told, and what has one is left out."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from regraft.errors import InvalidRecipe, RegraftError
from regraft.recipe.reading import Traced, begin
from regraft.recipe.sections import Recipe
from regraft.recipe.settings import apply
from regraft.recipe.validation import check


def mend(
    source: Recipe | str | Path | None, settings: Iterable[str] = (), *, given: str = ""
) -> tuple[Traced | None, list[RegraftError]]:
    """Return what can be read of a recipe, and all faults that `trace` would raise one by one.

    Where a file is missing, or is no TOML, nothing can be.
    """
    try:
        draft = begin(source, given=given)
    except RegraftError as error:
        return None, [error]
    found: list[RegraftError] = []
    for setting in settings:
        try:
            apply(draft, setting)
        except RegraftError as error:
            found.append(error)
    while True:
        try:
            return Traced(recipe=check(draft.document, draft.origin), origins=draft.origins), found
        except InvalidRecipe as error:
            found.append(error)
            if not _left_out(draft.document, error.where):
                return None, found


def _left_out(document: dict[str, Any], where: str) -> bool:
    """Take the value of a key away, or the innermost thing around it that is there; tell whether one was."""
    table: Any = document
    holder, last = None, None
    for part in where.split("."):
        key: Any = int(part) if isinstance(table, list) and part.isdecimal() else part
        inside = key in table if isinstance(table, dict) else isinstance(key, int) and key < len(table)
        if not inside:
            break
        holder, last, table = table, key, table[key]
        if not isinstance(table, dict | list):
            break
    if holder is None:
        return False
    del holder[last]
    return True
