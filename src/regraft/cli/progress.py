"""Progress on stderr: a bar on a terminal, a plain line now and then elsewhere; silent for short work."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

#: Work that is done within this time says nothing, in seconds.
PATIENCE = 1.0
#: Seconds between two plain lines.
PAUSE = 3.0


class Bars:
    """Show how far each task is, with units per second and the time left."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._started: dict[str, float] = {}
        self._spoken: dict[str, float] = {}
        self._done: dict[str, tuple[int, int]] = {}
        self._progress: Progress | None = None
        self._bar: tuple[str, TaskID] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note that `done` of `total` units of a task are finished."""
        if total == 0:
            self._stop()
            self._bar = None
            print(task, file=sys.stderr, flush=True)  # noqa: T201
            return
        now = time.monotonic()
        before, whole = self._done.get(task, (0, total))
        if done <= before or whole != total or before >= whole:  # begun, or begun again
            self._started[task] = now
            self._spoken.pop(task, None)
        self._done[task] = done, total
        start = self._started.setdefault(task, now)
        if total == 1:  # work that cannot be counted is announced
            self._announce(task, done)
            return
        if now - start < PATIENCE:
            return
        if self._terminal:
            self._draw(task, done, total)
        elif now - self._spoken.get(task, -PAUSE) >= PAUSE or done == total:
            self._spoken[task] = now
            print(line(task, done, total, now - start), file=sys.stderr, flush=True)  # noqa: T201

    def _announce(self, task: str, done: int) -> None:
        if self._terminal:
            self._draw(task, None, None)
        elif not done:
            print(f"{task} ...", file=sys.stderr, flush=True)  # noqa: T201

    def _draw(self, task: str, done: int | None, total: int | None) -> None:
        if self._bar is None or self._bar[0] != task:  # one task runs at a time
            self._stop()
            self._progress = _bars()
            self._progress.start()
            self._bar = task, self._progress.add_task(task, total=total)
        if self._progress is not None:
            self._progress.update(self._bar[1], completed=done, total=total)

    def _stop(self) -> None:
        if self._progress is not None:
            self._progress.stop()


def line(task: str, done: int, total: int, seconds: float) -> str:
    """Write a plain line: what, how far, how fast, how long still."""
    rate = done / seconds if seconds else 0.0
    left = f", {(total - done) / rate:,.0f} s left" if rate and done < total else ""
    return f"{task}: {done:,} of {total:,} ({done / max(total, 1):.0%}), {rate:,.1f} a second{left}"


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """How far, and units per second."""

        def render(self, task: Task) -> Text:
            if task.total is None:
                return Text("")
            speed = f"  {task.speed:,.0f}/s" if task.speed else ""
            return Text(f"{task.completed:,.0f}/{task.total:,.0f}{speed}")

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=Console(stderr=True),
        transient=True,
    )
