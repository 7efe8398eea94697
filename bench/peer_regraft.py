"""Regraft, as the peers are measured; the header of each picture is looked at, and its digest checked."""

from __future__ import annotations

from pathlib import Path

from peer_clock import compare
from regraft.workspace import main


def ingest(files: list[Path], home: Path) -> object:
    """Add the pictures row by row."""
    workspace = main.open(home)
    with workspace.datasets.build("bench", decode=False) as rows:
        for file in files:
            rows.append(file, label=file.parent.name)
    return workspace.datasets.get("bench")


def iterate(dataset: object) -> int:
    """Read everything, verified."""
    return sum(len(body) for _, body in dataset.read_all())


def access(dataset: object, place: int) -> int:
    """Read one picture, verified."""
    return len(dataset.read(dataset[place]))


compare(ingest, iterate, access, times=200)
