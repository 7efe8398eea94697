"""The clock of a search: how much of a budget is left, and what of it has to be kept for the end."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

from regraft.errors import InvalidRecipe
from regraft.store.journal import Run

#: Seconds of a unit.
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
_WORDS = re.compile(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smh]?)\s*")


class Enough(Exception):  # noqa: N818 (nothing went wrong)
    """Nobody wants the search to go on, or there is no time for it."""


def parse(text: str | float) -> float:
    """Return the seconds of words such as `90`, `45s`, `5m` or `1.5h`; 0 is none. Raises InvalidRecipe."""
    found = _WORDS.fullmatch(str(text))
    if found is None:
        raise InvalidRecipe(
            f"{text!r} is no span of time.", hint="Write 90, 45s, 5m or 1.5h.", where="train.budget"
        )
    return float(found[1]) * _UNITS[found[2]]


class Clock:
    """What is left of a budget."""

    def __init__(self, run: Run, budget: float, *, spent: float = 0.0) -> None:
        self._run = run
        self._began = time.monotonic() - spent
        self.budget = budget
        #: Seconds that the end will take: whatever is best by then is measured, and a report is written.
        self.reserve = 0.0

    @property
    def spent(self) -> float:
        """Seconds since the beginning."""
        return time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds until the end has to begin."""
        return self.budget - self.spent - self.reserve

    def check(self) -> None:
        """Raise Enough where somebody asked for the end, or the end has to begin."""
        if self._run.asked:
            raise Enough("The search was ended on request; the best so far is taken.")
        if self.left <= 0:
            raise Enough("The budget was spent before all was tried; the best so far is taken.")

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Let a first Ctrl-C, SIGTERM or request to stop end the search alone, and not the run."""
        self._run.polling = True
        try:
            yield
        finally:
            self._run.polling = False
            self._run.obeyed()
