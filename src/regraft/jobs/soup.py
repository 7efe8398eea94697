"""The greedy soup: weights of the best epochs are kept while a net trains, and averaged where that helps."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf, isfinite

import numpy as np
from safetensors.torch import load, save

from regraft.engine import averages, distributed
from regraft.engine.loop import Watcher
from regraft.engine.state import Counters, State, Tensors
from regraft.errors import InvalidRecipe
from regraft.jobs.learners import learners
from regraft.jobs.session import Session
from regraft.recipe import Recipe
from regraft.records import Row
from regraft.store.checkpoints import Checkpoints


def check(rows: Sequence[Row], recipe: Recipe, *, measured: str) -> None:
    """Raise InvalidRecipe where there is nothing by which the epochs of a soup could be chosen."""
    index = {label: number for number, label in enumerate(sorted({row.label for row in rows}))}
    targets = np.array([index[row.label] for row in rows], dtype=np.int64)
    found = learners(rows, targets, measured=measured, holdout=recipe.eval.holdout, seed=recipe.train.seed)
    if not len(found.chosen_by):
        raise InvalidRecipe(
            "There are no pictures to choose the epochs of a soup by.",
            hint="Add a split 'val', or hold a part of train out: --set eval.holdout=0.1.",
            where="train.soup",
        )


class Keeper:
    """Keeps the weights of the `count` best epochs, and passes on to another watcher what it hears.

    They are published before the epoch's checkpoint, and what they supersede goes after it: a run that is
    killed goes on with all that its checkpoint knows of.
    """

    def __init__(self, watcher: Watcher, kept: Checkpoints, count: int) -> None:
        self._watcher = watcher
        self._kept = kept
        self._count = count
        self._writes = distributed.rank() == 0

    def step(self, state: State, *, rate: float, loss: float | None, pictures: int) -> None:
        """Hear of a finished step."""
        self._watcher.step(state, rate=rate, loss=loss, pictures=pictures)

    def epoch(self, state: State, *, better: bool) -> None:
        """Keep the weights that were validated, where the epoch is one of the best."""
        wanted = best_epochs(state.at, self._count)
        if self._writes and state.at.epoch in wanted:
            weights = {name: value.detach().cpu().contiguous() for name, value in state.weights().items()}
            self._kept.put(state.at.epoch, save(weights))
        self._watcher.epoch(state, better=better)
        if self._writes:
            self._kept.retain(wanted)


def best_epochs(at: Counters, count: int) -> list[int]:
    """Return the epochs with the lowest validation losses, counted from 1, the best first."""
    known = [(epoch["loss"], epoch["epoch"]) for epoch in at.epochs if epoch["loss"] is not None]
    return [number for loss, number in sorted(known) if isfinite(loss)][:count]


def stir(session: Session, best: Tensors, kept: Checkpoints) -> tuple[int, ...]:
    """Put the greedy soup into the net; return the epochs that are in it, the best first.

    It begins with the weights `best`, and does at least as well on the pictures that are chosen by.
    """
    state, validate = session.state, session.plan.validate
    if validate is None:
        raise ValueError("there is nothing to choose by")
    found = {state.at.best: best}
    wanted = best_epochs(state.at, session.task.recipe.train.soup)
    kept.retain(wanted)  # a run that was killed may not have come to it
    for number in wanted:
        if number not in found and (data := kept.at(number)) is not None:
            found[number] = load(data)

    def score(tensors: Tensors) -> float:
        state.put_weights(tensors)
        loss, _ = validate(session.net)
        return -loss if isfinite(loss) else -inf

    mixed, used = averages.soup(list(found.values()), score)
    state.put_weights(mixed)
    numbers = list(found)
    return tuple(numbers[place] for place in used)
