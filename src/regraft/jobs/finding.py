"""Find a rate for a training before it is done: some steps at growing rates, of which nothing is kept."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from itertools import count
from math import inf

import torch

from regraft import durable
from regraft.engine import finder, loop, memory
from regraft.engine.finder import Found
from regraft.engine.loop import Batch
from regraft.engine.optim import set_rate
from regraft.errors import RunDiverged
from regraft.jobs import beginning, tune
from regraft.jobs.session import Session
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import Version
from regraft.store.journal import Run
from regraft.store.leases import lease
from regraft.store.opening import Store


def find(
    store: Store,
    *,
    model: Version,
    dataset: Version,
    recipe: Recipe,
    split: str,
    steps: int,
    progress: Progress,
) -> Found:
    """Learn at growing base rates, in so many steps, just as a training by this recipe would begin.

    Where the strategy lets more of the net learn from epoch to epoch, all of that learns here. `recipe` is
    resolved, and `split` is not learned from. What is computed once for all trainings is kept, such as
    decoded pictures; of the steps nothing is.
    """
    memory.keep_memory()
    # in no journal: it takes what is logged on the way, and goes with it
    run = Run(durable.folder(store.cache / f"rates-{secrets.token_hex(4)}"))
    try:
        with lease(store.storage):
            session = Session(
                tune.describe(store, run, model, dataset, recipe, split=split, progress=progress)
            )
            beginning.prepare(session)
            return _search(session, steps)
    finally:
        durable.remove_folder(run.path)


def _search(session: Session, steps: int) -> Found:
    state, plan = session.state, session.plan
    if state.at.threads:
        torch.set_num_threads(state.at.threads)
    mode = plan.mode(plan.epochs - 1)
    mode.apply(state.net)
    mode.train(state.net)
    batches = _endless(session)

    def step(rate: float) -> float:
        batch = next(batches)
        set_rate(state.optimizer, rate, 1.0)
        session.task.progress("Trying rates", state.at.step, steps)
        try:
            total = loop.take_step(state, plan, batch, session.device)
        except RunDiverged:
            if not state.at.step:
                raise  # no rate is to blame
            return inf
        state.at.step += 1
        return float(total) / batch.total

    found = finder.find(step, steps=steps)
    session.task.progress("Trying rates", steps, steps)
    return found


def _endless(session: Session) -> Iterator[Batch]:
    for epoch in count():
        yield from session.batches.epoch(epoch)
