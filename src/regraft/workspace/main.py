"""The workspace: an open store, and the verbs that join the nouns."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from regraft import durable
from regraft.backends import elastic, local
from regraft.data.ingest import Added
from regraft.data.sources.readers import expand
from regraft.engine import gates
from regraft.engine.gates import Verdict
from regraft.errors import InvalidError
from regraft.jobs import explain, predict, preflight
from regraft.jobs.fetch import fetch
from regraft.progress import Progress, silent
from regraft.recipe import Recipe
from regraft.records import (
    Checkup,
    DatasetVersion,
    Explanation,
    ModelVersion,
    Prediction,
    Report,
    RunRecord,
    Version,
)
from regraft.refs import check_name, parse
from regraft.store.opening import Store, is_url, open_store
from regraft.workspace.datasets import Datasets, read_checkup, split_rule
from regraft.workspace.models import Models
from regraft.workspace.ready import make_plan, make_ready
from regraft.workspace.recipes import Recipes
from regraft.workspace.reports import Reports
from regraft.workspace.runs import Runs
from regraft.workspace.sources import find, placing
from regraft.workspace.store import StoreDoor


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
    #: What the doctor says of the dataset.
    checkup: Checkup
    warnings: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class EvaluateResult:
    """What an evaluation gave."""

    report: Report
    page: Path
    dataset: Version
    added: Added | None
    run: RunRecord
    #: Whether what was required is met.
    gates: tuple[Verdict, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ExplainResult:
    """Why a model says what it says."""

    #: One for each picture, in order.
    explanations: tuple[Explanation, ...]
    #: All of them as a page, with heat over the pictures.
    page: Path


class Workspace:
    """Datasets, models, runs and reports in one folder, and what can be done with them."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._progress = progress
        self.datasets = Datasets(store, progress)
        self.models = Models(store, progress)
        self.runs = Runs(store, progress)
        self.recipes = Recipes(store, progress)
        self.reports = Reports(store)
        self.store = StoreDoor(store, progress)

    @property
    def path(self) -> Path:
        """The folder of the workspace; of one in a bucket, the folder beside it on this machine."""
        return self._store.root

    def finetune(
        self,
        dataset: str | Path,
        *,
        model: str | None = None,
        strategy: str | None = None,
        epochs: int | None = None,
        recipe: Recipe | str | Path | None = None,
        settings: Iterable[str] = (),
        name: str | None = None,
        devices: int = 1,
        budget: str | float | None = None,
    ) -> FinetuneResult:
        """Fine-tune a pretrained model on a dataset, or a folder of class folders, and measure it.

        `recipe` is a file, the name of a preset, or `run:ID`, what a run was trained by. `strategy` and
        `epochs` stand for those of its section `train`, `settings` for any change of
        it, such as `train.seed=1`; `name` is what the new model is
        called, by default like the dataset. On `devices` GPUs, or in so many processes where there are
        none, each batch is shared out: the recipe's batches stay as large as they are. `budget` is how long
        strategy `auto` may look for what is best, from the beginning of the call to its end: `"5m"`, or 300.
        """
        began = time.monotonic()
        settings = tuple(settings)
        plan = make_plan(
            find(self._store, recipe), settings, model=model, strategy=strategy, epochs=epochs, budget=budget
        )
        elastic.check(devices, plan)
        if name is not None:
            check_name(name)
        with placing(self._store, recipe, settings, plan):
            ready = make_ready(self._store, self.datasets, dataset, plan, self._progress)
        version, base = ready.dataset, ready.model
        run = self._store.journal.create(
            "finetune",
            inputs=_inputs(base, version)
            | {"name": name or version.name, "split": ready.checked.split}
            | ({"devices": str(devices)} if devices > 1 else {})
            | ({"spent": f"{time.monotonic() - began:.1f}"} if plan.train.budget else {}),
            recipe=_portable(ready.checked.recipe, base).model_dump(mode="json"),
        )
        record = local.submit(self._store, run, self._progress)
        return FinetuneResult(
            model=record.outputs["model"],
            report=self.reports.get(record.outputs["report"]),
            page=run.path / "report.html",
            dataset=version,
            added=ready.added,
            run=record,
            checkup=read_checkup(run),
            warnings=(*_kept_splits(ready.added, plan), *ready.checked.warnings),
        )

    def evaluate(
        self,
        model: str,
        dataset: str | Path,
        *,
        split: str | None = None,
        renames: Mapping[str, str] | None = None,
        require: Sequence[str] = (),
    ) -> EvaluateResult:
        """Measure a model on a dataset or a folder; pictures that it learned from are left out.

        The split may stand behind the dataset: `photos@val`. Without one: the test split of a dataset that
        the model was made from or that came with splits, and all pictures of any other. Labels are matched
        by name; `renames` says which label of the model another label of the dataset is. `require` names what
        the model has to reach: `accuracy >= 0.9`, `recall[cat].low >= 0.8`.
        """
        base = self._fetch(model)
        gates.check(require, base.read(ModelVersion).labels)
        dataset, split = _apart(dataset, split)
        version, added = self.datasets.resolve(dataset, Recipe())
        chosen = split or preflight.default_split(self._store, base.read(ModelVersion), version)
        known = (*version.read(DatasetVersion).split_sizes(), "all")
        if chosen not in known:
            raise InvalidError(
                f"The dataset {str(version)!r} has no split {chosen!r}.",
                hint=f"It has {', '.join(known[:-1])}; 'all' is every picture.",
                where=chosen,
            )
        run = self._store.journal.create(
            "evaluate",
            inputs=_inputs(base, version)
            | {"split": chosen}
            | ({"renames": json.dumps(dict(renames))} if renames else {}),
            recipe={},
        )
        done = local.submit(self._store, run, self._progress)
        report = self.reports.get(done.outputs["report"])
        return EvaluateResult(
            report=report,
            gates=gates.judge(require, report.metrics),
            page=run.path / "report.html",
            dataset=version,
            added=added,
            run=done,
        )

    def predict(
        self,
        model: str,
        pictures: str | Path | Sequence[str | Path],
        *,
        top: int = 3,
        coverage: float | None = None,
    ) -> tuple[Prediction, ...]:
        """Name what is in pictures, or in the pictures of folders: the `top` likeliest labels of each.

        With `coverage`, such as 0.95, each has in `labels` the set among which the true label is so often.
        `unknown` says whether a picture is unlike those that the model learned from, where it can tell.
        """
        return predict.predict(
            self._store,
            self._fetch(model),
            _paths(pictures),
            top=top,
            coverage=coverage,
            progress=self._progress,
        )

    def explain(
        self,
        model: str,
        pictures: str | Path | Sequence[str | Path],
        *,
        label: str | None = None,
        coverage: float = 0.95,
        nearest: int = 6,
        out: str | Path | None = None,
    ) -> ExplainResult:
        """Explain what a model says of pictures, or of those in folders, in words and on a page.

        It tells where in the picture the net looks for `label`, else for the likeliest one; the `nearest`
        pictures that the model learned from; the set of labels of this `coverage`; whether the picture is
        unlike all of them, and what is odd about it. The page is written to `out`, or into the cache.
        """
        told, text = explain.explain(
            self._store,
            self._fetch(model),
            _paths(pictures),
            label=label,
            coverage=coverage,
            nearest=nearest,
            progress=self._progress,
        )
        name = f"explanation-{sha256(text.encode()).hexdigest()[:16]}.html"
        page = self._store.cache / "pages" / name if out is None else expand(out).absolute()
        durable.swap(page, text.encode(), point="page")
        return ExplainResult(explanations=told, page=page)

    def _fetch(self, model: str) -> Version:
        return fetch(self._store, parse(model), weights="", progress=self._progress)


def open(path: str | Path | None = None, *, progress: Progress = silent) -> Workspace:  # noqa: A001
    """Open the workspace at `path`, else the environment's REGRAFT_HOME, else `~/.regraft`.

    It is a folder, or `s3://BUCKET/PREFIX`: then runs and caches are kept in a folder of this machine.
    """
    place = path or os.environ.get("REGRAFT_HOME") or "~/.regraft"
    return Workspace(open_store(place if is_url(place) else expand(place).absolute()), progress)


def _apart(dataset: str | Path, split: str | None) -> tuple[str | Path, str | None]:
    """Take the split off the words that name a dataset, where one stands behind an @."""
    words, at, asked = str(dataset).rpartition("@")
    if not at or isinstance(dataset, Path) or is_url(dataset) or expand(dataset).exists():
        return dataset, split
    if split is not None and split != asked:
        raise InvalidError(
            f"{dataset!r} names a split, and {split!r} is another.", hint="Say one of the two."
        )
    return words, asked


def _paths(pictures: str | Path | Sequence[str | Path]) -> list[Path]:
    listed = [pictures] if isinstance(pictures, str | Path) else pictures
    if not all(str(picture).strip() for picture in listed):
        raise InvalidError("A picture has no name.", hint="Name picture files, or folders with some.")
    return [expand(picture) for picture in listed]


def _portable(recipe: Recipe, base: Version) -> Recipe:
    """Name the model by its version, and leave out where its weights lie on this machine."""
    # a file lies where it lies on this machine alone
    ref = recipe.model.ref if parse(recipe.model.ref).source not in ("", "file") else str(base)
    # what the weights were read by is written down in the model's manifest
    taken = {"weights": "", "weights_prefix": "", "architecture": "", "partial": False}
    model = recipe.model.model_copy(update={"ref": ref, **taken})
    return recipe.model_copy(update={"model": model})


def _kept_splits(added: Added | None, plan: Recipe) -> list[str]:
    """Say so where the recipe asks for other splits than the dataset has had from its first version on."""
    if added is None or not added.record.split_rule.fractions or added.record.split_rule == split_rule(plan):
        return []
    return [f"The splits of {added.version.name!r} stay as they were made; under another name they are new."]


def _inputs(model: Version, dataset: Version) -> dict[str, str]:
    return {
        "model": str(model),
        "model_digest": model.digest,
        "dataset": str(dataset),
        "dataset_digest": dataset.digest,
    }
