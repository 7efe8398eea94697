"""What `--set` says: a key with dots, an equals sign, and a value in TOML."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from typing import Any

from regraft.errors import InvalidRecipe
from regraft.recipe.drafts import REPLACE, SETTING, Draft, begins_anew, dotted, is_entry, without_word
from regraft.recipe.places import Place
from regraft.recipe.sections import Recipe

#: How values begin that cannot be bare words.
_MARKS = ("[", "{", '"', "'")


def apply(draft: Draft, setting: str) -> None:
    """Lay a setting such as `train.seed=1` or `data.augment.0.p=0.3` over a recipe.

    A number in the key counts the items of a list from 0. Raises InvalidRecipe.
    """
    path, equals, text = setting.partition("=")
    if not equals or not path.strip():
        raise InvalidRecipe(f"{setting!r} is no setting.", hint="Write --set section.key=value.")
    keys = [key.strip() for key in path.split(".")]
    _put(draft, (), draft.document, keys, _parse(text, where=path.strip()))


def _parse(text: str, *, where: str) -> object:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        if not text.strip().startswith(_MARKS):
            return text.strip()  # a bare word is a string
        raise InvalidRecipe(
            f"{text!r} is not TOML, and cannot be the value of {where!r}.",
            hint="""Words inside of it want quotes, and the shell wants quotes around: '["flip"]'.""",
            where=where,
        ) from None


def _put(draft: Draft, place: Place, table: dict[str, Any], keys: Sequence[str], value: object) -> None:
    key, *rest = keys
    here = (*place, key)
    if is_entry(place) and key == "name" and table.get(key) != value:
        table.clear()  # the options are none of the new one's
        draft.put(place, SETTING)
    below = table.get(key, _default(here))
    if rest and isinstance(below, list | tuple):
        _put_into_list(draft, here, table, rest, value)
    elif rest and isinstance(below, dict) and rest != [REPLACE]:
        _put(draft, here, table.setdefault(key, below if len(here) > 1 else {}), rest, value)
    elif rest and not isinstance(below, dict | None) and not is_entry(here):
        raise InvalidRecipe(
            f"{dotted(here)!r} is {below!r}, and has no {'.'.join(rest)!r}.",
            hint=f"Set {dotted(here)} itself." if not rest[0].isdecimal() else "Set the whole list first.",
            where=dotted((*here, *rest)),
        )
    else:
        for part in reversed(rest):
            value = {part: value}
        draft.lay_at(place, table, {key: value}, lambda _: SETTING)


def _put_into_list(
    draft: Draft, place: Place, table: dict[str, Any], keys: Sequence[str], value: object
) -> None:
    word, *rest = keys
    items = list(table.get(str(place[-1]), _default(place)))
    if not word.isdecimal() or int(word) >= len(items):
        length = {0: "is empty", 1: "has one item, 0"}.get(
            len(items), f"has {len(items)} items, 0 to {len(items) - 1}"
        )
        raise InvalidRecipe(
            f"{dotted(place)!r} has no item {word!r}: it {length}.",
            hint=f"Or set the whole list: --set '{dotted(place)}=[...]'.",
            where=dotted((*place, *keys)),
        )
    here = (*place, int(word))
    item = items[int(word)]
    if is_entry(here) and isinstance(item, str) and rest:
        item = {"name": item}
    if not rest:
        items[int(word)] = without_word(here, value, lambda _: SETTING)
        draft.put(here, SETTING)
    elif rest == [REPLACE] and isinstance(item, dict):
        if begins_anew(here, value, lambda _: SETTING):
            items[int(word)] = {}
            draft.put(here, SETTING)
    elif isinstance(item, dict):
        items[int(word)] = item = dict(item)
        _put(draft, here, item, rest, value)
    else:
        raise InvalidRecipe(
            f"{dotted(here)!r} is {item!r}, and has no {'.'.join(rest)!r}.",
            hint=f"Set {dotted(here)} itself.",
            where=dotted((*here, *rest)),
        )
    table[str(place[-1])] = items


def _default(place: Place) -> Any:
    """Return the default at a place; None where there is none."""
    found: Any = Recipe().model_dump()
    for key in place:
        found = found.get(key) if isinstance(found, dict) else None
    return found
