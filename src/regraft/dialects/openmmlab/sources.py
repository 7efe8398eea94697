"""Where the pictures of a config lie, and how those of several places become one dataset."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft import durable
from regraft.data.sources.arrange import PICTURES
from regraft.data.sources.readers import expand
from regraft.dialects.openmmlab.pipelines import Facts
from regraft.errors import InvalidError, NotFoundError
from regraft.refs import make_name
from regraft.workspace.main import Workspace


@dataclass(frozen=True, kw_only=True, slots=True)
class Pictures:
    """Where the pictures of one split lie."""

    split: str
    folder: Path
    #: A list with a path and the number of a class in each line; None: the folder has one for each class.
    listed: Path | None = None
    #: Names of the classes, where the config says them.
    classes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A dataset that a config names: a path or a name that Regraft knows, or pictures to put together."""

    words: str = ""
    pictures: tuple[Pictures, ...] = ()

    def __str__(self) -> str:
        return self.words or ", ".join(str(one.listed or one.folder) for one in self.pictures)

    def open(self, workspace: Workspace) -> str | Path:
        """Return what a fine-tuning takes; pictures of several places become a dataset first."""
        if self.words:
            return Path(self.words) if expand(self.words).exists() else self.words
        folders = [one.folder.resolve() for one in self.pictures]
        home = folders[0].parent if len({*folders}) > 1 else folders[0]
        name = make_name(home.name)
        numbers = classes_of(self.pictures)
        with workspace.datasets.build(name, mode="overwrite") as rows:
            for part in self.pictures:
                for path, label in rows_of(part, numbers):
                    key = f"{part.split}/{path.relative_to(part.folder).as_posix()}"
                    rows.append(path, label=label, split=part.split, key=key)
        if rows.added is None:
            raise RuntimeError("the block was left without a commit")
        return str(rows.added.version)  # a name alone may be that of a folder, too


def count(trains: Sequence[Pictures], parts: Sequence[Pictures]) -> Facts:
    """Count pictures and classes, where they are there already."""
    try:
        labels = classes_of(parts)
        rows = [row for part in trains for row in rows_of(part, labels)]
    except (NotFoundError, InvalidError, OSError):
        return Facts()  # whoever adds them says what is wrong
    found = {label for _, label in rows}
    return Facts(pictures=len(rows), classes=len(found))


def classes_of(parts: Sequence[Pictures]) -> tuple[str, ...]:
    """Return the names that the numbers in lists stand for: said, or the sorted folders of train."""
    said = next((part.classes for part in parts if part.classes), ())
    plain = next((part.folder for part in parts if part.listed is None and part.folder.is_dir()), None)
    if said or plain is None:
        return said
    return tuple(sorted(path.name for path in plain.iterdir() if path.is_dir()))


def rows_of(part: Pictures, classes: Sequence[str]) -> Iterator[tuple[Path, str]]:
    """Yield each picture of a split with its label."""
    if part.listed is None:
        if not part.folder.is_dir():
            raise NotFoundError(f"There is no folder {str(part.folder)!r}.", hint="Put the pictures there.")
        for folder in sorted(path for path in part.folder.iterdir() if path.is_dir()):
            for path in sorted(folder.rglob("*")):
                if path.suffix.casefold() in PICTURES:
                    yield path, folder.name
        return
    for number, line in enumerate(lines_of(part.listed), 1):
        words, _, last = line.strip().rpartition(" ")
        if not line.strip():
            continue
        if not last.isdigit() or not words or (classes and int(last) >= len(classes)):
            most = f" from 0 to {len(classes) - 1}" if classes else ""
            raise InvalidError(
                f"Line {number} of {str(part.listed)!r} is {line.strip()[:80]!r}.",
                hint=f"Each line is a path, a space, and the number of a class{most}.",
                where=str(part.listed),
            )
        yield part.folder / words, classes[int(last)] if classes else last


def lines_of(path: Path) -> list[str]:
    """Return the lines of a text; raises NotFoundError, InvalidError."""
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise NotFoundError(f"There is no list {str(path)!r}.") from None
    except UnicodeDecodeError:
        raise InvalidError(f"{str(path)!r} is not text in UTF-8.", where=str(path)) from None
    except OSError as error:
        raise durable.unreadable(error, path) from error
