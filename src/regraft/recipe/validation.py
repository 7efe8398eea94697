"""A document becomes a recipe, or an error that names the key, its place and its neighbour."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from regraft.errors import InvalidRecipe, did_you_mean
from regraft.recipe.drafts import DEFAULT, Origin, dotted, placed
from regraft.recipe.places import Place
from regraft.recipe.sections import Recipe, Section


def check(document: Mapping[str, Any], origin_of: Callable[[Place], Origin] = lambda _: DEFAULT) -> Recipe:
    """Make a recipe of a document; raises InvalidRecipe, which names the key and its neighbour.

    `origin_of` tells where values came from, so that an error can say it.
    """
    try:
        return Recipe.model_validate(document)
    except ValidationError as error:
        raise _worded(document, error.errors(), origin_of) from None


def _worded(
    document: Mapping[str, Any], errors: Sequence[ErrorDetails], origin_of: Callable[[Place], Origin]
) -> InvalidRecipe:
    """Return an error about the first key that is wrong: about the part of its value that is."""
    places = [_place(document, error["loc"]) for error in errors]
    alike = [number for number, place in enumerate(places) if place[:2] == places[0][:2]]
    first = max(alike, key=lambda number: len(places[number]))
    if errors[first]["type"] == "missing":  # perhaps it is there, and misspelt
        table = places[first][:-1]
        unknown = [one for one in alike if errors[one]["type"] == "extra_forbidden"]
        first = next((one for one in unknown if places[one][:-1] == table), first)
    place, kind = places[first], errors[first]["type"]
    if kind == "extra_forbidden":
        found = _unknown(place)
    elif kind == "missing" and isinstance(place[-1], str) and place[-1] not in _given(document, place[:-1]):
        found = _missing(place[:-1], place[-1])
    else:
        wishes = dict.fromkeys(_wish(errors[number]) for number in alike if places[number] == place)
        hint = f"{'. Or: '.join(wishes)}."
        if kind == "model_type":
            hint = f"Write it as a table: [{dotted(place)}]."
        found = InvalidRecipe(
            f"{dotted(place)!r} cannot be {_given(document, place)!r}.", hint=hint, where=dotted(place)
        )
    return placed(found, origin_of(place))


def _wish(error: ErrorDetails) -> str:
    """Say what a value should be in the words of TOML."""
    if error["type"] == "missing":
        return "An item is missing"
    return error["msg"].replace("valid tuple", "list").replace("valid dictionary", "table")


def _place(document: Mapping[str, Any], found: Sequence[str | int]) -> Place:
    """Return the place that an error is about: pydantic also names the kinds that it tried."""
    place: Place = ()
    at: Any = document
    for number, part in enumerate(found):
        known = part in at if isinstance(at, Mapping) else False
        if isinstance(at, list | tuple) and isinstance(part, int):
            known = part < len(at)
        if known:
            place, at = (*place, part), at[part]
        elif number == len(found) - 1 and isinstance(at, Mapping) and part in _fields(place):
            place = (*place, part)  # what is missing
    return place


def _given(document: Mapping[str, Any], place: Place) -> Any:
    at: Any = document
    for part in place:
        at = at[part]
    return at


def _unknown(place: Place) -> InvalidRecipe:
    *above, key = place
    known = _fields(tuple(above))
    inside = f" in {dotted(tuple(above))!r}" if above else ""
    return InvalidRecipe(
        f"Unknown key {key!r}{inside}.",
        hint=did_you_mean(str(key), known, otherwise=f"Known keys: {', '.join(known)}."),
        where=dotted(place),
    )


def _missing(above: Place, key: str) -> InvalidRecipe:
    return InvalidRecipe(
        f"{dotted(above)!r} has no {key!r}.", hint=f'Add {key} = "...".', where=dotted((*above, key))
    )


def _fields(place: Place) -> list[str]:
    """Return the keys that the table at a place may have."""
    table: type[BaseModel] = Recipe
    for part in place:
        if isinstance(part, str):
            kind = table.model_fields[part].annotation
            inner = [one for one in (kind, *get_args(kind)) if isinstance(one, type)]
            sections = [one for one in inner if issubclass(one, Section)]
            if not sections:
                return []  # an entry, which its registry knows
            table = sections[0]
    return list(table.model_fields)
