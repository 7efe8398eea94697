"""The recipe of a run, as it was recorded when the run began."""

from __future__ import annotations

from regraft.errors import InvalidRecipe
from regraft.recipe.sections import Recipe
from regraft.recipe.validation import check
from regraft.records import RunRecord


def recorded(run: RunRecord) -> Recipe:
    """Return the recipe of a run; nothing in it is left open.

    Raises InvalidRecipe where another version of Regraft has recorded one that this version does not read.
    """
    try:
        return check(run.recipe)
    except InvalidRecipe as error:
        raise InvalidRecipe(
            f"run:{run.id}: {error}",
            hint="Another version of Regraft has recorded it, and can read it.",
            where=error.where,
        ) from None
