"""What `--cfg-options a.b.c=v` changes in a config."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

from regraft.dialects.openmmlab.tables import Place, Table, copied, invalid
from regraft.errors import InvalidRecipe, did_you_mean

_NAME = "--cfg-options"
_HERE = Place(file=_NAME)
_DEEPEST = 60
_BRACKETS = {"[": "]", "(": ")"}


def apply(table: Table, options: Iterable[str], known: Collection[str] = ()) -> Table:
    """Return a config in which each `key.path=value` is set; a number in the path is a place in a list.

    A value is a number, True, False, None, a list `[a,b]` or `a,b`, a tuple `(a,b)`, or else a string. A key
    that is not there is made, unless it looks like a slip for one that is; `known` are keys that are none.
    Raises InvalidRecipe.
    """
    result = copied(table)
    if not isinstance(result, Table):
        raise TypeError("a config is a table")
    for option in options:
        path, equals, text = option.partition("=")
        if not equals or not path.strip():
            raise InvalidRecipe(
                f"{option!r} is no option.", hint=f"Write {_NAME} key.path=value.", where=_NAME
            )
        if sum(map(text.count, _BRACKETS)) > _DEEPEST:
            raise invalid(_HERE, f"{path!r} has more than {_DEEPEST} brackets.", hint="Write it in a file.")
        _set(result, path.strip().split("."), _parse(text), known)
    return result


def _set(table: Table, path: list[str], value: object, known: Collection[str]) -> None:
    place: object = table
    for depth, word in enumerate(path[:-1]):
        below = _inner(place, word, path, depth, known)
        if below is None and isinstance(place, Table):
            below = Table()
            place.put(word, below, _HERE)
        place = below
    last = path[-1]
    if isinstance(place, list):
        place[_index(place, last, path, len(path) - 1)] = value
    elif isinstance(place, Table):
        old = place.get(last)
        if isinstance(old, Table):
            raise _wrong(path, len(path), "is a dict", f"Set one of its keys: {', '.join(old)}.")
        place.put(last, value, _HERE)
    else:
        raise _wrong(path, len(path) - 1, f"is {place!r}, and has no keys", "Set it as a whole.")


def _inner(place: object, word: str, path: list[str], depth: int, known: Collection[str]) -> object:
    if isinstance(place, list):
        return place[_index(place, word, path, depth)]
    if not isinstance(place, Table):
        raise _wrong(path, depth, f"is {place!r}, and has no keys", "Set it as a whole.")
    if word not in place and word not in known:
        near = did_you_mean(word, place)
        if near:
            raise _wrong(path, depth + 1, "is not there", near)
    return place.get(word)


def _index(items: list[object], word: str, path: list[str], depth: int) -> int:
    if not word.lstrip("-").isdigit() or not -len(items) <= int(word) < len(items):
        raise _wrong(
            path, depth, f"is a list of {len(items)}, and has no place {word!r}", "Places count from 0."
        )
    return int(word)


def _wrong(path: list[str], depth: int, fact: str, hint: str) -> InvalidRecipe:
    name = ".".join(path[:depth])
    return invalid(_HERE, f"{name!r} {fact}.", hint=hint, where=".".join(path))


def _parse(text: str) -> object:
    text = text.strip()
    if text and _BRACKETS.get(text[0]) == text[-1] and len(_pieces(text)) == 1:
        items = [_parse(piece) for piece in _pieces(text[1:-1]) if piece.strip()]
        return tuple(items) if text[0] == "(" else items
    pieces = _pieces(text)
    return [_parse(piece) for piece in pieces if piece.strip()] if len(pieces) > 1 else _scalar(text)


def _pieces(text: str) -> list[str]:
    """Split at commas that stand in no brackets."""
    pieces, depth = [""], 0
    for letter in text:
        depth += (letter in _BRACKETS) - (letter in _BRACKETS.values())
        if letter == "," and depth == 0:
            pieces.append("")
        else:
            pieces[-1] += letter
    if depth:
        raise invalid(
            _HERE, f"The brackets of {text!r} do not close.", hint="Write [a,b] or (a,b).", where=_NAME
        )
    return pieces


def _scalar(text: str) -> object:
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if math.isfinite(number):
            return number
    words: dict[str, object] = {"true": True, "false": False, "none": None}
    return words.get(text.lower(), text.strip("'\"").replace(" ", ""))
