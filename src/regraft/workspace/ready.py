"""What a training begins with: a dataset, a model, and a recipe without open questions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from regraft.data.ingest import Added
from regraft.data.sources.readers import expand
from regraft.jobs import machine, preflight
from regraft.jobs.auto import clock
from regraft.jobs.fetch import check_named, fetch
from regraft.jobs.preflight import Preflight
from regraft.progress import Progress
from regraft.recipe import ModelSection, Recipe, Traced, trace
from regraft.records import DatasetVersion, ModelVersion, Version
from regraft.refs import parse
from regraft.store.opening import Store
from regraft.workspace.datasets import Datasets

#: Keys about the weights that a recipe names, which say nothing of others.
_OF_WEIGHTS = ("weights", "weights_prefix", "architecture", "partial")

#: Seconds for which `auto` looks for what is best where there is a GPU, and nothing is said of a budget.
GPU_BUDGET = 300.0


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
    budget: str | float | None = None,
) -> Recipe:
    """Read a recipe, with what is said in words of its own in place of what it says.

    What nobody says of a budget, `budgeted` does.
    """
    seconds = None if budget is None else clock.parse(budget)
    short = {"train.strategy": strategy, "train.epochs": epochs, "train.budget": seconds}
    given = [f"{key}={value}" for key, value in short.items() if value is not None]
    traced = trace(recipe, [*given, *settings])
    plan = budgeted(recipe, traced)
    changes = {} if model is None else left_behind(traced, model) | {"ref": model}
    if plan.model.synonyms:  # the run may go on from another folder
        changes["synonyms"] = str(expand(plan.model.synonyms).absolute())
    return plan.model_copy(update={"model": plan.model.model_copy(update=changes)})


def budgeted(source: Recipe | str | Path | None, traced: Traced) -> Recipe:
    """Return a recipe in which `auto` has a budget, where there is a GPU and nothing is said of one.

    A source that is a whole recipe, as a run tells it, leaves nothing open.
    """
    plan = traced.recipe
    said = isinstance(source, Recipe) or traced.origin("train.budget").kind != "default"
    if said or plan.train.strategy != "auto" or not machine.accelerated():
        return plan
    return plan.model_copy(update={"train": plan.train.model_copy(update={"budget": GPU_BUDGET})})


def left_behind(traced: Traced, model: str) -> dict[str, str | bool]:
    """Return the defaults of what a recipe says about its own weights, where a call begins with others.

    What `--set` says stays, and so does a recipe that names no model, and leaves it to the call.
    """
    named = traced.origin("model.ref").kind != "default"
    if not named or model == traced.recipe.model.ref:
        return {}
    usual = ModelSection()
    own = [key for key in _OF_WEIGHTS if traced.origin(f"model.{key}").kind in ("preset", "file", "given")]
    return {key: getattr(usual, key) for key in own}


def make_ready(
    store: Store, datasets: Datasets, dataset: str | Path, plan: Recipe, progress: Progress
) -> Ready:
    """Find or add the dataset, find or fetch the model, and check that a recipe suits both.

    A net that learns from nothing is built without a file of weights, where its ref says what it is.
    """
    # all that can be known before pictures are read
    preflight.check_budget(plan)
    if plan.train.strategy != "scratch":
        check_named(store, parse(plan.model.ref), weights=plan.model.weights)
    if plan.train.tunes:
        from regraft.jobs import recipe_check  # torch and timm, which a probe on known features spares

        for fault in recipe_check.names(preflight.settle(None, plan, smallest_class=2)):
            raise fault
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
