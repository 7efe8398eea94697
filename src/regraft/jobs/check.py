"""Check a dataset: what was measured of its pictures, and what a net thinks of their labels."""

from __future__ import annotations

import numpy as np

from regraft import durable
from regraft.data import doctor
from regraft.data.assembly import open_rows, read_refused
from regraft.data.doctor import Patient
from regraft.data.measured import Measured
from regraft.engine import probe
from regraft.engine.predict import Floats
from regraft.jobs.features import features_of
from regraft.jobs.fetch import fetch
from regraft.jobs.precision import fastest_precision
from regraft.jobs.show import thumbnail
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import Checkup, DatasetVersion, Finding, ModelVersion, Version, encode
from regraft.refs import parse
from regraft.reports import checkup as page
from regraft.reports import words
from regraft.store.journal import Run
from regraft.store.opening import Store


def check(store: Store, run: Run, *, dataset: Version, quick: bool, progress: Progress) -> Checkup:
    """Examine a dataset, and lay what was found into the run's folder, as a record and as a page."""
    found = examine(store, dataset, None if quick else out_of_fold(store, dataset, progress), progress)
    if quick:
        skipped = found.skipped | {"wrong-labels": "--quick left it out."}
        found = found.model_copy(update={"skipped": skipped})
    write(store, run, found, dataset)
    return found


def examine(store: Store, dataset: Version, probabilities: Floats | None, progress: Progress) -> Checkup:
    """Return what the doctor finds.

    `probabilities` [n, classes] of each row are those of a net that has not learned from it, NaN where there
    is none; without any, labels are not doubted.
    """
    record = dataset.read(DatasetVersion)
    rows = open_rows(store, record)
    patient = Patient(
        rows=list(rows),
        facts=Measured(store, rows, progress).facts(),
        refused=read_refused(store, record),
        labels=record.labels,
        given=not record.split_rule.fractions,
        probabilities=probabilities,
    )
    findings, checked, skipped = doctor.examine(patient, progress=progress)
    return Checkup(
        dataset_ref=str(dataset),
        dataset=dataset.digest,
        findings=tuple(_addressed(finding, dataset.name) for finding in findings),
        checked=checked,
        skipped=skipped,
    )


def _addressed(finding: Finding, name: str) -> Finding:
    """Write the dataset's name into the commands of an advice."""
    return finding.model_copy(update={"advice": finding.advice.replace(" NAME ", f" {name} ")})


def doubts(found: Checkup) -> tuple[str, ...]:
    """Return what makes the numbers that a dataset gives doubtful."""
    return tuple(finding.title for finding in found.findings if finding.severity == "error")


def out_of_fold(store: Store, dataset: Version, progress: Progress) -> Floats | None:
    """Return what heads on the default net say of pictures they have not seen; None of few pictures."""
    judged = judge(store, dataset, None, progress)
    return judged[1].out_of_fold if judged else None


def judge(
    store: Store, dataset: Version, model: ModelVersion | None, progress: Progress
) -> tuple[Floats, probe.Head] | None:
    """Return the features that a net, or the default one, has of each row, and the head that is fitted.

    None where there are too few pictures to hold some out.
    """
    recipe, record = Recipe(), dataset.read(DatasetVersion)
    labels, rows = record.labels, list(open_rows(store, record))
    if len(labels) < 2 or len(rows) < 2 * recipe.eval.folds:
        return None
    net = model or fetch(store, parse(recipe.model.ref), weights="", progress=progress).read(ModelVersion)
    features = features_of(
        store,
        net,
        rows,
        precision=net.precision or fastest_precision(store, net, progress),
        batch_size=recipe.train.batch_size,
        progress=progress,
    )
    index = {label: number for number, label in enumerate(labels)}
    head = probe.fit(
        features,
        np.array([index[row.label] for row in rows]),
        recipe.optim,
        families=[row.family for row in rows],
        folds=recipe.eval.folds,
        seed=recipe.train.seed,
        step=lambda done, total: progress("Doubting labels", done, total),
    )
    return features, head


def write(store: Store, run: Run, found: Checkup, dataset: Version) -> None:
    """Write a checkup into a run's folder: `checkup.json`, `checkup.html`."""
    record = dataset.read(DatasetVersion)
    shown = open_rows(store, record).find("digest", page.pictured(found))
    thumbnails = {row.digest: text for row in shown if (text := thumbnail(store, row))}
    sizes = ", ".join(f"{count:,} {split}" for split, count in record.split_sizes().items())
    facts = [
        ("dataset", str(dataset)),
        ("digest", dataset.digest),
        ("pictures", f"{record.count:,} of {len(record.labels)} classes ({sizes})"),
        ("refused", words.number(record.refused_count, "file")),
    ]
    durable.swap(run.path / "checkup.json", encode(found))
    durable.swap(run.path / "checkup.html", page.render(found, thumbnails, facts=facts).encode())
