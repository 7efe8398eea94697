"""Read a recipe: defaults, what a file extends, the file, and `--set`, one over the other."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from regraft.errors import InvalidRecipe, NotFoundError
from regraft.recipe import presets
from regraft.recipe.drafts import DEFAULT, Draft, Origin, nearest, placed
from regraft.recipe.places import Place, lines
from regraft.recipe.sections import Recipe
from regraft.recipe.settings import apply
from regraft.recipe.validation import check

#: The key at the top of a file that names what it is laid over.
EXTENDS = "extends"


@dataclass(frozen=True, kw_only=True, slots=True)
class Traced:
    """A recipe, and where its values came from."""

    recipe: Recipe
    #: By place, the outermost one that came from there as a whole; what is not here is a default.
    origins: Mapping[Place, Origin] = field(repr=False)

    def origin(self, key: str) -> Origin:
        """Return where the value of a key such as `optim.optimizer.momentum` came from."""
        # a section's own line says nothing of the values that are not in it
        return nearest(self.origins, _split(key), shortest=2) or DEFAULT

    def within(self, key: str) -> list[Origin]:
        """Return where the value of a key and what is inside of it came from: of each file the first line."""
        place = _split(key)
        found: dict[tuple[str, str], Origin] = {}
        for there, origin in self.origins.items():
            if there[: len(place)] == place:
                found.setdefault((origin.kind, origin.name), origin)
        return list(found.values()) or [self.origin(key)]

    def placed(self, error: InvalidRecipe) -> InvalidRecipe:
        """Let an error that names a key also name the file and the line that its value came from."""
        origin = self.origin(error.where)
        return error if str(error).startswith(f"{origin}: ") else placed(error, origin)


def read(source: Recipe | str | Path | None, settings: Iterable[str] = ()) -> Recipe:
    """Take a recipe, a preset, a TOML file, or the defaults, and apply settings such as `train.seed=1`.

    Raises NotFoundError where a file is missing, InvalidRecipe where a key or value is wrong.
    """
    return trace(source, settings).recipe


def trace(source: Recipe | str | Path | None, settings: Iterable[str] = (), *, given: str = "") -> Traced:
    """Read a recipe, and tell where each value came from.

    `given` is what a recipe that is no file is called. Raises what `read` raises.
    """
    draft = begin(source, given=given)
    for setting in settings:
        apply(draft, setting)
    return Traced(recipe=check(draft.document, draft.origin), origins=draft.origins)


def begin(source: Recipe | str | Path | None, *, given: str = "") -> Draft:
    """Return a recipe with all that its files say, before settings, and before its values are checked."""
    draft = Draft()
    if isinstance(source, Recipe):
        draft.lay(_chosen(source), lambda _: Origin(kind="given", name=given))
    elif source is not None:
        _Files(draft).take(os.fspath(source), asked=None)
    return draft


def _chosen(recipe: Recipe) -> dict[str, Any]:
    """Return the values of a recipe that are no defaults."""
    usual = Recipe().model_dump()
    given = deepcopy(recipe.model_dump())  # its tables are the recipe's own
    chosen = {
        section: {key: value for key, value in values.items() if value != usual[section][key]}
        for section, values in given.items()
    }
    return {section: values for section, values in chosen.items() if values}


@dataclass(frozen=True, slots=True)
class _Asked:
    """A file that names another one, and where."""

    path: Path
    origin: Origin


class _Files:
    """Files that are laid over each other, each once, where it is first named."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        #: Files that are being read, by what identifies them, and as people call them.
        self._open: dict[Path, str] = {}
        self._taken: set[Path] = set()

    def take(self, word: str, *, asked: _Asked | None) -> None:
        """Lay the file or the preset that a word names over the draft, after what it extends."""
        preset = presets.find(word)
        path = preset or _beside(word, asked)
        name = word if preset else str(path)
        kind: Literal["preset", "file"] = "preset" if preset else "file"
        identity = path.resolve()
        if identity in self._open:
            chain = [*list(self._open.values())[list(self._open).index(identity) :], name]
            circle = f"{name!r} extends itself: {' -> '.join(chain)}."
            error = InvalidRecipe(circle, hint=f"Take {EXTENDS!r} out of one of them.", where=EXTENDS)
            raise placed(error, asked.origin) if asked else error
        if identity in self._taken:
            return
        self._taken.add(identity)
        text, document = _read(path, name, word, asked)
        found = lines(text)

        def origin_of(place: Place) -> Origin:
            line = next((found[place[:n]] for n in range(len(place), 0, -1) if place[:n] in found), None)
            return Origin(kind=kind, name=name, line=line)

        self._open[identity] = name
        for base in _bases(document.pop(EXTENDS, ()), origin_of((EXTENDS,))):
            self.take(base, asked=_Asked(path, origin_of((EXTENDS,))))
        del self._open[identity]
        self._draft.lay(document, origin_of)


def _bases(value: object, origin: Origin) -> tuple[str, ...]:
    bases = (value,) if isinstance(value, str) else value
    if isinstance(bases, list | tuple) and all(isinstance(base, str) and base for base in bases):
        return tuple(bases)
    raise placed(
        InvalidRecipe(
            f"{EXTENDS!r} cannot be {value!r}.",
            hint='Name a preset or a file, or a list of them: ["full", "./base.toml"].',
            where=EXTENDS,
        ),
        origin,
    )


def _beside(word: str, asked: _Asked | None) -> Path:
    """Return the file that a word names: relative to the file that asks for it."""
    path = Path(word).expanduser()
    return Path(os.path.normpath(asked.path.parent / path)) if asked else path


def _read(path: Path, name: str, word: str, asked: _Asked | None) -> tuple[str, dict[str, Any]]:
    begin = f"{asked.origin}: " if asked else ""
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin a file with a mark
        return text, tomllib.loads(text)
    except FileNotFoundError:
        raise NotFoundError(f"{begin}There is no recipe file {name!r}.", hint=_near(path, word)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else error
        hint = 'Write key = value, and words in quotes: loss = "focal".'
        if isinstance(error, UnicodeDecodeError):
            hint = "Save it as UTF-8."
        raise InvalidRecipe(f"{name!r} is not TOML: {why}.", hint=hint) from None
    except OSError as error:
        if path.is_dir():
            raise InvalidRecipe(
                f"{begin}{name!r} is a folder, and no recipe.",
                hint="RECIPE comes before DATASET; it is a TOML file, or the name of a preset.",
            ) from None
        raise InvalidRecipe(f"{begin}{name!r} cannot be read: {error.strerror}.") from None


def _near(path: Path, word: str) -> str:
    """Name what a person may have meant: a file that lies there, or a preset."""
    there = sorted(path.parent.glob("*.toml")) if path.parent.is_dir() else []
    files = {file.stem.casefold(): str(file) for file in there}
    bare = presets.is_word(word.casefold().removesuffix(".toml"))
    # the ending is no likeness, and neither is who writes it small
    known = ({name: name for name in presets.names()} if bare else {}) | files
    if near := get_close_matches(path.name.casefold().removesuffix(".toml"), known, n=1):
        return f"Did you mean {known[near[0]]!r}?"
    return f"There are the presets {', '.join(presets.names())}." if bare else ""


def _split(key: str) -> Place:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))
