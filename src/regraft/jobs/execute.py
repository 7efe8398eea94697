"""Execute a run that stands in the journal: a store and a run id are all that it takes."""

from __future__ import annotations

import json
from collections.abc import Callable

from regraft.engine import memory
from regraft.errors import IntegrityError
from regraft.jobs.evaluate import measure
from regraft.jobs.finetune import finetune
from regraft.progress import Progress
from regraft.recipe import recorded
from regraft.records import Kind, Report, Version
from regraft.refs import parse
from regraft.store.journal import Run
from regraft.store.leases import lease
from regraft.store.opening import Store


def execute(
    store: Store, run: Run, progress: Progress, launch: Callable[[], None] | None = None
) -> dict[str, str]:
    """Do what a run says and return its outputs by name; `launch` trains in several processes."""
    try:
        with lease(store.storage):
            return _execute(store, run, progress, launch)
    finally:
        memory.release_memory()  # gigabytes, which a process that lives on would hold


def _execute(store: Store, run: Run, progress: Progress, launch: Callable[[], None] | None) -> dict[str, str]:
    record = run.record
    dataset = _pinned(store, "datasets", record.inputs["dataset"], record.inputs["dataset_digest"])
    if record.kind == "check":
        from regraft.jobs.check import check

        quick = record.inputs["quick"] == str(True)
        found = check(store, run, dataset=dataset, quick=quick, progress=progress)
        return {"findings": str(len(found.findings))}
    model = _pinned(store, "models", record.inputs["model"], record.inputs["model_digest"])
    split = record.inputs["split"]
    outputs = {}
    if record.kind == "finetune":
        model, report = finetune(store, run, model=model, dataset=dataset, progress=progress, launch=launch)
        outputs["model"] = str(model)
    else:
        renames = json.loads(record.inputs.get("renames", "{}"))
        report = measure(store, model, dataset, split=split, renames=renames, progress=progress)
    measured = report.read(Report).metrics
    run.metric(split=split, accuracy=measured.accuracy, log_loss=measured.log_loss)
    return {**outputs, "report": str(report)}


def train_along(store: Store, run: Run, progress: Progress) -> None:
    """Do one process's share of a run's training; the process that holds the run has begun it."""
    from regraft.jobs import tune  # torch and timm

    inputs = run.record.inputs
    with lease(store.storage):
        model = _pinned(store, "models", inputs["model"], inputs["model_digest"])
        dataset = _pinned(store, "datasets", inputs["dataset"], inputs["dataset_digest"])
        recipe = recorded(run.record)
        tune.train_along(
            tune.describe(store, run, model, dataset, recipe, split=inputs["split"], progress=progress)
        )


def _pinned(store: Store, kind: Kind, ref: str, digest: str) -> Version:
    version = store.catalog.find(kind, parse(ref))
    if version.digest != digest:
        raise IntegrityError(f"{ref} is not what it was when the run began.")
    return version
