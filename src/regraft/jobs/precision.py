"""What is fastest here: measured once for a net and a purpose, then remembered.

It stays what it was, so that a noisy moment of a machine changes no result.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from regraft import durable
from regraft.errors import ConflictError
from regraft.jobs import machine
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import ModelVersion, Precision, Record, canonical, decode, digest, encode
from regraft.store.opening import Store

T = TypeVar("T", bound=Record)


class Measured(Record):
    """Which precision was fastest on a machine for a net."""

    precision: Precision


class Threads(Record):
    """How many threads were fastest on a machine for a training: another number of them rounds otherwise."""

    threads: int


def fastest_precision(store: Store, model: ModelVersion, progress: Progress) -> Precision:
    """Return which precision is fastest here for computing features."""

    def measure() -> Precision:
        from regraft.jobs import trunk  # torch and timm: seconds that a known machine saves

        return trunk.fastest_precision(store, model)

    facts = {"architecture": model.architecture, "size": str(model.input.size)}
    return _remembered(store, Measured, facts, lambda: Measured(precision=measure()), progress).precision


def fastest_training(store: Store, model: ModelVersion, recipe: Recipe, progress: Progress) -> Precision:
    """Return which precision is fastest here for training what the recipe lets learn."""

    def measure() -> Precision:
        from regraft.jobs import modes  # likewise

        return modes.fastest_training(model.architecture, recipe, size=recipe.data.size or model.input.size)

    facts = _training(model, recipe)
    return _remembered(store, Measured, facts, lambda: Measured(precision=measure()), progress).precision


def fastest_threads(
    store: Store, model: ModelVersion, recipe: Recipe, measure: Callable[[], int], progress: Progress
) -> int:
    """Return with how many threads a training is fastest here; `measure` finds it out."""
    from regraft.engine.device import count_cores  # torch, which is there where a net trains

    facts = _training(model, recipe) | {
        "precision": recipe.train.precision,
        "usable_cores": str(count_cores()),
    }
    return _remembered(store, Threads, facts, lambda: Threads(threads=measure()), progress).threads


def _training(model: ModelVersion, recipe: Recipe) -> dict[str, str]:
    """Return what of a training its speed depends on most."""
    return {
        "architecture": model.architecture,
        "size": str(recipe.data.size or model.input.size),
        "strategy": recipe.train.strategy,
        "freeze": str(recipe.model.freeze),
        "adapter": str(recipe.model.adapter),
    }


def _remembered(
    store: Store, kind: type[T], facts: dict[str, str], measure: Callable[[], T], progress: Progress
) -> T:
    here = {**machine.environment(), **facts}
    path = store.machines / f"{digest(canonical(here))[:16]}.json"
    if path.exists():
        return decode(kind, path.read_bytes(), where=str(path))
    progress("Measuring what is fastest on this machine", 0, 1)
    with suppress(ConflictError):  # another process measured at the same moment: its word stands
        durable.put(path, encode(measure()), point="machine")
    return decode(kind, path.read_bytes(), where=str(path))
