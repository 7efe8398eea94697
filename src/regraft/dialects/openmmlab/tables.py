"""What a config holds: tables that know where each of their keys was written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from keyword import iskeyword

from regraft.errors import InvalidRecipe


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a key was written."""

    #: As a person knows the file; `--cfg-options` for what was said there.
    file: str
    #: Counted from 1; 0 where nobody knows it.
    line: int = 0
    #: Whether it is the config itself, or said beside it, and nothing that it inherits from.
    own: bool = True

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}" if self.line else self.file


class Table(dict[str, object]):
    """A dict of a config, with the place of each key."""

    def __init__(self, items: Mapping[str, object] | None = None) -> None:
        super().__init__(items or {})
        self.places: dict[str, Place] = dict(items.places) if isinstance(items, Table) else {}

    def put(self, key: str, value: object, place: Place) -> None:
        """Enter a value, and where it was written."""
        self[key] = value
        self.places[key] = place


def copied(value: object) -> object:
    """Return a value that shares no table and no list with another."""
    if isinstance(value, Table):
        table = Table(value)
        table.update({key: copied(item) for key, item in value.items()})
        return table
    if isinstance(value, list | tuple):
        return type(value)(copied(item) for item in value)
    return value


def invalid(place: Place | None, fact: str, *, hint: str = "", where: str = "") -> InvalidRecipe:
    """Return the error that a place of a config gives rise to."""
    return InvalidRecipe(f"{place}: {fact}" if place else fact, hint=hint, where=where)


def merge(base: Table, child: Table, path: tuple[str, ...] = ()) -> Table:
    """Return what a config comes to that inherits from another.

    A dict is merged into a dict, and anything else takes the place of what was there. `_delete_=True` in a
    dict drops what it would inherit, and is always taken out. Raises InvalidRecipe for a dict over something
    that is none.
    """
    result = _clean(base)
    for key, value in child.items():
        place = child.places.get(key, Place(file="?"))
        old = result.get(key)
        if not isinstance(value, Table):
            result.put(key, copied(value), place)
        elif key not in result or value.get("_delete_"):
            result.put(key, _clean(value), place)
        elif isinstance(old, Table):
            result.put(key, merge(old, value, (*path, key)), place)
        else:
            name = ".".join((*path, key))
            raise invalid(
                place,
                f"{name!r} is a dict, and {_kind(old)} in {result.places.get(key, place)}.",
                hint=f"Write {key}=dict(_delete_=True, ...), which drops what is inherited.",
                where=name,
            )
    return result


def _clean(table: Table) -> Table:
    """Copy a table without the words that only say how to merge it."""
    result = Table()
    for key, value in table.items():
        if key != "_delete_":
            kept = _clean(value) if isinstance(value, Table) else copied(value)
            result.put(key, kept, table.places.get(key, Place(file="?")))
    return result


def _kind(value: object) -> str:
    return "None" if value is None else f"{type(value).__name__} {value!r}"[:60]


def dump(table: Mapping[str, object]) -> str:
    """Write a config as Python source that inherits from nothing and gives the same values again."""
    return "".join(f"{key} = {_source(value, 0)}\n" for key, value in table.items())


def _source(value: object, depth: int) -> str:
    if isinstance(value, Mapping):
        named = all(key.isidentifier() and not iskeyword(key) for key in value)
        items = [
            f"{key}={_source(item, depth + 1)}" if named else f"{key!r}: {_source(item, depth + 1)}"
            for key, item in value.items()
        ]
        return _lines(items, "dict(" if named else "{", ")" if named else "}", depth)
    if isinstance(value, tuple):
        items = [_source(item, depth + 1) for item in value]
        return f"({items[0]},)" if len(items) == 1 else _lines(items, "(", ")", depth)
    if isinstance(value, list):
        return _lines([_source(item, depth + 1) for item in value], "[", "]", depth)
    return repr(value)


#: Longer lines are broken.
_WIDTH = 90


def _lines(items: Iterable[str], start: str, end: str, depth: int) -> str:
    listed = list(items)
    line = f"{start}{', '.join(listed)}{end}"
    if len(line) + 4 * depth <= _WIDTH and "\n" not in line:
        return line
    indent = "    " * (depth + 1)
    return f"{start}\n" + "".join(f"{indent}{item},\n" for item in listed) + f"{'    ' * depth}{end}"
