"""Try one step of a training on pictures of a dataset or, where there is none, on noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from io import BytesIO

import numpy as np
from PIL import Image

from regraft.jobs import first_step
from regraft.jobs.first_step import FirstStep
from regraft.jobs.session import Task
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import ModelVersion, Row
from regraft.store.journal import Run
from regraft.store.opening import Store
from regraft.store.packs import PackWriter


def try_step(
    store: Store,
    base: ModelVersion,
    recipe: Recipe,
    rows: Sequence[Row],
    labels: tuple[str, ...],
    progress: Progress,
    *,
    share: int,
) -> FirstStep:
    """Take one step on some of the rows that a recipe would learn from; without any, on random pictures.

    `store` is one whose files may go; `recipe` is resolved. Raises what `first_step.learn` raises.
    """
    shown = [rows[number * len(rows) // share] for number in range(share)] if rows else []
    # all of them are learned from; how rare each class is they do not tell
    train = {"batch_size": share, "micro_batch": 0, "balance": "none", "soup": 0}
    alone = recipe.model_copy(
        update={
            "train": recipe.train.model_copy(update=train),
            "data": recipe.data.model_copy(update={"workers": 0}),
            "eval": recipe.eval.model_copy(update={"holdout": 0.0}),
        }
    )
    task = Task(
        store=store,
        run=Run(store.root / "run"),
        base=base,
        labels=labels,
        rows=[replace(row, split="train") for row in shown]
        or _random(store, labels, share, side=recipe.data.size),
        recipe=alone,
        measured="test",
        progress=progress,
    )
    progress("Taking a first step", 0, 1)
    found = (first_step.learn if recipe.train.tunes else first_step.look)(task, share=share)
    progress("Taking a first step", 1, 1)
    return found


def _random(store: Store, labels: Sequence[str], count: int, *, side: int) -> list[Row]:
    """Make rows of pictures of noise, in a store whose files may go."""
    writer, random = PackWriter(store.packs), np.random.default_rng(0)
    names = []
    for _ in range(count):
        buffer = BytesIO()
        noise = random.integers(0, 256, (side, side, 3), dtype=np.uint8)
        Image.fromarray(noise).save(buffer, format="PNG", compress_level=1)
        names.append(sha256(buffer.getvalue()).hexdigest())
        writer.add(names[-1], buffer.getvalue())
    places = writer.finish()
    return [
        Row(
            key=f"{number}.png",
            digest=name,
            pack=places[name].pack,
            offset=places[name].offset,
            length=places[name].length,
            label=labels[number % len(labels)],
            split="train",
            width=side,
            height=side,
        )
        for number, name in enumerate(names)
    ]
