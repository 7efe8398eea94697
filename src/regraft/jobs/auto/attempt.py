"""One training inside of a search: a folder in the run's own, which hears what the run hears."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from regraft import durable
from regraft.jobs.auto.clock import Enough
from regraft.store.journal import Run


class Attempt(Run):
    """A training whose checkpoints are its own, and whose words go into the run's log."""

    def __init__(self, run: Run, name: str) -> None:
        super().__init__(run.path / "attempts" / name)
        self._run = run
        self._name = name

    @property
    def asked(self) -> bool:
        """Whether the search should end."""
        return self._run.asked

    def check(self) -> None:
        """Raise Enough where the search should end."""
        if self.asked:
            raise Enough("Tuning was ended on request; the best so far is taken.")

    @contextmanager
    def polls(self) -> Iterator[None]:
        """Do nothing: the search looks out for signals already."""
        yield

    def log(self, text: str) -> None:
        """Write a line into the run's log."""
        self._run.log(f"{self._name}: {text}")

    def metric(self, **values: float | int | str | Mapping[str, float] | None) -> None:
        """Write a line of metrics that is no line of the run's own curve."""
        self._run.metric(event="attempt", attempt=self._name, **values)

    def drop(self) -> None:
        """Take the folder away, where it is there."""
        if self.path.is_dir():
            durable.remove_folder(self.path)
