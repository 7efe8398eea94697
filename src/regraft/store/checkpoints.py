"""Checkpoints of a run, each complete or absent; the best stays, and the newest few besides.

A file is called `step-00000120-0123456789abcdef.safetensors`: the step, and a digest by which damage is seen.
The best one has `-best` behind its step. All of that is in the name, so that one rename publishes all of it:
a run that is killed can never be left with a checkpoint that does not know that it is the best.

Only the process that executes the run writes here; others may read.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from regraft import durable

log = logging.getLogger(__name__)

_NAME = re.compile(r"step-([0-9]{8,})(-best)?-([0-9a-f]{16})\.safetensors")


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """One checkpoint on the disk, as its name tells."""

    step: int
    #: Whether it was the best when it was saved.
    best: bool
    digest: str
    path: Path


class Checkpoints:
    """The checkpoints in a folder, of which the best stays, and the newest `keep` besides."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep

    def put(self, step: int, *chunks: durable.Bytes, best: bool = False) -> None:
        """Publish the chunks, end to end, as the state after `step`; then remove what need not stay.

        What claims to come after `step` is removed too: the run has gone back behind it. A state that was
        the best stays the best when its step is saved again.
        """
        for draft in self._folder.glob(f"{durable.DRAFT}*"):
            durable.remove(draft)  # of a process that was killed: it may be large
        best = best or any(found.best for found in self.list() if found.step == step)
        mark, digest = "-best" if best else "", _digest(*chunks)
        path = self._folder / f"step-{step:08}{mark}-{digest}.safetensors"
        durable.swap(path, *chunks, point="checkpoint")
        found = [item for item in self.list() if item.step < step or item.path == path]
        marked = _marked(found)[-1:]
        self._remove_all_but(marked + [item for item in found if item not in marked][-self._keep :])

    def list(self) -> list[Checkpoint]:
        """List the checkpoints, damaged ones too, the oldest first."""
        found = [
            Checkpoint(step=int(name[1]), best=name[2] is not None, digest=name[3], path=path)
            for path in self._folder.glob("step-*")
            if (name := _NAME.fullmatch(path.name))
        ]
        return sorted(found, key=lambda item: (item.step, item.best, item.path.name))

    def latest(self) -> tuple[int, bytes] | None:
        """Return the step and the bytes of the newest one that is whole; a damaged one is passed over."""
        return _first(self.list())

    def best(self) -> tuple[int, bytes] | None:
        """Return the same of the one that was saved as the best last."""
        return _first(_marked(self.list()))

    def at(self, step: int) -> bytes | None:
        """Return the bytes of one step; None where there are none, or damaged ones."""
        found = _first([item for item in self.list() if item.step == step])
        return found and found[1]

    def retain(self, steps: Collection[int]) -> None:
        """Remove all but those of some steps."""
        self._remove_all_but([item for item in self.list() if item.step in steps])

    @property
    def soup(self) -> Checkpoints:
        """The weights of single epochs, in a folder of their own: epochs take the place of steps.

        All stay until `retain` says which do.
        """
        return Checkpoints(self._folder / "soup", sys.maxsize)

    def adopt(self, other: Checkpoints) -> bool:
        """Copy the latest, the best and the soup of another run; tell whether there was one to go on from."""
        latest, best = other.latest(), other.best()
        if latest is None:
            return False
        if best is not None and best[0] < latest[0]:
            self.put(*best, best=True)
        self.put(*latest, best=best is not None and best[0] == latest[0])
        for item in other.soup.list():
            if (data := other.soup.at(item.step)) is not None:
                self.soup.put(item.step, data)
        return True

    def clear(self, *, keep_best: bool = True) -> None:
        """Remove all but the last and, unless it is not wanted either, the best: for a run that is done."""
        found = self.list()
        self._remove_all_but(found[-1:] + (_marked(found)[-1:] if keep_best else []))

    def _remove_all_but(self, stay: Sequence[Checkpoint]) -> None:
        for item in self.list():
            if item not in stay:
                durable.remove(item.path)


def _marked(found: Sequence[Checkpoint]) -> list[Checkpoint]:
    return [item for item in found if item.best]


def _first(found: Sequence[Checkpoint]) -> tuple[int, bytes] | None:
    for item in reversed(found):
        try:
            data = item.path.read_bytes()
        except OSError as error:
            log.warning("The checkpoint %s cannot be read (%s); it is passed over.", item.path, error)
            continue
        if _digest(data) == item.digest:
            return item.step, data
        log.warning("The checkpoint %s is damaged; it is passed over.", item.path)
    return None


def _digest(*chunks: durable.Bytes) -> str:
    running = sha256(usedforsecurity=False)
    for chunk in chunks:
        running.update(chunk)
    return running.hexdigest()[:16]
