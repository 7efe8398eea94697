"""The workspace: an open store, and the verbs that join the nouns."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from regraft.backends import local
from regraft.data.ingest import Added
from regraft.jobs import predict, preflight
from regraft.jobs.fetch import fetch
from regraft.progress import Progress, silent
from regraft.recipe import Recipe
from regraft.recipe import read as read_recipe
from regraft.records import DatasetVersion, ModelVersion, Prediction, Report, RunRecord, Version
from regraft.refs import check_name, parse
from regraft.store.opening import Store, open_store
from regraft.workspace.datasets import Datasets
from regraft.workspace.models import Models
from regraft.workspace.reports import Reports
from regraft.workspace.runs import Runs


@dataclass(frozen=True, kw_only=True)
class FinetuneResult:
    """What a fine-tuning gave."""

    #: The new model, as a ref: `photos:v1`.
    model: str
    report: Report
    #: The report as a page.
    page: Path
    dataset: Version
    #: What was added, where the dataset was given as a folder.
    added: Added | None
    run: RunRecord
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluateResult:
    """What an evaluation gave."""

    report: Report
    page: Path
    dataset: Version
    added: Added | None
    run: RunRecord


class Workspace:
    """Datasets, models, runs and reports in one folder, and what can be done with them."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self.datasets = Datasets(store, progress)
        self.models = Models(store, progress)
        self.runs = Runs(store)
        self.reports = Reports(store)

    @property
    def path(self) -> Path:
        """The folder of the workspace."""
        return self._store.root

    def finetune(
        self,
        dataset: str | Path,
        *,
        model: str | None = None,
        recipe: Recipe | Path | None = None,
        settings: Iterable[str] = (),
        name: str | None = None,
    ) -> FinetuneResult:
        """Fine-tune a pretrained model on a dataset, or a folder of class folders, and measure it.

        `settings` are changes to the recipe such as `train.seed=1`; `name` is what the new model is
        called, by default like the dataset.
        """
        plan = recipe if isinstance(recipe, Recipe) else read_recipe(recipe, settings)
        if model is not None:
            plan = plan.model_copy(update={"model": plan.model.model_copy(update={"ref": model})})
        if name is not None:
            check_name(name)
        version, added = self.datasets.resolve(dataset, plan)
        base = fetch(self._store, parse(plan.model.ref), weights=plan.model.weights, progress=self._progress)
        ready = preflight.check(self._store, version.read(DatasetVersion), base.read(ModelVersion), plan)
        run = self._store.journal.create(
            "finetune",
            inputs=_inputs(base, version) | {"name": name or version.name, "split": ready.split},
            recipe=ready.recipe.model_dump(mode="json"),
        )
        record = local.submit(self._store, run, self._progress)
        return FinetuneResult(
            model=record.outputs["model"],
            report=self.reports.get(record.outputs["report"]),
            page=run.path / "report.html",
            dataset=version,
            added=added,
            run=record,
            warnings=ready.warnings,
        )

    def evaluate(self, model: str, dataset: str | Path, *, split: str | None = None) -> EvaluateResult:
        """Measure a model on a dataset or a folder; pictures that it learned from are left out.

        Without `split`: the test split of a dataset that the model was made from or that came with
        splits, and all pictures of any other.
        """
        base = self._fetch(model)
        version, added = self.datasets.resolve(dataset, Recipe())
        record = version.read(DatasetVersion)
        chosen = split or preflight.default_split(self._store, base.read(ModelVersion), record)
        run = self._store.journal.create(
            "evaluate", inputs=_inputs(base, version) | {"split": chosen}, recipe={}
        )
        done = local.submit(self._store, run, self._progress)
        return EvaluateResult(
            report=self.reports.get(done.outputs["report"]),
            page=run.path / "report.html",
            dataset=version,
            added=added,
            run=done,
        )

    def predict(self, model: str, pictures: Sequence[str | Path], *, top: int = 3) -> tuple[Prediction, ...]:
        """Name what is in pictures, or in the pictures of folders: the `top` likeliest labels of each."""
        paths = [Path(picture) for picture in pictures]
        return predict.predict(self._store, self._fetch(model), paths, top=top, progress=self._progress)

    def _fetch(self, model: str) -> Version:
        return fetch(self._store, parse(model), weights="", progress=self._progress)


def open(path: str | Path | None = None, *, progress: Progress = silent) -> Workspace:  # noqa: A001
    """Open the workspace in a folder: `path`, else the environment's REGRAFT_HOME, else `~/.regraft`."""
    root = Path(path or os.environ.get("REGRAFT_HOME") or Path.home() / ".regraft").expanduser()
    return Workspace(open_store(root.absolute()), progress)


def _inputs(model: Version, dataset: Version) -> dict[str, str]:
    return {
        "model": str(model),
        "model_digest": model.digest,
        "dataset": str(dataset),
        "dataset_digest": dataset.digest,
    }
