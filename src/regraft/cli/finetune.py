"""`regraft finetune`: the first thing that a person types."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.output import facts, with_workspace
from regraft.data.ingest import Added
from regraft.records import DatasetVersion, Report, Version
from regraft.reports.text import summary
from regraft.reports.words import classes, number, pictures, printable
from regraft.workspace.main import FinetuneResult, Workspace

#: Refused files that the screen names.
_SHOWN = 5


def show(result: FinetuneResult) -> str:
    """Write the result on one screen: what was read, the number, where the report is, what to type next."""
    name = result.model.partition(":")[0]
    lines = describe(result.dataset, result.added)
    lines += ["", summary(result.report), ""]
    lines += [f"note    {printable(note)}" for note in (*result.warnings, *_notes(result.report))]
    found = result.checkup.findings
    lines += [f"check   {printable(one.title)}" for one in found if one.severity == "warning"]
    pages = [("checkup", result.page.with_name("checkup.html"))] if found else []
    lines += [
        facts(
            [
                ("model", result.model),
                ("report", result.page),
                *pages,
                ("next", f"regraft predict {name} NEW.jpg"),
                ("", f"regraft report open {name}"),
                ("", f"regraft dataset info {result.dataset.name}"),
            ]
        )
    ]
    return "\n".join(lines)


def _notes(report: Report) -> list[str]:
    """Return the report's notes, and whether a baseline does as well."""
    better = [b for b in report.baselines if b.accuracy >= report.accuracy]
    return [
        *report.notes,
        *(f"{b.name.capitalize()} does as well or better: {b.accuracy:.1%}." for b in better),
    ]


def describe(dataset: Version, added: Added | None) -> list[str]:
    """Say what was read and what was passed over."""
    record = dataset.read(DatasetVersion)
    splits = ", ".join(f"{count:,} {split}" for split, count in record.split_sizes().items())
    state = "" if added is None else ("new version" if added.new else "unchanged")
    lines = [
        f"{dataset}  {pictures(record.count)} of {classes(len(record.labels))} ({splits})"
        + (f", {state}" if state else "")
    ]
    if added is not None and added.gone:
        lines.append(f"  left out, since the source does not have them any more: {added.gone:,}")
    if added is not None:
        lines += [f"  {printable(gap)}" for gap in _gaps(record)]
    if added is not None and added.ignored:
        words = ", ".join(f"{count} {kind}" for kind, count in sorted(added.ignored.items()))
        lines.append(f"  passed over: {words}")
    if added is not None and added.refused:
        lines.append(f"  {number(len(added.refused), 'file')} cannot be used:")
        lines += [f"    {printable(item.key)}: {printable(item.reason)}" for item in added.refused[:_SHOWN]]
        if len(added.refused) > _SHOWN:
            lines.append(f"    ... all of them: regraft dataset info {dataset.name}")
    return lines


def _gaps(record: DatasetVersion) -> list[str]:
    """Name the classes that a split lacks, or that stand in other splits than train alone."""
    gaps = [
        f"class {label!r} has no pictures in {split!r}"
        for split, labels in record.splits.items()
        for label in record.labels
        if label not in labels
    ]
    return [*gaps[:_SHOWN], f"... and {len(gaps) - _SHOWN} more"] if len(gaps) > _SHOWN else gaps


@click.command()
@click.argument("dataset")
@click.option("--model", help="Begin with: timm:NAME, hf:OWNER/NAME, file:PATH, a URL, one of yours.")
@click.option(
    "--strategy", help="probe, full, partial, lp-ft, gradual, adapters or scratch.  [default: probe]"
)
@click.option("--epochs", type=int, metavar="N", help="Epochs of training; a probe has none.  [default: 10]")
@click.option("--recipe", type=click.Path(path_type=Path), help="Recipe file (TOML).")
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Change a value of the recipe.")
@click.option("--name", help="Name of the new model.  [default: the dataset's]")
@click.option(
    "--devices", type=int, default=1, metavar="N", help="Share each batch out among N GPUs, or processes."
)
@with_workspace(show)
def finetune(
    workspace: Workspace,
    dataset: str,
    model: str | None,
    strategy: str | None,
    epochs: int | None,
    recipe: Path | None,
    settings: tuple[str, ...],
    name: str | None,
    devices: int,
) -> FinetuneResult:
    """Fine-tune a pretrained model on DATASET and measure it.

    DATASET is a folder with one folder of pictures for each class, with or without train, val and test
    above them; or a dataset of the workspace; or `digits`, a small set that comes along.
    """
    return workspace.finetune(
        dataset,
        model=model,
        strategy=strategy,
        epochs=epochs,
        recipe=recipe,
        settings=settings,
        name=name,
        devices=devices,
    )
