"""Read a config key by key, so that none is passed over in silence."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from regraft.dialects.openmmlab.tables import Place, Table, invalid
from regraft.errors import InvalidRecipe, did_you_mean


@dataclass(frozen=True, kw_only=True, slots=True)
class Ignored:
    """A key of a config that changes nothing, and why."""

    key: str
    reason: str

    def __str__(self) -> str:
        return f"{self.key}: {self.reason}"


@dataclass(kw_only=True, slots=True)
class Book:
    """What is to be said of a config."""

    notes: list[str] = field(default_factory=list)
    ignored: list[Ignored] = field(default_factory=list)

    def note(self, words: str) -> None:
        """Say something, once."""
        if words not in self.notes:
            self.notes.append(words)

    def ignore(self, key: str, reason: str) -> None:
        """Say that a key changes nothing, once."""
        if all(one.key != key for one in self.ignored):
            self.ignored.append(Ignored(key=key, reason=reason))


class Part:
    """A dict of a config; whoever has read it closes it, and hears of the keys that nobody asked for."""

    def __init__(self, table: Table, path: str, book: Book) -> None:
        self.table = table
        self.path = path
        self.book = book
        self._asked: dict[str, None] = {}

    def name(self, key: str) -> str:
        """Return what a key is called from the top of the config."""
        return f"{self.path}.{key}" if self.path else key

    def place(self, key: str) -> Place | None:
        """Return where a key was written; None where nobody knows."""
        return self.table.places.get(key)

    def has(self, key: str) -> bool:
        """Tell whether a key has a value that is not None."""
        self._asked[key] = None
        return self.table.get(key) is not None

    def get(self, key: str, default: object = None) -> object:
        """Return a value, or the default for None and where there is none."""
        self._asked[key] = None
        value = self.table.get(key)
        return default if value is None else value

    def number(self, key: str, default: float) -> float:
        """Return a number."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(key, "Write a number.")
        return value

    def whole(self, key: str, default: int) -> int:
        """Return a whole number."""
        value = self.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(key, "Write a whole number.")
        return value

    def text(self, key: str, default: str = "") -> str:
        """Return a string."""
        value = self.get(key, default)
        if not isinstance(value, str):
            raise self.wrong(key, "Write a string.")
        return value

    def flag(self, key: str, default: bool = False) -> bool:
        """Return True or False."""
        value = self.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, "Write True or False.")
        return value

    def numbers(self, key: str, default: Iterable[float] = ()) -> list[float]:
        """Return a list of numbers; a number alone is a list of one."""
        value = self.get(key, list(default))
        items = value if isinstance(value, list | tuple) else [value]
        if any(isinstance(item, bool) or not isinstance(item, int | float) for item in items):
            raise self.wrong(key, "Write numbers.")
        return [item for item in items if isinstance(item, int | float)]

    def part(self, key: str) -> Part | None:
        """Return a dict; None where there is none."""
        value = self.get(key)
        if value is None:
            return None
        if not isinstance(value, Table):
            raise self.wrong(key, "Write a dict.")
        return Part(value, self.name(key), self.book)

    def parts(self, key: str) -> list[Part]:
        """Return a list of dicts; a dict alone is a list of one."""
        value = self.get(key, [])
        if isinstance(value, Table):
            return [Part(value, self.name(key), self.book)]
        return list(self._tables(value if isinstance(value, list | tuple) else [value], key))

    def _tables(self, items: Iterable[object], key: str) -> Iterator[Part]:
        for number, item in enumerate(items):
            if not isinstance(item, Table):
                raise self.wrong(key, "Write a list of dicts.")
            yield Part(item, f"{self.name(key)}.{number}", self.book)

    def expect(self, key: str, *values: object, hint: str = "") -> None:
        """Refuse any other value than these, the first of which is what stands for none."""
        value = self.get(key, values[0])
        if _plain(value) not in [_plain(one) for one in values]:
            raise self.refuse(
                key,
                f"{self.name(key)}={value!r} is nothing that Regraft can do.",
                hint or f"Leave it out, or write {key}={values[0]!r}.",
            )

    def ignore(self, reason: str, *keys: str) -> None:
        """Say of keys that they change nothing, where they have a value."""
        for key in keys:
            if self.has(key):
                self.book.ignore(self.name(key), reason)

    def wrong(self, key: str, hint: str) -> InvalidRecipe:
        """Return the error for a value that a key cannot have."""
        return self.refuse(key, f"{self.name(key)!r} cannot be {self.table.get(key)!r}.", hint)

    def refuse(self, key: str, fact: str, hint: str) -> InvalidRecipe:
        """Return the error for what stands at a key."""
        return invalid(self.place(key), fact, hint=hint, where=self.name(key))

    def close(self, used: Iterable[str] = ()) -> None:
        """Say which keys nobody has asked for, except those `used`, with the nearest that somebody did."""
        for key in self.table:
            if key not in self._asked and key not in set(used):
                near = did_you_mean(key, self._asked)
                self.book.ignore(self.name(key), f"nothing is called so here. {near}".strip())


def _plain(value: object) -> object:
    """Return a value in which lists and tuples are the same."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
