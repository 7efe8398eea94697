"""What Regraft does while a net trains, looked at: how long checkpoints take, and when epochs end."""

from __future__ import annotations

import time
from typing import Any

from measuring import Seconds, timed
from regraft.engine.state import State
from regraft.jobs.watching import Watch


class Looking(Watch):
    """Writes and saves as in any training."""

    def __init__(self, *arguments: Any, **facts: Any) -> None:
        super().__init__(*arguments, **facts)
        #: (CPU, wall) seconds of the last checkpoint.
        self.saving: Seconds = (0.0, 0.0)
        #: When each epoch was over, and for how long its checkpoint was written.
        self.ends: list[tuple[float, float]] = []

    def epoch(self, state: State, *, better: bool) -> None:
        """Hear of a finished epoch, and take the time when its checkpoint is written."""
        super().epoch(state, better=better)
        self.ends.append((time.perf_counter(), self.saving[1]))

    def _save(self, state: State, *, best: bool) -> None:
        _, self.saving = timed(lambda: Watch._save(self, state, best=best))
