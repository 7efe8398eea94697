"""Recipes: what they say and come to, and which suits, before anything is trained."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft import durable
from regraft import suggest as suggestions
from regraft.errors import RegraftError
from regraft.jobs.auto import clock
from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.recipe import Recipe, Traced, presets, write
from regraft.recipe import schema as recipe_schema
from regraft.recipe.drafts import is_entry
from regraft.recipe.mending import mend
from regraft.recipe.places import Place
from regraft.records import DatasetVersion, ModelVersion
from regraft.refs import parse
from regraft.store.opening import Store
from regraft.suggest import Advice, Facts
from regraft.workspace import checking, rates
from regraft.workspace.checked import Checked
from regraft.workspace.datasets import Datasets
from regraft.workspace.rates import SEARCH_STEPS, FoundRate, Planned
from regraft.workspace.ready import left_behind, make_plan, make_ready
from regraft.workspace.sources import find, placing, trace_from


@dataclass(frozen=True, kw_only=True, slots=True)
class Preset:
    """A recipe that comes with Regraft."""

    name: str
    #: What it is for, in one line.
    summary: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """A value of a recipe, and where it came from."""

    #: Such as `optim.lr`.
    key: str
    value: Any
    #: One; more of a table that was put together.
    origins: tuple[str, ...]
    #: Whether nobody said it.
    default: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """All that a recipe says."""

    values: tuple[Said, ...]
    #: The recipe as one file that needs no other.
    text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """A value that two recipes differ in."""

    key: str
    old: Said
    new: Said


@dataclass(frozen=True, kw_only=True, slots=True)
class Suggested:
    """A recipe that suits a dataset, a model and this machine."""

    dataset: str
    model: str
    facts: Facts
    advice: tuple[Advice, ...]
    #: The recipe as a file, with the reasons as comments.
    text: str
    #: Where it was written, if it was.
    path: Path | None


class Recipes:
    """What can be asked of recipes before anything is trained by them.

    A recipe is a file, the name of a preset, or `run:ID`, what a run was trained by.
    """

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self._datasets = Datasets(store, progress)

    def list(self) -> builtins.list[Preset]:
        """List the presets: recipes that come with Regraft."""
        return [Preset(name=name, summary=presets.summary(name)) for name in presets.names()]

    def show(
        self,
        recipe: Recipe | str | Path | None = None,
        *,
        settings: Iterable[str] = (),
        output: Path | None = None,
    ) -> Shown:
        """Tell every value of a recipe, and where it came from: a default, a preset, a file, a setting.

        `output` is a file to write all of it into, which then needs no other. Raises NotFoundError where a
        file or a run is missing, InvalidRecipe where a key or value is wrong, ConflictError where `output`
        exists.
        """
        traced = trace_from(self._store, recipe, settings)
        text = write(traced.recipe)
        if output is not None:
            durable.stream(output, [text.encode()])
        return Shown(values=tuple(_said(traced).values()), text=text)

    def diff(self, old: Recipe | str | Path, new: Recipe | str | Path) -> builtins.list[Difference]:
        """List the values that two recipes differ in, and where each came from."""
        before, after = (_said(trace_from(self._store, recipe)) for recipe in (old, new))
        return [
            Difference(key=key, old=said, new=after[key])
            for key, said in before.items()
            if _written_out(_place(key), said.value) != _written_out(_place(key), after[key].value)
        ]

    def schema(self) -> dict[str, Any]:
        """Return the JSON schema of a recipe file, by which editors complete and check it."""
        return recipe_schema()

    def suggest(
        self,
        dataset: str | Path,
        *,
        model: str | None = None,
        budget: str | float | None = None,
        output: Path | None = None,
    ) -> Suggested:
        """Suggest a recipe for a dataset, a model and this machine, with a reason for each value.

        `budget` is how long a training may take: `"5m"`, or 300. `output` is a file to write the recipe
        into. A dataset that is a folder is added, as by a fine-tuning. Raises ConflictError where the file
        exists.
        """
        from regraft.jobs import facts  # torch and timm, which a listing does without

        seconds = 0.0 if budget is None else clock.parse(budget)
        plan = make_plan(None, (), model=model, strategy=None)
        version, _ = self._datasets.resolve(dataset, plan)
        base = fetch(self._store, parse(plan.model.ref), weights="", progress=self._progress)
        known = facts.gather(self._store, version.read(DatasetVersion), base.read(ModelVersion))
        advice = suggestions.advise(known, budget=seconds)
        text = _advised(plan, advice, header=f"Suggested for {version} and {plan.model.ref}.")
        if output is not None:
            durable.stream(output, [text.encode()])
        return Suggested(
            dataset=str(version), model=plan.model.ref, facts=known, advice=advice, text=text, path=output
        )

    def check(
        self,
        recipe: Recipe | str | Path | None = None,
        dataset: str | Path | None = None,
        *,
        model: str | None = None,
        strategy: str | None = None,
        settings: Iterable[str] = (),
        devices: int = 1,
    ) -> Checked:
        """Find out what a fine-tuning would do, and all that would stop it; nothing is trained or kept.

        A folder is read and not added, weights are not fetched, and one step is tried on a net that is
        forgotten; without a dataset, on noise. `recipe`, `model`, `strategy`, `settings` and `devices` are
        those of `Workspace.finetune`. Nothing is raised for what is wrong: see `problems`.
        """
        # as for a fine-tuning: settings before a strategy's name, and a model's name before them
        ordered = [*([] if strategy is None else [_setting("train.strategy", strategy)]), *settings]
        if model is not None:
            ordered += self._begins_with(model, recipe, ordered)
        return checking.check(
            self._store, recipe, dataset, settings=ordered, devices=devices, progress=self._progress
        )

    def _begins_with(
        self, model: str, recipe: Recipe | str | Path | None, settings: Iterable[str]
    ) -> builtins.list[str]:
        """Return the settings by which a recipe begins with a model, and not with its own."""
        changes: dict[str, str | bool] = {"ref": model}
        with suppress(RegraftError):  # of a run; the check tells it
            traced, _ = mend(find(self._store, recipe), settings)
            changes |= left_behind(traced, model) if traced else {}
        return [_setting(f"model.{key}", value) for key, value in changes.items()]

    def schedule(
        self,
        recipe: Recipe | str | Path | None = None,
        *,
        settings: Iterable[str] = (),
        pictures: int | None = None,
        steps_per_epoch: int | None = None,
        plot: Path | None = None,
    ) -> Planned:
        """Work out the rates of the trunk and of the head from step to step, without training.

        An epoch has `steps_per_epoch` steps, or as many as so many train `pictures` make in batches of the
        recipe's; 100 where neither is said. `plot` is an SVG file to draw the rates into. Raises
        InvalidRecipe for a schedule or an option that there is not.
        """
        rates.check_plot(plot)
        plan = trace_from(self._store, recipe, settings).recipe
        with placing(self._store, recipe, settings, plan):
            return rates.plan_rates(plan, pictures=pictures, steps_per_epoch=steps_per_epoch, plot=plot)

    def find_lr(
        self,
        dataset: str | Path,
        *,
        model: str | None = None,
        strategy: str | None = None,
        recipe: Recipe | str | Path | None = None,
        settings: Iterable[str] = (),
        steps: int = SEARCH_STEPS,
        plot: Path | None = None,
    ) -> FoundRate:
        """Search for the base rate at which the loss falls fastest, on the first steps of a fine-tuning.

        The rate grows from step to step, and the search ends where the loss blows up. There is no run of it,
        and what was learned is forgotten. `dataset`, `model`, `strategy`, `recipe` and `settings` are those
        of `Workspace.finetune`; `plot` is an SVG file to draw the losses into. Raises InvalidRecipe for a
        probe, which is fitted without rates.
        """
        rates.check_plot(plot)
        plan = make_plan(find(self._store, recipe), settings, model=model, strategy=strategy)
        with placing(self._store, recipe, settings, plan):
            rates.check_search(plan, steps)
            ready = make_ready(self._store, self._datasets, dataset, plan, self._progress)
        return rates.search(self._store, ready, steps=steps, plot=plot, progress=self._progress)


def _setting(key: str, value: str | bool) -> str:
    return f"{key}={json.dumps(value)}"


def _place(key: str) -> Place:
    return tuple(key.split("."))


def _written_out(place: Place, value: object) -> object:
    """Write a value in one way: an entry that is a bare name says the same as a table with that name."""
    if isinstance(value, str) and is_entry(place):
        return {"name": value}
    if isinstance(value, list | tuple):
        return [_written_out((*place, number), part) for number, part in enumerate(value)]
    return value


def _said(traced: Traced) -> dict[str, Said]:
    return {
        f"{section}.{key}": Said(
            key=f"{section}.{key}",
            value=value,
            origins=tuple(map(str, origins)),
            default=all(origin.kind == "default" for origin in origins),
        )
        for section, values in traced.recipe.model_dump().items()
        for key, value in values.items()
        if (origins := traced.within(f"{section}.{key}"))
    }


def _advised(plan: Recipe, advice: Iterable[Advice], *, header: str) -> str:
    document: dict[str, dict[str, object]] = {}
    if plan.model.ref != Recipe().model.ref:
        document["model"] = {"ref": plan.model.ref}
    for one in advice:
        section, _, key = one.key.partition(".")
        document.setdefault(section, {})[key] = one.value
    return write(document, header=header, comments={one.key: one.why for one in advice})
