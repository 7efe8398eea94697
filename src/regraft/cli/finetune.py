"""`regraft finetune`: the first thing that a person types."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from regraft.cli.output import facts, with_workspace
from regraft.cli.run import show_result
from regraft.data.ingest import Added
from regraft.dialects.openmmlab import main as openmmlab
from regraft.dialects.openmmlab.translate import Imported
from regraft.records import DatasetVersion, Report, Version
from regraft.reports import board
from regraft.reports.text import summary
from regraft.reports.words import classes, looks, number, pictures, printable
from regraft.workspace.main import FinetuneResult, Workspace
from regraft.workspace.runs import RunResult

#: Refused files that the screen names.
_SHOWN = 5
#: So many models may be measured on a split before it is worth a word.
_FEW_LOOKS = 5


def show(result: FinetuneResult) -> str:
    """Write the result on one screen: what was read, the number, where the report is, what to type next."""
    name = result.model.partition(":")[0]
    lines = describe(result.dataset, result.added)
    lines += ["", summary(result.report), ""]
    if result.report.board is not None:
        lines += [*board.lines(result.report.board), ""]
    notes = (*result.warnings, *_notes(result.report), *many_looks(result.report.looks))
    lines += [f"note    {printable(note)}" for note in notes]
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


def many_looks(count: int) -> list[str]:
    """Say so where many models were measured on one split."""
    if count <= _FEW_LOOKS:
        return []
    return [looks(count)]


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


def show_any(result: FinetuneResult | RunResult) -> str:
    """Write the result of a new run, or of one that went on."""
    return show(result) if isinstance(result, FinetuneResult) else show_result(result)


@click.command()
@click.argument("words", nargs=-1, metavar="[DATASET]")
@click.option("--model", help="Begin with: timm:NAME, hf:OWNER/NAME, file:PATH, a URL, one of yours.")
@click.option(
    "--strategy", help="auto, probe, full, partial, lp-ft, gradual, adapters or scratch.  [default: auto]"
)
@click.option("--epochs", type=int, metavar="N", help="Epochs of training; a probe has none.  [default: 10]")
@click.option("--recipe", type=click.Path(path_type=Path), help="A TOML file, a preset, or run:ID.")
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Change a value of the recipe.")
@click.option("--name", help="Name of the new model.  [default: the dataset's]")
@click.option(
    "--devices", type=int, default=1, metavar="N", help="Share each batch out among N GPUs, or processes."
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    help="A config of OpenMMLab in place of a recipe and DATASET.",
)
@click.option("--cfg-options", "options", multiple=True, metavar="K=V", help="Change a value of the config.")
@click.option("--seed", type=click.IntRange(min=0), metavar="N", help="The same as --set train.seed=N.")
@click.option(
    "--work-dir",
    type=click.Path(path_type=Path),
    help="Folder for what a config comes to.  [default: the config's, else work_dirs/NAME]",
)
@click.option(
    "--budget",
    metavar="TIME",
    help="Of auto: look for what is best for so long: 90s, 5m or 1h.  [default: 5m with a GPU, else 0]",
)
@click.option("--resume-from", metavar="RUN", help="With --config: go on with this run, or this --work-dir.")
@with_workspace(show_any)
def finetune(
    workspace: Workspace,
    words: tuple[str, ...],
    config: Path | None,
    options: tuple[str, ...],
    seed: int | None,
    work_dir: Path | None,
    resume_from: str | None,
    settings: tuple[str, ...],
    recipe: Path | None,
    model: str | None,
    strategy: str | None,
    epochs: int | None,
    name: str | None,
    devices: int,
    budget: str | None,
) -> FinetuneResult | RunResult:
    """Fine-tune a pretrained model on DATASET and measure it.

    DATASET is a folder with one folder of pictures for each class, with or without train, val and test
    above them; or a dataset of the workspace; or `digits`, a small set that comes along.
    """
    dataset, changes = _sorted(words, options, config)
    if config is None:
        apart = {"--cfg-options": options, "--work-dir": work_dir, "--resume-from": resume_from}
        for option, value in apart.items():
            if value:
                raise click.UsageError(f"{option} goes with --config.")
        if dataset is None:
            raise click.UsageError("Missing argument 'DATASET'.")
        return workspace.finetune(
            dataset,
            model=model,
            strategy=strategy,
            epochs=epochs,
            recipe=recipe,
            settings=settings if seed is None else (f"train.seed={seed}", *settings),
            name=name,
            devices=devices,
            budget=budget,
        )
    if recipe is not None:
        raise click.UsageError("--config stands in the place of --recipe.")
    imported = openmmlab.read(config, options=changes, devices=devices, seed=seed)
    _tell(imported)
    if onward := resume_from or imported.resume_from:
        return openmmlab.resume(workspace, onward, epochs=imported.recipe.train.epochs)
    return openmmlab.finetune(
        workspace,
        imported,
        dataset=dataset,
        model=model,
        strategy=strategy,
        epochs=epochs,
        settings=settings,
        name=name,
        devices=devices,
        work_dir=work_dir,
    )


def _sorted(
    words: Iterable[str], options: tuple[str, ...], config: Path | None
) -> tuple[str | None, tuple[str, ...]]:
    """Tell DATASET from further values of `--cfg-options`, of which people write several after one."""
    more = [word for word in words if config is not None and "=" in word and not Path(word).exists()]
    datasets = [word for word in words if word not in more]
    if len(datasets) > 1:
        raise click.UsageError(f"Got unexpected extra argument ({datasets[1]})")
    return datasets[0] if datasets else None, (*options, *more)


def _tell(imported: Imported) -> None:
    """Say what a config comes to before anything is spent."""
    for note in imported.notes:
        click.echo(f"note    {printable(note)}", err=True)
    for one in imported.ignored:
        click.echo(f"ignored {printable(str(one))}", err=True)
