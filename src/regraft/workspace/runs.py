"""Runs: what was executed, what became of it, and how it goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regraft.backends import local
from regraft.errors import ConflictError, InvalidError
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import Report, RunRecord
from regraft.refs import parse
from regraft.store.journal import Run
from regraft.store.opening import Store

#: Seconds between two looks at a run that is watched.
_PAUSE = 0.5
#: Seconds in which a run that was asked to stop should have ended: a step of a large net is slow.
_PATIENCE = 120.0


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """What a fine-tuning gave that was resumed or extended."""

    #: The new model, as a ref: `photos:v1`.
    model: str
    report: Report
    #: The report as a page.
    page: Path
    run: RunRecord


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
        return self._result(run, local.resume(self._store, run, self._progress, force=force))

    def extend(self, run_id: str, *, epochs: str | int) -> RunResult:
        """Train longer after the end, in a new run: `"+10"` is ten epochs more, `30` is thirty in all."""
        old = self._finetuning(run_id)
        record = old.record
        recipe = Recipe.model_validate(record.recipe)
        if recipe.train.strategy == "probe":
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
