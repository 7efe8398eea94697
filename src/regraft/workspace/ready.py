"""What a training begins with: a dataset, a model, and a recipe without open questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from regraft.data.ingest import Added
from regraft.data.sources.readers import expand
from regraft.jobs import preflight
from regraft.jobs.fetch import fetch
from regraft.jobs.preflight import Preflight
from regraft.progress import Progress
from regraft.recipe import Recipe, read
from regraft.records import DatasetVersion, ModelVersion, Version
from regraft.refs import parse
from regraft.store.opening import Store
from regraft.workspace.datasets import Datasets


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """All that a training needs to know."""

    dataset: Version
    #: What was added, where the dataset was given as a folder.
    added: Added | None
    model: Version
    checked: Preflight


def make_plan(
    recipe: Recipe | str | Path | None,
    settings: Iterable[str],
    *,
    model: str | None,
    strategy: str | None,
    epochs: int | None = None,
) -> Recipe:
    """Read a recipe, with what is said in words of its own in place of what it says."""
    short = {"train.strategy": strategy, "train.epochs": epochs}
    given = [f"{key}={value}" for key, value in short.items() if value is not None]
    plan = read(recipe, [*given, *settings])
    changes = {} if model is None else {"ref": model}
    if plan.model.synonyms:  # the run may go on from another folder
        changes["synonyms"] = str(expand(plan.model.synonyms).absolute())
    return plan.model_copy(update={"model": plan.model.model_copy(update=changes)})


def make_ready(
    store: Store, datasets: Datasets, dataset: str | Path, plan: Recipe, progress: Progress
) -> Ready:
    """Find or add the dataset, find or fetch the model, and check that a recipe suits both.

    A net that learns from nothing is built without a file of weights, where its ref says what it is.
    """
    version, added = datasets.resolve(dataset, plan)
    model = fetch(
        store,
        parse(plan.model.ref),
        weights=plan.model.weights,
        prefix=plan.model.weights_prefix,
        architecture=plan.model.architecture,
        partial=plan.model.partial,
        pretrained=plan.train.strategy != "scratch",
        progress=progress,
    )
    checked = preflight.check(store, version.read(DatasetVersion), model.read(ModelVersion), plan, progress)
    return Ready(dataset=version, added=added, model=model, checked=checked)
