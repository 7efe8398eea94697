"""What is stored of an execution, and what is known of a file before it is downloaded."""

from __future__ import annotations

from typing import Any, Literal

from regraft.records.base import Record


class RunRecord(Record):
    """One execution: what was asked, and what became of it."""

    id: str
    kind: Literal["finetune", "evaluate", "check"]
    status: Literal["running", "done", "failed", "interrupted", "stopped", "lost"]
    #: What the run needs to know: versions by digest, names of what it makes.
    inputs: dict[str, str]
    recipe: dict[str, Any]
    outputs: dict[str, str]
    #: Times in UTC, ISO 8601.
    started: str
    ended: str | None
    error: str | None
    host: str
    process: int
    #: When the process began, as the system counts it, so that another one with its number is not taken
    #: for it; empty where the system does not say.
    process_started: str


class RemoteFile(Record):
    """A file that can be downloaded, and how to know that it is the right one."""

    #: What it is called on disk.
    name: str
    #: The same bytes at each; tried in turn.
    urls: tuple[str, ...]
    #: In bytes; None where it is not known.
    size: int | None = None
    #: Digests in hexadecimal, empty where none is known.
    sha256: str = ""
    sha1: str = ""
    md5: str = ""
