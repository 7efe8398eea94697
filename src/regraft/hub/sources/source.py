"""A pretrained model that is on this machine, and what its publisher says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.records import InputSpec, RemoteFile

#: Return where a file lies on this machine; fetch it where it is not there yet. It has been verified then.
Locate = Callable[[RemoteFile], Path]

#: Of what nobody says how it may be used.
UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """A file with weights, and what is known of them."""

    #: What `hub.nets` calls the net; empty where the weights have to tell.
    architecture: str
    weights: Path
    licence: str
    #: sha256 of the weights file, where it is known beforehand.
    digest: str = ""
    #: Of the classes, in order; empty where the publisher does not name them.
    labels: tuple[str, ...] = ()
    #: What its publisher says of the pictures; None where the architecture says it.
    input: InputSpec | None = None


def distinct(names: Sequence[str], marks: Sequence[str]) -> tuple[str, ...]:
    """Return names of classes that are all different: those that occur twice get their marks."""
    twice = {name for name in names if names.count(name) > 1}
    return tuple(
        f"{name} ({mark})" if name in twice else name for name, mark in zip(names, marks, strict=True)
    )
