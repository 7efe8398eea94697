"""Runs: what was executed, and what became of it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from regraft.records import RunRecord
from regraft.store.journal import Run
from regraft.store.opening import Store

#: Seconds between two looks at a run that is watched.
_PAUSE = 0.5


class Runs:
    """The runs of a workspace."""

    def __init__(self, store: Store) -> None:
        self._journal = store.journal

    def list(self) -> list[RunRecord]:
        """List all runs, the oldest first."""
        return [self._journal.find(run_id).record for run_id in self._journal.ids()]

    def get(self, run_id: str) -> Run:
        """Return a run by its id, a unique beginning of it, or `latest`."""
        return self._journal.find(run_id)

    def watch(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Yield the metrics of a run as they are written, until it ends."""
        run = self._journal.find(run_id)
        seen = 0
        while True:
            running = run.record.status == "running"  # asked first, so that the last lines are not missed
            for line in run.metrics(skip=seen):
                seen += 1
                yield line
            if not running:
                return
            time.sleep(_PAUSE)
