"""How long work tells how far it is: one callable, given down from the door to the loop."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Hear that `done` of `total` units of a task are finished; called often, returns fast.

    Where `total` is 0 nothing is counted: the words are a line to be read, such as what an epoch gave.
    """

    def __call__(self, task: str, done: int, total: int) -> None:
        """Take note."""


def silent(task: str, done: int, total: int) -> None:
    """Tell nobody."""
