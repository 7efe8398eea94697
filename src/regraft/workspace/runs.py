"""Runs: what was executed, what became of it, and how it goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.backends import local
from regraft.errors import ConflictError, InvalidError, NotFoundError
from regraft.progress import Progress
from regraft.recipe import recorded
from regraft.records import ModelVersion, Report, RunRecord
from regraft.refs import parse
from regraft.store.journal import Run
from regraft.store.opening import Store
from regraft.workspace import comparing
from regraft.workspace.comparing import RunComparison

#: Seconds between two looks at a run that is watched.
_PAUSE = 0.5
#: Seconds in which a run that was asked to stop should have ended: a step of a large net is slow.
_PATIENCE = 120.0
#: Numbers that differ by no more are the same.
TOLERANCE = 1e-6
#: How the name of a model ends that a run gave when it was done once more, and how long a name may be.
_AGAIN, _NAME = "-again", 100


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a fine-tuning gave that was resumed or extended."""

    #: The new model, as a ref: `photos:v1`.
    model: str
    report: Report
    #: The report as a page.
    page: Path
    run: RunRecord


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """What came of doing a run once more."""

    run: RunRecord
    comparison: RunComparison
    #: The model that it gave, under a name of its own; None of an evaluation.
    model: str | None
    #: The largest difference between two numbers of the reports; 0 where they are the same to the last bit.
    largest: float

    @property
    def same(self) -> bool:
        """Whether the numbers agree to 1e-6."""
        return self.largest <= TOLERANCE


class Runs:
    """The runs of a workspace."""

    def __init__(self, store: Store, progress: Progress) -> None:
        self._store = store
        self._journal = store.journal
        self._progress = progress

    def list(self) -> list[RunRecord]:
        """List all runs, the oldest first."""
        return [run.record for run in self._journal.runs()]

    def get(self, run_id: str) -> Run:
        """Return a run by its id, a unique beginning of it, or `latest`."""
        return self._journal.find(run_id)

    def watch(self, run_id: str) -> Iterator[dict[str, Any]]:
        """Yield the metrics of a run as they are written, until it ends."""
        run = self._journal.find(run_id)
        seen = 0
        while True:
            running = run.record.status == "running"  # asked first, so that the last lines are not missed
            for line in run.metrics(skip=seen):
                seen += 1
                yield line
            if not running:
                return
            time.sleep(_PAUSE)

    def resume(self, run_id: str, *, force: bool = False) -> RunResult:
        """Go on with a fine-tuning that failed, was interrupted, stopped or lost, from its last checkpoint.

        `force` takes a run over that is said to be at work on another machine. Raises ConflictError where
        the run is done or at work.
        """
        run = self._finetuning(run_id)
        recorded(run.record)  # before the run is opened again
        return self._result(run, local.resume(self._store, run, self._progress, force=force))

    def extend(self, run_id: str, *, epochs: str | int) -> RunResult:
        """Train longer after the end, in a new run: `"+10"` is ten epochs more, `30` is thirty in all."""
        old = self._finetuning(run_id)
        record = old.record
        recipe = recorded(record)
        if recipe.train.strategy == "auto":
            raise InvalidError(
                f"Run {old.id} cannot train longer: 'auto' finds out what to train, and for how long.",
                hint="Fine-tune again with more time: --budget 30m; or by one strategy: --strategy lp-ft",
            )
        if not recipe.train.tunes:
            raise InvalidError(
                f"Run {old.id} has no epochs: it fitted a head on a frozen net.",
                hint="Fine-tune more of the net: --set train.strategy=full",
            )
        if record.status != "done":
            raise ConflictError(
                f"Run {old.id} is not done, but {record.status}.",
                hint=f"Resume it first: regraft run resume {old.id}",
            )
        longer = recipe.train.model_copy(update={"epochs": _total(epochs, recipe.train.epochs)})
        run = self._journal.create(
            "finetune",
            inputs=record.inputs | {"extends": old.id},
            recipe=recipe.model_copy(update={"train": longer}).model_dump(mode="json"),
            begin=old.checkpoints(),
        )
        return self._result(run, local.submit(self._store, run, self._progress))

    def compare(self, first: str, second: str, *, plot: Path | None = None) -> RunComparison:
        """Put two runs beside each other: recipes, data, environments, curves and results.

        `plot` is an SVG file to draw their validation losses into. Raises ConflictError where a run is not
        done.
        """
        return comparing.compare(
            self._store, self._journal.find(first).record, self._journal.find(second).record, plot
        )

    def reproduce(self, run_id: str) -> Reproduction:
        """Do a run once more, from the same data, weights and recipe by digest, and say what differs.

        The model of the run stays the newest of its name: the new one is called `NAME-again`. The same
        processor and libraries give the same to the last bit; others may differ in the last digits. Of a
        search within a budget, what it came to is done once more, and not the search.
        Raises NotFoundError or IntegrityError where what it was made of is not there any more.
        """
        old = self._journal.find(run_id)
        record = old.record
        if record.status != "done" or "extends" in record.inputs:
            state = f"is not done, but {record.status}" if record.status != "done" else "goes on from another"
            raise ConflictError(
                f"Run {old.id} {state}.", hint="Reproduce a run that began at the beginning and ended."
            )
        if record.kind == "check":
            raise InvalidError(
                f"Run {old.id} measured nothing.", hint="Reproduce a fine-tuning or an evaluation."
            )
        inputs, recipe = dict(record.inputs), record.recipe
        if record.kind == "finetune" and recorded(record).train.budget:
            recipe = self._found(record, inputs)
        if "name" in inputs:  # what is fetched by name is no older model all of a sudden
            inputs["name"] = f"{inputs['name'][: _NAME - len(_AGAIN)]}{_AGAIN}"
        run = self._journal.create(record.kind, inputs=inputs, recipe=recipe)
        again = local.submit(self._store, run, self._progress)
        found = comparing.compare(self._store, record, again)
        return Reproduction(
            run=again, comparison=found, model=again.outputs.get("model"), largest=comparing.largest(found)
        )

    def _found(self, record: RunRecord, inputs: dict[str, str]) -> dict[str, Any]:
        """Return the recipe that a search came to, and let inputs name what it was that began with it."""
        made = self._store.catalog.find("models", parse(record.outputs["model"])).read(ModelVersion)
        if made.lineage is None:
            raise ValueError("a model that was fine-tuned has a lineage")
        base = self._store.catalog.find_digest("models", made.lineage.model)
        if base is None:
            raise NotFoundError(
                f"The model that {record.outputs['model']} was made from is not here any more."
            )
        inputs |= {"model": str(base), "model_digest": base.digest}
        inputs.pop("spent", None)
        return made.lineage.recipe

    def stop(self, run_id: str, *, wait: bool = True) -> RunRecord:
        """Ask a run to save what it has done and to end; unless `wait` is off, wait until it has.

        After two minutes it is waited for no longer: the request stands. Raises ConflictError where the run
        is not at work.
        """
        run = self._journal.find(run_id)
        record = run.record
        if record.status != "running":
            raise ConflictError(f"Run {run.id} is not running: it is {record.status}.")
        run.ask_to_stop()
        patience = time.monotonic() + (_PATIENCE if wait else 0)
        task = f"Stopping {run.id}"
        self._progress(task, 0, 1)
        while (record := run.record).status == "running" and time.monotonic() < patience:
            time.sleep(_PAUSE / 5)
        self._progress(task, 1, 1)
        return record

    def remove(self, run_id: str) -> RunRecord:
        """Remove a run with its log, metrics and checkpoints; the model and the report that it gave stay.

        Raises ConflictError where it is at work.
        """
        run = self._journal.find(run_id)
        record = run.record
        run.remove()
        return record

    def _finetuning(self, run_id: str) -> Run:
        run = self._journal.find(run_id)
        record = run.record
        if record.kind != "finetune":
            again = {
                "evaluate": "regraft evaluate {model} {dataset} --split {split}",
                "check": "regraft dataset check {dataset}",
            }
            raise InvalidError(
                f"Run {run.id} trains nothing that could go on: its kind is {record.kind!r}.",
                hint=f"Run it again: {again[record.kind].format_map(record.inputs)}",
            )
        return run

    def _result(self, run: Run, record: RunRecord) -> RunResult:
        report = self._store.catalog.find("reports", parse(record.outputs["report"]))
        return RunResult(
            model=record.outputs["model"],
            report=report.read(Report),
            page=run.path / "report.html",
            run=record,
        )


def _total(epochs: str | int, before: int) -> int:
    """Parse `+10` or `30` into the epochs in all."""
    words = re.fullmatch(r"(\+?)([0-9]{1,6})", str(epochs).strip())
    total = int(words[2]) + (before if words[1] else 0) if words else 0
    if total <= before:
        raise InvalidError(
            f"'epochs' cannot be {str(epochs)!r}: the run had {before}.",
            hint=f"Write +10 for ten more, or a number above {before} for so many in all.",
            where="epochs",
        )
    return total
