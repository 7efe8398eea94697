"""Patterns of parameters' names: globs, and regular expressions after `re:`."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from regraft.errors import InvalidRecipe

_REGEX = "re:"
#: Where a net keeps everything but its head; a person need not write it.
TRUNK = "trunk."


def matches(pattern: str, name: str, *, where: str) -> bool:
    """Tell whether a glob fits a whole name, or a regular expression any part of it.

    The name may be spelled with `trunk.` or without. Raises InvalidRecipe, at `where`, for what is no
    regular expression.
    """
    spellings = (name, name.removeprefix(TRUNK))
    if not pattern.startswith(_REGEX):
        return any(fnmatchcase(spelling, pattern) for spelling in spellings)
    try:
        return any(re.search(pattern.removeprefix(_REGEX), spelling) for spelling in spellings)
    except re.error as error:
        raise InvalidRecipe(f"{pattern!r} is no regular expression: {error}.", where=where) from None
