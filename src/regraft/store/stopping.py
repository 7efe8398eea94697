"""How work in a run hears that it should end: by a signal to its process, or by a file in its folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGTERM

from regraft import durable
from regraft.errors import RunStopped, Terminated

#: Is there while somebody wants the run to end.
STOP = "stop"


class Stoppable:
    """A run that can be asked to end.

    Work that cannot end just anywhere, such as a step of training, announces itself with `polls`, looks at
    `asked` when it could end, saves then, and calls `check`. A first signal waits for that. All other work is
    ended by a signal at once, and by a request when it tells its progress.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.id = path.name
        #: Whether work is going on that looks at `asked`.
        self.polling = False
        #: The number of the signal that waits.
        self.signal: int | None = None

    def ask_to_stop(self) -> None:
        """Ask the process that executes the run to end as soon as it has saved what it did."""
        durable.swap(self.path / STOP, b"")

    @property
    def stop_asked(self) -> bool:
        """Whether somebody has asked the run to stop; costs one look at the disk."""
        return (self.path / STOP).exists()

    @property
    def asked(self) -> bool:
        """Whether the run should end, by a signal or by request."""
        return self.signal is not None or self.stop_asked

    def check(self) -> None:
        """End if somebody asked for it.

        Raises KeyboardInterrupt after Ctrl-C, Terminated after SIGTERM, RunStopped after a request.
        """
        if self.signal is not None:
            raise Terminated if self.signal == SIGTERM else KeyboardInterrupt
        if self.stop_asked:
            raise RunStopped(f"Run {self.id} was stopped on request.")

    def obeyed(self) -> None:
        """Forget a signal or a request that has been obeyed: what it ended was not the whole run."""
        self.signal = None
        durable.remove(self.path / STOP)

    @contextmanager
    def polls(self) -> Iterator[None]:
        """Announce work that looks at `asked`; at its end it is checked once more."""
        self.polling = True
        try:
            yield
        finally:
            self.polling = False
        self.check()  # a signal may have come after the last look
