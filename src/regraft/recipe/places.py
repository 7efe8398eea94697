"""Where in TOML text each value stands: the line of its key, for messages that name it."""

from __future__ import annotations

import re
import tomllib

#: The keys and numbers of items that lead to a value.
Place = tuple[str | int, ...]

#: Blanks, line breaks and comments.
_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}' r"|'''.*?'{3,5}" r'|"(?:[^"\\\n]|\\.)*"' r"|'[^'\n]*'", re.DOTALL
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
#: A number, a date or a word: all that is neither text, nor a list, nor a table. A date may have a blank.
_SCALAR = re.compile(r"[^,\]}#\n]+")


def lines(text: str) -> dict[Place, int]:
    """Return the line, counted from 1, at which each key and each item of a list begins.

    The text has to be TOML, as `tomllib` reads it.
    """
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _Scanner:
    """A walk through text that is known to be right, so that nothing needs to be checked."""

    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")  # as tomllib does
        self._at = 0
        self._counted = (0, 1)
        self._items: dict[Place, int] = {}
        self.found: dict[Place, int] = {}

    def document(self) -> None:
        table: Place = ()
        while self._next():
            if self._text.startswith("[", self._at):
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Place:
        """Pass `[a.b]` or `[[a.b]]`; return the place of the table that begins."""
        line, several = self._line(), self._text.startswith("[[", self._at)
        self._at += 2 if several else 1
        place: Place = ()
        for key in self._key():
            place = (*place, key)
            self.found.setdefault(place, line)
            if place in self._items:  # a list of tables, of which the last is meant
                place = (*place, self._items[place])
        if several:
            parent = place[:-1] if place and isinstance(place[-1], int) else place
            self._items[parent] = self._items.get(parent, -1) + 1
            place = (*parent, self._items[parent])
        self.found[place] = line
        self._next()
        self._at += 2 if several else 1
        return place

    def _pair(self, table: Place) -> None:
        line = self._line()
        place = table
        for key in self._key():
            place = (*place, key)
            self.found.setdefault(place, line)
        self._next()
        self._at += 1  # the equals sign
        self._next()
        self._value(place)

    def _key(self) -> list[str]:
        """Pass a key, perhaps with dots; return its parts."""
        parts = []
        while True:
            self._next()
            word = _STRING.match(self._text, self._at) or _BARE_KEY.match(self._text, self._at)
            if word is None:
                raise ValueError(f"no key at line {self._line()}")
            quoted = word[0].startswith(('"', "'"))
            parts.append(str(tomllib.loads(f"k = {word[0]}")["k"]) if quoted else word[0])
            self._at = word.end()
            self._next()
            if not self._text.startswith(".", self._at):
                return parts
            self._at += 1

    def _value(self, place: Place) -> None:
        match self._text[self._at]:
            case "[":
                self._list(place)
            case "{":
                self._inline(place)
            case _:
                word = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
                self._at = word.end() if word else len(self._text)

    def _list(self, place: Place) -> None:
        self._at += 1
        number = 0
        while self._next() != "]":
            self.found[*place, number] = self._line()
            self._value((*place, number))
            number += 1
            if self._next() == ",":
                self._at += 1
        self._at += 1

    def _inline(self, place: Place) -> None:
        self._at += 1
        while self._next() != "}":
            self._pair(place)
            if self._next() == ",":
                self._at += 1
        self._at += 1

    def _next(self) -> str:
        """Pass what is blank; return the next character, which is empty at the end."""
        blank = _BLANK.match(self._text, self._at)
        self._at = blank.end() if blank else self._at
        return self._text[self._at : self._at + 1]

    def _line(self) -> int:
        """Return the line of what comes next; lines are counted on from the last question."""
        at, line = self._counted
        line += self._text.count("\n", at, self._at)
        self._counted = (self._at, line)
        return line
