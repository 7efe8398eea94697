"""What a search tried and decided, line by line, as it happens."""

from __future__ import annotations

from collections.abc import Sequence

from regraft.engine.contest import Standing
from regraft.jobs.auto.entrant import Entrant
from regraft.progress import Progress
from regraft.records import Board, BoardRow, CurvePoint
from regraft.store.journal import Run


class Ledger:
    """The rows and reasons of a board."""

    def __init__(self, run: Run, progress: Progress, *, budget: float) -> None:
        self._run = run
        self._progress = progress
        self._budget = budget
        self._rows: list[BoardRow] = []
        self._standings: list[Standing] = []
        self._reasons: list[str] = []

    def say(self, words: str) -> None:
        """Note a decision with its reason; show it, and write it into the log."""
        self._reasons.append(words)
        self._run.log(words)
        if self._budget:  # without one there is one decision, which the summary tells
            self._progress(words, 0, 0)

    def add(
        self, entrant: Entrant, standing: Standing, *, pictures: int, seconds: float | None = None
    ) -> None:
        """Note how something did; its seconds are those of the standing and of its features."""
        row = BoardRow(
            backbone=entrant.backbone,
            view=entrant.view,
            head=standing.kind,
            pictures=pictures,
            accuracy=standing.accuracy,
            log_loss=standing.log_loss,
            seconds=round(standing.seconds + (seconds or 0.0), 2),
        )
        self._rows.append(row)
        self._standings.append(standing)
        self._run.metric(event="tried", **row.model_dump(exclude={"taken"}))

    def board(self, taken: Standing | None, curve: Sequence[CurvePoint]) -> Board:
        """Return the board, on which the row of what was taken is marked.

        Two rows may read alike: one way to tune is tried for few epochs, and then for more. Seconds stand on
        it where a clock decided: without a budget the same job gives the same record.
        """
        rows = [
            row.model_copy(update={"taken": own is taken, "seconds": row.seconds if self._budget else None})
            for row, own in zip(self._rows, self._standings, strict=True)
        ]
        return Board(rows=tuple(rows), reasons=tuple(self._reasons), curve=tuple(curve), budget=self._budget)
