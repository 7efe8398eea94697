"""What a run would cost, worked out from one step: time, memory, and room on the disk."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft import suggest
from regraft.data.augment import pipeline
from regraft.data.pixels import PixelKey, free_memory
from regraft.engine.device import find_kind, find_room
from regraft.errors import StorageError
from regraft.jobs import machine
from regraft.jobs.first_step import FirstStep
from regraft.recipe import Recipe
from regraft.records import ModelVersion, Row
from regraft.store.opening import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """Bytes of disk that would be needed, about, and those that are free."""

    dataset: int
    #: Decoded pictures or features.
    cache: int
    #: What the frozen part makes of all pictures, where that is kept.
    boundary: int
    checkpoints: int
    model: int
    free: int

    @property
    def needed(self) -> int:
        """All of it."""
        return self.dataset + self.cache + self.boundary + self.checkpoints + self.model


@dataclass(frozen=True, kw_only=True, slots=True)
class Cost:
    """What a run would take, about: seconds, and bytes of memory on a device."""

    step: FirstStep
    epoch_seconds: float
    #: Without an early end.
    run_seconds: float
    memory: int
    memory_free: int


def cost(step: FirstStep, recipe: Recipe, *, pictures: int, looked_at: int, devices: int) -> Cost:
    """Work out from one step what an epoch and the run take.

    An epoch learns from so many `pictures`, and validates on those that are `looked_at`.
    """
    # processes that share a processor take turns
    beside = devices if step.device == "cuda" else 1
    epoch = (step.seconds * pictures + step.forward_seconds * looked_at) / step.share / beside
    return Cost(
        step=step,
        epoch_seconds=epoch,
        run_seconds=epoch * recipe.train.epochs if recipe.train.tunes else max(epoch, recipe.train.budget),
        memory=step.memory,
        memory_free=find_room(find_kind()) or free_memory(),
    )


def room(
    store: Store,
    base: ModelVersion,
    recipe: Recipe,
    rows: Sequence[Row],
    step: FirstStep | None,
    *,
    dataset: int,
) -> Room:
    """Work out what would come to lie on the disk; `dataset` are the bytes of pictures that are new."""
    train = recipe.train
    spec = suggest.seen(recipe.data, base.input)
    prepared = PixelKey.prepared(spec, machine.libraries("pillow"))
    whole = PixelKey.whole(recipe.data.cache_side, machine.libraries("pillow"))
    learned = [row for row in rows if row.split == "train"]
    checkpoint = step.checkpoint if step else 0
    weights = step.weights if step else 0
    if not train.tunes:
        cache = 4 * base.num_features * len(rows)
        new = 0
    else:
        cut = pipeline.chooses(tuple(recipe.data.augment))
        cache = sum(map((whole if cut else prepared).size, learned))
        cache += sum(prepared.size(row) for row in rows if row.split == "val")
        new = (step.gradients if train.strategy == "adapters" else weights) if step else 0
    kept = 0
    if step and train.boundary != "recompute" and train.tunes:
        kept = step.boundary * sum(row.split in ("train", "val") for row in rows)
    return Room(
        dataset=dataset,
        cache=cache,
        boundary=kept,
        # the best, the newest, and the one that is being written
        checkpoints=checkpoint * (train.keep + 2) + weights * train.soup,
        model=new,
        free=free_disk(store.cache),
    )


def check_room(room: Room) -> None:
    """Raise StorageError where the disk would be full before the run ends.

    Decoded pictures are kept in memory where it has no room for them, and what is frozen is computed anew.
    """
    least = room.needed - room.cache - room.boundary
    if least > room.free:
        raise StorageError(
            f"The run needs about {_gigabytes(least)} of disk, and {_gigabytes(room.free)} are free.",
            hint="Free some space, choose another place with --workspace DIR or REGRAFT_HOME, or keep fewer "
            "checkpoints: train.keep, train.soup.",
        )


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def free_disk(place: Path) -> int:
    """Return how many bytes are free on the disk that a folder is on, or will be."""
    while not place.exists():
        place = place.parent
    facts = os.statvfs(place)
    return facts.f_bavail * facts.f_frsize
