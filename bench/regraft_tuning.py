"""Regraft's arm of `tuning`: one epoch of a full fine-tune for each line that it gets.

It goes the way of `regraft finetune`, with the lines that are written and the checkpoint at the end of an
epoch. Every round decodes the pictures anew, and that is timed apart: only a first run has to.

    python regraft_tuning.py NET FOLDER WEIGHTS HOME
"""

from __future__ import annotations

import shutil
import sys
from functools import cache
from typing import Any

import numpy as np

import plain_tuning as plain
import regraft
from measuring import timed
from regraft.jobs import preflight, tune
from regraft.jobs.fetch import fetch
from regraft.jobs.session import Session, Task
from regraft.progress import silent
from regraft.recipe import Recipe, read
from regraft.records import DatasetVersion, ModelVersion
from regraft.refs import parse
from regraft.store.journal import Run
from regraft.store.opening import open_store
from turns import serve

#: One epoch over the same pictures: none is held out.
EPOCH = (
    "train.strategy=full",
    "train.epochs=1",
    f"train.batch_size={plain.BATCH}",
    "eval.holdout=0",
    "eval.precision=float32",
)
#: What the plain script computes.
SAME = (
    'optim.optimizer={name="sgd", momentum=0}',
    f"optim.lr={plain.LR}",
    f"optim.head_lr_scale={plain.HEAD_LR_SCALE}",
    f"optim.weight_decay={plain.WEIGHT_DECAY}",
    "optim.decay_norm_and_bias=true",
    "optim.schedule=constant",
    "optim.warmup_epochs=0",
    "model.norm_eval=false",
    'data.augment=[{name="random-resized-crop", scale=[0.08, 1.0]}, "flip"]',
    "data.size=224",
)
#: Pictures as they are, and small: the plain script can do exactly the same.
CHECK = (*SAME, "data.augment=[]", "data.size=64")
WORKS: dict[str, tuple[str, ...]] = {
    "same": SAME,
    "defaults": (),
    "warm-up": (*SAME, "train.time_limit=0.001"),  # ends after a step
    "check float32": (*CHECK, "train.precision=float32"),
    "check bfloat16": (*CHECK, "train.precision=bfloat16+channels_last"),
}


def order(session: Session) -> list[str]:
    """Return the names of the pictures of an epoch in their order."""
    places = [place for batch in session.batches.epoch(0) for place in batch.positions.tolist()]
    return [session.task.rows[session.learners.train[place]].key for place in places]


def main(name: str, folder: str, weights: str, home: str) -> None:
    store = open_store(home)
    dataset = regraft.open(home).datasets.add("bench", folder).version
    model = fetch(store, parse(f"timm:{name}"), weights=weights, progress=silent)

    @cache
    def begun(work: str) -> tuple[Run, Recipe]:
        """Do once what comes before the training: measure the machine, and make the first checkpoint."""
        ready = preflight.check(
            store,
            dataset.read(DatasetVersion),
            model.read(ModelVersion),
            read(None, (*EPOCH, *WORKS[work])),
            silent,
        )
        run = store.journal.create("finetune", inputs={}, recipe=ready.recipe.model_dump(mode="json"))
        tune.begin(Session(task(run, ready.recipe)))
        return run, ready.recipe

    def task(run: Run, recipe: Recipe) -> Task:
        return tune.describe(store, run, model, dataset, recipe, split="test", progress=silent)

    def epoch(work: str) -> dict[str, Any]:
        first, recipe = begun(work)
        run = store.journal.create(
            "finetune", inputs={}, recipe=first.record.recipe, begin=first.checkpoints()
        )
        what = task(run, recipe)
        places = np.array([place for place, row in enumerate(what.rows) if row.split == "train"])
        shutil.rmtree(store.cache / "pixels", ignore_errors=True)
        _, decoding = timed(lambda: what.pixels(places, whole=True))
        session = Session(what)
        _, seconds = timed(lambda: tune.train(session))
        shutil.rmtree(run.path)  # its checkpoints are large
        return {
            "seconds": seconds,
            "decoding": decoding,
            "pictures": len(session.learners.train),
            "loss": session.state.epochs[-1].train_loss,
            "precision": recipe.train.precision,
            "threads": session.state.at.threads,
            "told": {"order": order(session), "spec": what.spec.model_dump()},
        }

    serve(epoch)


if __name__ == "__main__":
    main(*sys.argv[1:])
