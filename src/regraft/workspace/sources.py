"""What a recipe can come from: a file, a preset, or a run of the workspace, which tells its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from regraft.errors import InvalidError, InvalidRecipe
from regraft.recipe import Recipe, Traced, recorded, trace
from regraft.store.opening import Store

#: How a recipe is written that a run tells.
_RUN = "run:"


def find(store: Store, recipe: Recipe | str | Path | None) -> Recipe | str | Path | None:
    """Return the recipe of a run, where one is named: `run:latest`; all else as it is.

    A run's recipe leaves nothing open, so that it gives the same again. Raises NotFoundError for a run that
    there is not, InvalidError for one that had no recipe, InvalidRecipe for one that is not understood.
    """
    if recipe is None or isinstance(recipe, Recipe) or not str(recipe).startswith(_RUN):
        return recipe
    record = store.journal.find(str(recipe).removeprefix(_RUN)).record
    if not record.recipe:
        raise InvalidError(
            f"Run {record.id} has no recipe: its kind is {record.kind!r}.",
            hint="Name a fine-tuning; `regraft run list` shows them.",
            where=str(recipe),
        )
    return recorded(record)


def trace_from(store: Store, recipe: Recipe | str | Path | None, settings: Iterable[str] = ()) -> Traced:
    """Read a recipe from wherever it comes from, and tell where each of its values does."""
    given = "" if recipe is None or isinstance(recipe, Recipe) else str(recipe)
    return trace(find(store, recipe), settings, given=given)


@contextmanager
def placing(
    store: Store, recipe: Recipe | str | Path | None, settings: Iterable[str], plan: Recipe
) -> Iterator[None]:
    """Let errors about a key of the recipe name the file and the line that its value stands at.

    `plan` is what is done: where it has another value, a word of the call's own stands in its place.
    """
    try:
        yield
    except InvalidRecipe as error:
        traced = trace_from(store, recipe, settings)
        if _value(plan, error.where) != _value(traced.recipe, error.where):
            raise
        raise traced.placed(error) from error.__cause__


def _value(recipe: Recipe, key: str) -> object:
    section, _, rest = key.partition(".")
    return getattr(getattr(recipe, section, None), rest.partition(".")[0], None)
