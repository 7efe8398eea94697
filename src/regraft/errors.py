"""Every exception that Regraft raises on purpose.

RegraftError                what went wrong in one sentence, and what to do next
  NotFoundError             dataset, model, run, report, tag, path (with the closest names)
  ConflictError             the name or version exists already
  InvalidError              the input cannot be used; `where` says which part of it
    InvalidRef              words that should name a version
    InvalidRecipe           a key or value of a recipe
    InvalidRecord           a stored document of another shape
    InvalidPicture          a file that is not a picture that Regraft reads
    InvalidArchive          a packed file that is damaged, or not safe to read
  MismatchError             weights do not fit the net; labels of model and dataset differ
  IntegrityError            bytes are not what their digest says
  FetchError                something has to be fetched and cannot be
    OfflineError            and nobody has tried: nothing may be fetched now
  NotAllowedError           no permission to read or write here
  RunError                  a run cannot go on
    RunDiverged             the loss is not a number any more
    RunStopped              somebody asked it to stop; it can be resumed
  StorageError              the disk refused: full, failing, or without a needed feature
    UnknownOutcomeError     published, but the disk did not confirm it
  MissingExtraError         an optional package is not installed

Terminated                  no error: like KeyboardInterrupt, of which it is a kind, for SIGTERM
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import ClassVar


class RegraftError(Exception):
    """The fact in one sentence, and the next action as a hint."""

    #: What the command line exits with.
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class NotFoundError(RegraftError):
    """Something named by the person does not exist."""

    exit_code = 3


class ConflictError(RegraftError):
    """The name or version exists already."""

    exit_code = 4


class InvalidError(RegraftError):
    """The input cannot be used; `where` is the part of it that is wrong."""

    exit_code = 5

    def __init__(self, message: str, *, hint: str = "", where: str = "") -> None:
        super().__init__(message, hint=hint)
        self.where = where


class InvalidRef(InvalidError):  # noqa: N818 (the design's names)
    """The words do not name a version."""


class InvalidRecipe(InvalidError):  # noqa: N818
    """A recipe has an unknown key or a value out of range."""


class InvalidRecord(InvalidError):  # noqa: N818
    """A stored document does not have the shape that this version of Regraft reads."""


class InvalidPicture(InvalidError):  # noqa: N818
    """The bytes are not a picture that Regraft reads."""


class InvalidArchive(InvalidError):  # noqa: N818
    """A packed file is damaged, or not safe to read."""


class MismatchError(RegraftError):
    """Two things that should fit each other do not."""

    exit_code = 5


class IntegrityError(RegraftError):
    """Stored bytes are not what their digest says."""

    exit_code = 6


class FetchError(RegraftError):
    """Something has to be fetched and cannot be."""

    exit_code = 3


class OfflineError(FetchError):
    """Something is not on this machine, and nothing may be fetched now."""


class NotAllowedError(RegraftError):
    """There is no permission to do this here."""

    exit_code = 7


class RunError(RegraftError):
    """A run cannot go on."""


class RunDiverged(RunError):  # noqa: N818
    """The loss is not a finite number any more; `positions` are the batch's pictures among the train ones."""

    def __init__(self, message: str, *, hint: str = "", positions: Iterable[int] = ()) -> None:
        super().__init__(message, hint=hint)
        self.positions = tuple(positions)


class RunStopped(RunError):  # noqa: N818
    """Somebody asked the run to stop; what it has done is kept, and it can be resumed."""


class StorageError(RegraftError):
    """The disk refused to keep something."""


class UnknownOutcomeError(StorageError):
    """A new version is visible, but the disk did not confirm that it is safe."""


class MissingExtraError(RegraftError):
    """What was asked needs a package that is not installed."""


class Terminated(KeyboardInterrupt):
    """The system asked the process to end (SIGTERM)."""


def did_you_mean(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return a hint that names the closest known name, or else `otherwise`."""
    near = get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean {near[0]!r}?" if near else otherwise


def listed(names: Sequence[str], *, most: int = 5) -> str:
    """Return some names for a sentence, and how many more there are."""
    more = len(names) - most
    return ", ".join(map(repr, names[:most])) + (f" and {more} more" if more > 0 else "")
