"""Check a recipe against a dataset and a model before anything is spent, with the code that would spend it.

What has to be read for it, such as a folder of pictures, comes into a store that goes away again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from regraft.backends import elastic
from regraft.errors import InvalidRecipe, MismatchError, NotAllowedError, OfflineError, RegraftError
from regraft.hub.sources.find import architecture_of
from regraft.jobs import preflight
from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.recipe.drafts import DEFAULT
from regraft.recipe.mending import mend
from regraft.recipe.reading import Traced
from regraft.records import DatasetVersion, ModelVersion, Row, Version
from regraft.refs import parse
from regraft.store.aside import aside
from regraft.store.fetch import is_offline
from regraft.store.opening import Store
from regraft.store.tables import read_rows
from regraft.workspace import sources
from regraft.workspace.checked import Checked, Problem
from regraft.workspace.datasets import Datasets
from regraft.workspace.ready import budgeted

if TYPE_CHECKING:
    from regraft.jobs.rehearsal import Batching
    from regraft.jobs.remarks import Remark

T = TypeVar("T")

#: What is wrong with these does not keep a step from being tried, on random weights.
_WEIGHTS = ("model.ref", "model.weights")
#: What a workspace writes into.
_FOLDERS = ("", "blobs", "packs", "datasets", "models", "reports", "runs", "leases", "cache", "machines")


def check(
    store: Store,
    recipe: Recipe | str | Path | None,
    dataset: str | Path | None,
    *,
    settings: Iterable[str],
    devices: int,
    progress: Progress,
) -> Checked:
    """Find out all that is wrong, and what would be done; nothing that is read for it is kept."""
    traced, faults = _read(store, recipe, settings)
    work = _Check(store, traced, dataset, devices, progress)
    work.found += (work.problem(fault, "recipe") for fault in faults)
    if traced is not None:
        plan = budgeted(sources.find(store, recipe), traced)
        if any(problem.where == "train.strategy" for problem in work.found):
            # a net is tuned, so that all of the recipe is looked at
            plan = plan.model_copy(update={"train": plan.train.model_copy(update={"strategy": "full"})})
        work.all(plan)
    return replace(work.checked, problems=tuple(work.found), notes=tuple(work.notes))


def _read(
    store: Store, recipe: Recipe | str | Path | None, settings: Iterable[str]
) -> tuple[Traced | None, list[RegraftError]]:
    try:
        source = sources.find(store, recipe)
    except RegraftError as error:  # of a run
        return None, [error]
    return mend(source, settings, given="" if source is recipe else str(recipe))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Case:
    """What is checked, as far as it was found."""

    plan: Recipe
    data: DatasetVersion | None = None
    model: ModelVersion | None = None
    rows: Sequence[Row] = ()

    @property
    def smallest_class(self) -> int:
        return preflight.smallest_class(self.data) if self.data else 2

    @property
    def measured(self) -> str:
        return (preflight.held_out(self.data) or "") if self.data else ""


class _Check:
    """A check under way."""

    def __init__(
        self,
        store: Store,
        traced: Traced | None,
        dataset: str | Path | None,
        devices: int,
        progress: Progress,
    ) -> None:
        self._store = store
        self._traced = traced
        self._dataset = dataset
        self._devices = devices
        self._progress = progress
        self.found: list[Problem] = []
        self.notes: list[Remark] = []
        self.checked = Checked()

    def problem(self, error: RegraftError, where: str = "") -> Problem:
        """Write an error down, with the place of the key that it is about: its own, or else `where`."""
        key = error.where if isinstance(error, InvalidRecipe) and error.where else where
        message, origin = str(error), self._traced.origin(key) if self._traced and key else DEFAULT
        if origin.kind in ("file", "preset") and not message.startswith(f"{origin}: "):
            message = f"{origin}: {message}"
        return Problem(where=key, message=message, hint=error.hint)

    def ask(self, question: Callable[[], T], where: str = "") -> T | None:
        """Return an answer, or write down what was raised in its place."""
        try:
            return question()
        except RegraftError as error:
            self.found.append(self.problem(error, where))
            return None

    def note(self, words: str, where: str = "") -> None:
        """Write a doubt down."""
        from regraft.jobs.remarks import Remark  # torch, as below

        self.notes.append(Remark(where=where, words=words))

    def all(self, plan: Recipe) -> None:
        """Ask all there is to ask of a recipe that can be read."""
        self.checked = replace(self.checked, strategy=plan.train.strategy)
        self.ask(lambda: elastic.check(self._devices, plan), "devices")
        self.ask(lambda: preflight.check_budget(plan))
        if plan.train.tunes:  # with a budget some of a recipe would stay open
            plan = plan.model_copy(update={"train": plan.train.model_copy(update={"budget": 0.0})})
        self.ask(lambda: _check_writable(self._store), "workspace")
        if any(problem.where == "workspace" for problem in self.found):
            self._recipe(_Case(plan=plan))
            return
        with aside(self._store) as beside:
            data = self._read_dataset(beside, plan)
            version = self._find_model(beside, plan)
            case = _Case(
                plan=plan,
                data=data,
                model=version.read(ModelVersion) if version else None,
                rows=tuple(read_rows(beside.blobs, data.segments)) if data else (),
            )
            self._recipe(case)
            if case.model is not None:
                self._run(beside, case, case.model)

    def _read_dataset(self, beside: Store, plan: Recipe) -> DatasetVersion | None:
        """Read the dataset, or the folder; say what is wrong with it."""
        if self._dataset is None:
            self.note(
                "Without a dataset nothing can be said of classes and time; epochs of 100 steps are assumed."
            )
            return None
        named = self._dataset
        answer = self.ask(lambda: Datasets(beside, self._progress).resolve(named, plan), "dataset")
        if answer is None:
            return None
        from regraft.jobs import rehearsal  # torch: seconds that who asks for a check has

        version, added = answer
        record = version.read(DatasetVersion)
        stored = added is None or not added.new
        self.found += [self.problem(fault, "dataset") for fault in preflight.faults(beside, record)]
        data = rehearsal.data(str(named), version, stored=stored)
        self.checked = replace(self.checked, data=data)
        for words in (
            *preflight.lost(beside, record),
            *(preflight.notes(record, data.measured) if data.measured else ()),
        ):
            self.note(words)
        return record

    def _find_model(self, beside: Store, plan: Recipe) -> Version | None:
        """Find the model, or a net of its architecture where its weights are not here."""
        model, scratch = plan.model, plan.train.strategy == "scratch"
        needed = ""

        def find(*, pretrained: bool) -> Version:
            return fetch(
                beside,
                parse(model.ref),
                weights=model.weights if pretrained else "",
                prefix=model.weights_prefix if pretrained else "",
                architecture=model.architecture if pretrained else "",
                partial=model.partial,
                pretrained=pretrained,
                progress=self._progress,
            )

        version: Version | None = None
        try:
            version = find(pretrained=not scratch)
        except OfflineError as error:
            needed = error.hint
            if is_offline():
                self.found.append(self.problem(error, "model.ref"))
            else:
                self.note("The weights are not on this machine: a fine-tuning fetches them.")
        except RegraftError as error:
            lacking = model.weights and not Path(model.weights).expanduser().is_file()
            unfit = model.weights and isinstance(error, MismatchError)
            self.found.append(self.problem(error, "model.weights" if lacking or unfit else "model.ref"))
        real = version is not None
        if version is None:
            version = self._stand_in(lambda: find(pretrained=False), plan)
        if version is None:
            return None
        from regraft.jobs import rehearsal

        base = rehearsal.base(model.ref, version.read(ModelVersion), here=real, needed=needed)
        self.checked = replace(self.checked, base=base)
        return version

    def _stand_in(self, find: Callable[[], Version], plan: Recipe) -> Version | None:
        """Return the net with random weights, where its name tells what it is."""
        try:
            return find() if architecture_of(parse(plan.model.ref)) else None
        except RegraftError:
            return None  # what is wrong with its name has been said

    def _recipe(self, case: _Case) -> None:
        """Ask whether all exists that the recipe names, and suits the net and the classes."""
        from regraft.jobs import recipe_check, remarks, soup

        model, data = case.model, case.data
        if case.plan.train.strategy == "probe":
            self.notes += remarks.of_probe(case.plan)
        if not case.plan.train.tunes:
            return
        settled = preflight.settle(model, case.plan, smallest_class=case.smallest_class)
        self.found += (self.problem(fault, "model.synonyms") for fault in recipe_check.names(settled))
        if model is not None:
            self.found += map(self.problem, recipe_check.fit(model.architecture, settled))
        if model is not None and data is not None and self.checked.base and self.checked.base.here:
            faults = recipe_check.reuse(model, settled, data.labels)
            self.found += (self.problem(fault, "model.reuse_labels") for fault in faults)
        if settled.train.soup and case.measured:
            self.ask(lambda: soup.check(case.rows, settled, measured=case.measured))

    def _run(self, beside: Store, case: _Case, model: ModelVersion) -> None:
        """Work out what the run would do; a first step is taken where nothing has been found wrong."""
        from regraft.jobs import recipe_check, rehearsal, remarks

        if any(problem.where not in _WEIGHTS for problem in self.found):
            return

        def resolve() -> Recipe:
            with recipe_check.taken(model.architecture):
                return preflight.resolve(
                    beside, model, case.plan, smallest_class=case.smallest_class, progress=self._progress
                )

        recipe = self.ask(resolve, "workspace")
        if recipe is None:
            return
        labels = (case.data.labels if case.data else model.labels) or ("0", "1")
        found = self.ask(
            lambda: rehearsal.rehearse(
                model, recipe, case.rows, labels, measured=case.measured, devices=self._devices
            )
        )
        if found is None:
            return
        self.checked = replace(
            self.checked,
            learning=found.learning,
            batches=found.batches,
            rates=found.rates,
            choosing=found.choosing,
        )
        self.notes += remarks.of_run(found, self.checked.data, recipe)
        base = self.checked.base
        if base is not None and base.here and case.data and recipe.model.reuse_labels and found.rates:
            base = replace(base, reused=rehearsal.reused(model, recipe, labels))
            self.checked = replace(self.checked, base=base)
        share = max(found.batches.shares)
        at_once = min(recipe.train.micro_batch or share, share)
        self._try(beside, case, model, recipe, labels, found.batches, at_once)

    def _try(
        self,
        beside: Store,
        case: _Case,
        model: ModelVersion,
        recipe: Recipe,
        labels: tuple[str, ...],
        batches: Batching,
        share: int,
    ) -> None:
        """Take a first step on so many pictures, and work out what all of them cost."""
        from regraft.jobs import costs, remarks, trial

        train = [row for row in case.rows if row.split == "train"]
        step = self.ask(
            lambda: trial.try_step(beside, model, recipe, train, labels, self._progress, share=share)
        )
        if step is None:
            return
        data, choosing = self.checked.data, self.checked.choosing
        cost = costs.cost(
            step,
            recipe,
            pictures=batches.steps * batches.batch_size if batches.pictures is None else batches.pictures,
            looked_at=choosing.pictures if choosing else 0,
            devices=self._devices,
        )
        new = data.size if data and not data.stored else 0
        room = costs.room(self._store, model, recipe, case.rows, step, dataset=new)
        self.checked = replace(self.checked, cost=cost, room=room)
        self.notes += remarks.of_memory(cost, share)
        self.ask(lambda: costs.check_room(room), "workspace")


def _check_writable(store: Store) -> None:
    """Raise NotAllowedError or StorageError where a run could not write into the workspace."""
    for name in _FOLDERS:
        folder = store.root / name
        if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
            raise NotAllowedError(
                f"Nothing can be written into {str(folder)!r}.",
                hint="Change its permissions, or choose another place with --workspace DIR or REGRAFT_HOME.",
            )
    with aside(store):
        pass  # a full disk, and one that is read-only, refuse here
