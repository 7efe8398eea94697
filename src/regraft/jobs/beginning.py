"""What comes before the first step: the head that the strategy begins with, and what is fastest here."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from regraft.engine import device, losses, probe
from regraft.hub import labels
from regraft.jobs import recipe_check
from regraft.jobs.features import features_of
from regraft.jobs.precision import fastest_threads
from regraft.jobs.session import Session, Task

#: Strategies that begin with a head that is fitted already, so that the beginning can be the best.
FITTED = ("lp-ft",)


def prepare(session: Session) -> None:
    """Let the head begin as the recipe asks for, and find out how many threads are fastest."""
    task, state = session.task, session.state
    if task.recipe.train.strategy in FITTED:
        _fit_head(session)
    elif task.recipe.model.reuse_labels:
        _reuse_labels(session)
    if session.device.kind == "cpu":
        size = task.spec.size
        example = torch.zeros(8, 3, size, size, dtype=torch.uint8)
        state.at.threads = fastest_threads(
            task.store,
            task.base,
            task.recipe,
            partial(device.choose_threads, lambda: session.try_step(example)),
            task.progress,
        )
    state.at.micro_batch = task.recipe.train.micro_batch
    if task.recipe.train.reduction == "sum":
        lr, size = float(task.recipe.optim.lr), task.recipe.train.batch_size
        equal = losses.mean_equivalent(lr, size, "sum")
        _tell(task, f"The rate {lr:g} for sums over {size} pictures is as {equal:g} for means, with SGD.")


def _fit_head(session: Session) -> None:
    """Begin with the head of a probe on the net as it is: linear probing, then fine-tuning (Kumar, 2022)."""
    task = session.task
    rows = [task.rows[place] for place in session.learners.train]
    base = task.base.model_copy(update={"input": task.spec})
    features = features_of(
        task.store,
        base,
        rows,
        precision=session.device.precision,
        batch_size=task.recipe.train.batch_size,
        progress=task.progress,
    )
    head = probe.fit(
        features,
        task.targets[session.learners.train],
        task.recipe.optim,
        families=[row.family for row in rows],
        folds=task.recipe.eval.folds,
        seed=task.recipe.train.seed,
        step=lambda done, total: task.progress("Fitting the head", done, total),
    )
    scale = 1 / head.temperature
    session.state.put_weights(
        {
            "head.weight": torch.from_numpy(np.ascontiguousarray(head.weight * scale)),
            "head.bias": torch.from_numpy(head.bias * scale),
        }
    )


def _reuse_labels(session: Session) -> None:
    """Begin the rows of labels that the old classifier knew with its own."""
    task = session.task
    known = recipe_check.reused(task.base, task.recipe, task.labels)
    labels.reuse(session.net.head, session.old_head(), {new: olds[0] for new, olds in known.items()})
    for new, (old, *others) in known.items():
        also = f"; {len(others)} others match too" if others else ""
        _tell(task, f"Class {task.labels[new]!r} begins as {task.base.labels[old]!r} (#{old}){also}.")


def _tell(task: Task, words: str) -> None:
    """Write a line into the log, and show it."""
    task.progress(words, 0, 0)
    task.run.log(words)
