"""A recipe while it is put together: layers of tables, and where each value came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from regraft.errors import InvalidRecipe
from regraft.recipe.places import Place
from regraft.recipe.sections import Recipe
from regraft.registry import Entry

#: The key by which a table says that nothing of the one below it stays.
REPLACE = "replace"


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a value of a recipe came from."""

    kind: Literal["default", "preset", "file", "setting", "given"]
    #: The preset, the file, or what gave the recipe as a whole.
    name: str = ""
    #: Of a preset or a file, where it is known.
    line: int | None = None

    def __str__(self) -> str:
        """Say it as a person would look for it: `recipe.toml, line 7`."""
        words = {"preset": f"preset {self.name}", "setting": "--set"}.get(self.kind, self.name or self.kind)
        return words if self.line is None else f"{words}, line {self.line}"


DEFAULT = Origin(kind="default")
SETTING = Origin(kind="setting")

#: Keys whose value is a name, or a table with a name and options.
ENTRIES: frozenset[Place] = frozenset(
    (section, key)
    for section, model in Recipe.model_fields.items()
    for key, field in type(model.default).model_fields.items()
    if field.annotation == Entry
)
#: Keys whose value is a list of such.
ENTRY_LISTS: frozenset[Place] = frozenset({("data", "augment")})


def dotted(place: Place) -> str:
    """Write a place as settings spell it: `data.augment.0.scale`."""
    return ".".join(map(str, place))


def is_entry(place: Place) -> bool:
    """Tell whether what stands at a place is a name, or a table with a name and options."""
    return place in ENTRIES or place[:-1] in ENTRY_LISTS


class Draft:
    """Layers of tables, laid one over the other.

    Tables are merged key by key, and everything else is replaced by what lies above it: lists, too. A table
    that says `replace = true` is not merged. Of an entry, options are merged as long as its name is the same:
    those of SGD are none of AdamW's. A table of options without a name is about the entry below it.
    """

    def __init__(self, document: Mapping[str, Any] | None = None) -> None:
        self.document: dict[str, Any] = dict(document or {})
        self.origins: dict[Place, Origin] = {}

    def origin(self, place: Place) -> Origin:
        """Return where the value at a place came from, or else the nearest value around it."""
        return nearest(self.origins, place) or DEFAULT

    def lay(self, over: Mapping[str, Any], origin_of: Callable[[Place], Origin]) -> None:
        """Lay a document over what there is; raises InvalidRecipe where a table meets something else."""
        self.lay_at((), self.document, over, origin_of)

    def lay_at(
        self,
        place: Place,
        table: dict[str, Any],
        over: Mapping[str, Any],
        origin_of: Callable[[Place], Origin],
    ) -> None:
        """Lay a document over the table at a place."""
        for key, said in over.items():
            here = (*place, key)
            if isinstance(said, Mapping):
                self._lay_table(here, table, said, origin_of)
                continue
            value = without_word(here, said, origin_of)
            if isinstance(table.get(key), dict) and not is_entry(here):
                raise self._clash(here, table[key], repr(value), origin_of(here))
            table[key] = value
            self.put(here, origin_of(here))
            self._note_items(here, value, origin_of)

    def put(self, place: Place, origin: Origin) -> None:
        """Note where all that stands at a place came from."""
        self.origins = {key: was for key, was in self.origins.items() if key[: len(place)] != place}
        self.origins[place] = origin

    def _note_items(self, place: Place, value: object, origin_of: Callable[[Place], Origin]) -> None:
        """Note where the parts of a list came from, where they stand on lines of their own."""
        parts = enumerate(value) if isinstance(value, list) else ()
        for key, part in value.items() if isinstance(value, Mapping) else parts:
            here = (*place, key)
            if (origin := origin_of(here)) != self.origin(here):
                self.origins[here] = origin
            self._note_items(here, part, origin_of)

    def _lay_table(
        self,
        here: Place,
        table: dict[str, Any],
        over: Mapping[str, Any],
        origin_of: Callable[[Place], Origin],
    ) -> None:
        key = str(here[-1])
        over = dict(over)
        anew = begins_anew(here, over.pop(REPLACE, False), origin_of)
        below: object = {} if anew else table.get(key, {})
        if is_entry(here):
            below = self._entry(here, {} if anew else table, over)
        if not isinstance(below, dict):
            raise self._clash(here, below, "a table", origin_of(here))
        merged: dict[str, Any] = below
        stood = table.get(key)
        if merged is not stood:
            name, named = self.origin(here), isinstance(stood, str) and bool(merged) and not anew
            table[key] = merged
            self.put(here, origin_of(here))
            if named:  # its name stays where it stands
                self.origins[*here, "name"] = name
        self.lay_at(here, merged, over, origin_of)

    def _entry(self, here: Place, table: dict[str, Any], over: Mapping[str, Any]) -> object:
        """Return the table of options that `over` adds to: an empty one where it is about another entry."""
        key = str(here[-1])
        below = table.get(key)
        if below is None:
            below = getattr(getattr(Recipe(), str(here[0])), key)
        if isinstance(below, str):
            below = {"name": below}
        if "name" in over and isinstance(below, dict) and over["name"] != below.get("name"):
            return {}
        return below

    def _clash(self, here: Place, below: object, above: str, origin: Origin) -> InvalidRecipe:
        was = "a table" if isinstance(below, dict) else repr(below)
        hint = f"Write it as a table: [{dotted(here)}]."
        if len(here) > 1 and not is_entry(here):
            hint = f"Write {dotted(here)} = ..."  # no table can be there
        elif above == "a table":
            hint = f"Write {{{REPLACE} = true, ...}} where the table should take its place."
        return InvalidRecipe(
            f"{dotted(here)!r} is {above} in {origin}, but {was} in {self.origin(here)}.",
            hint=hint,
            where=dotted(here),
        )


def begins_anew(place: Place, value: object, origin_of: Callable[[Place], Origin]) -> bool:
    """Return what `replace` says of the table at a place; raises InvalidRecipe unless it is true or false."""
    if isinstance(value, bool):
        return value
    where = f"{dotted(place)}.{REPLACE}"
    raise placed(
        InvalidRecipe(
            f"{where!r} cannot be {value!r}.",
            hint="It is true where nothing of the table below stays.",
            where=where,
        ),
        origin_of((*place, REPLACE)),
    )


def without_word(place: Place, value: Any, origin_of: Callable[[Place], Origin]) -> Any:
    """Take `replace` out of the tables of a list: nothing below it stays in any case."""
    if isinstance(value, list | tuple):
        return type(value)(without_word((*place, n), part, origin_of) for n, part in enumerate(value))
    if not isinstance(value, Mapping):
        return value
    begins_anew(place, value.get(REPLACE, False), origin_of)
    return {
        key: without_word((*place, key), part, origin_of) for key, part in value.items() if key != REPLACE
    }


def nearest(origins: Mapping[Place, Origin], place: Place, *, shortest: int = 1) -> Origin | None:
    """Return the origin of a place, or else of the nearest around it, down to one of so many parts."""
    for length in range(len(place), shortest - 1, -1):
        if (found := origins.get(place[:length])) is not None:
            return found
    return None


def placed(error: InvalidRecipe, origin: Origin) -> InvalidRecipe:
    """Let an error begin with the file and the line that it is about, where it is about one."""
    if origin.kind not in ("file", "preset"):
        return error
    return InvalidRecipe(f"{origin}: {error}", hint=error.hint, where=error.where)
