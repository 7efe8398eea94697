"""A named set of callables: what a recipe may name, and with which options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Generic, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError

from regraft.errors import InvalidRecipe, did_you_mean

T = TypeVar("T", bound=Callable[..., Any])

#: `"adamw"`, or a table with its name and options: `{name = "adamw", betas = [0.9, 0.99]}`.
Entry = str | Mapping[str, Any]


class Registry(Generic[T]):
    """Callables by name. The keyword-only parameters of each are the options that a recipe may give it.

    What stands before them is given by Regraft itself, and no recipe can name it.
    """

    def __init__(self, noun: str) -> None:
        self._noun = noun
        self._items: dict[str, T] = {}

    def register(self, *names: str) -> Callable[[T], T]:
        """Enter a callable under its name, and others that mean the same."""

        def enter(item: T) -> T:
            for name in names:
                if name in self._items:
                    raise ValueError(f"two {self._noun}s are named {name!r}")
                self._items[name] = item
            return item

        return enter

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __contains__(self, name: object) -> bool:
        return name in self._items

    def find(self, entry: Entry, *, where: str) -> tuple[T, dict[str, Any]]:
        """Return what an entry names, and its options in the types that it declares: a TOML list as a tuple.

        `where` is the entry's place in the recipe. Raises InvalidRecipe, with the nearest name, for what is
        not known, for an option that is missing, and for a value out of range, with its place.
        """
        name, options = split(entry, where=where)
        if name not in self._items:
            raise InvalidRecipe(
                f"There is no {self._noun} {name!r}.",
                hint=did_you_mean(name, self, otherwise=f"There is {', '.join(sorted(self))}."),
                where=where,
            )
        item = self._items[name]
        parameters = [p for p in inspect.signature(item).parameters.values() if p.kind is p.KEYWORD_ONLY]
        known = [p.name for p in parameters]
        for key in options:
            if key not in known:
                raise InvalidRecipe(
                    f"The {self._noun} {name!r} has no option {key!r}.",
                    hint=did_you_mean(
                        key, known, otherwise=f"It has {', '.join(known)}." if known else "It has none."
                    ),
                    where=f"{where}.{key}",
                )
        for parameter in parameters:
            if parameter.default is parameter.empty and parameter.name not in options:
                raise InvalidRecipe(
                    f"The {self._noun} {name!r} needs {parameter.name!r}.",
                    hint=f'Write {{name = "{name}", {parameter.name} = ...}}.',
                    where=where,
                )
        hints = get_type_hints(item, include_extras=True)
        return item, {key: _check(hints[key], value, f"{where}.{key}") for key, value in options.items()}


def split(entry: Entry, *, where: str) -> tuple[str, dict[str, Any]]:
    """Return the name of an entry and its options; raises InvalidRecipe where it has no name."""
    if isinstance(entry, str):
        return entry, {}
    options = dict(entry)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise InvalidRecipe(f"{where!r} has no name.", hint='Write {name = "...", ...}.', where=where)
    return name, options


def _check(kind: Any, value: object, where: str) -> object:
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise InvalidRecipe(
            f"{where!r} cannot be {value!r}.", hint=f"{error.errors()[0]['msg']}.", where=where
        ) from None
