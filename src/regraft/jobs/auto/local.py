"""Pretrained models that can be had without a network: those of the workspace."""

from __future__ import annotations

from collections.abc import Iterator

from regraft.errors import RegraftError
from regraft.jobs.auto.entrant import Entrant
from regraft.jobs.precision import fastest_precision
from regraft.progress import Progress
from regraft.recipe import ModelSection, Recipe
from regraft.records import ModelVersion, Version
from regraft.store.opening import Store

#: So many others are tried at the most, those for small pictures first.
_MOST = 3


def others(store: Store, recipe: Recipe, first: Entrant, progress: Progress) -> Iterator[Entrant]:
    """Yield pretrained models other than the first, where the recipe leaves open which.

    A model that was fine-tuned is none: what it has learned from, nobody should be surprised by.
    """
    if recipe.model.ref != ModelSection().ref:
        return
    for version in pretrained(store, first.version)[:_MOST]:
        model = version.read(ModelVersion)
        try:
            precision = fastest_precision(store, model, progress)
        except (RegraftError, RuntimeError):
            continue  # a net that does not run here cannot be chosen
        yield Entrant(version=version, model=model, precision=precision)


def pretrained(store: Store, first: Version) -> list[Version]:
    """List the workspace's pretrained models whose weights are there, small ones first."""
    found = []
    for name in store.catalog.names("models"):
        version = store.catalog.latest("models", name)
        if version is None or version.digest == first.digest:
            continue
        model = version.read(ModelVersion)
        own = model.lineage is not None or not model.weights_file or model.head_kind == "own"
        if own or not (store.blobs.has(model.trunk) and store.blobs.has(model.head)):
            continue
        found.append((model.num_features * model.input.size, str(version), version))
    return [version for _, _, version in sorted(found, key=lambda item: item[:2])]
