"""Strings with known values in them, written as Python would, but of plain values alone and never wide."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import count
from string import Formatter

#: How a value may be written into a string; nobody needs a thousand digits.
_SPEC = re.compile(r"([^{}]?[<>=^])?[-+ ]?#?0?\d{0,3}[,_]?(\.\d{1,2})?[a-zA-Z%]?")
_PERCENT = re.compile(r"%(?:%|(?:\(\w+\))?[-+ #0]*\d{0,3}(?:\.\d{1,2})?[sdifgeEGFrx])")


def with_fields(text: str, items: Sequence[object], words: Mapping[str, object]) -> str:
    """Do what `text.format(*items, **words)` would; raises ValueError for fields that are not plain."""
    pieces, numbers = [], count()
    for plain, field, spec, conversion in Formatter().parse(text):
        pieces.append(plain)
        if conversion:
            raise ValueError(text)
        if field is not None:
            try:
                named = words[field] if field and not field.isdigit() else items[int(field or next(numbers))]
            except LookupError:
                raise ValueError(text) from None
            pieces.append(written(named, spec or ""))
    return "".join(pieces)


def by_percent(text: str, right: object) -> str:
    """Do what `text % right` would; raises ValueError."""
    values = [right]
    if isinstance(right, Mapping):
        values = [*right.values()]
    elif isinstance(right, tuple):
        values = [*right]
    plain = all(value is None or isinstance(value, str | int | float) for value in values)
    if not plain or "%" in _PERCENT.sub("", text):
        raise ValueError(text)
    try:
        return text % right
    except (TypeError, KeyError, OverflowError) as error:
        raise ValueError(text) from error


def written(value: object, spec: str = "") -> str:
    """Write a plain value; raises ValueError for any other, and for a specification that is too wide."""
    if not (value is None or isinstance(value, str | int | float)) or not _SPEC.fullmatch(spec):
        raise ValueError(spec)
    try:
        return format(value, spec) if spec else str(value)
    except TypeError as error:
        raise ValueError(spec) from error
