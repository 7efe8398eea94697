"""`regraft recipe check`: what a fine-tuning would do, and what would stop it, before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regraft.cli.model import show_groups
from regraft.cli.output import bytes_text, facts, with_workspace
from regraft.dialects.openmmlab import main as openmmlab
from regraft.jobs.remarks import Remark
from regraft.reports.words import classes, number, pictures, printable
from regraft.workspace.checked import Checked
from regraft.workspace.main import Workspace

if TYPE_CHECKING:
    from regraft.jobs.costs import Cost, Room
    from regraft.jobs.rehearsal import Base, Batching, Choosing, Data, Rates

Pairs = Iterator[tuple[str, object]]

#: Names that a line has room for.
_SHOWN = 5
_WIDTH = 9


def show_check(checked: Checked) -> str:
    """Write what would be done under short headings, then problems, and doubts."""
    parts = []
    if checked.data is not None:
        parts.append(_part("data", _data(checked.data)))
    if checked.base is not None:
        count = len(checked.data.labels) if checked.data else None
        parts.append(_part("model", _base(checked.base, count)))
    if checked.learning is not None:
        parts.append(f"what learns ({checked.strategy})\n{_indented(show_groups(checked.learning))}")
    if checked.batches is not None:
        parts.append(_part("batches", _batches(checked.batches, checked.strategy)))
    if checked.rates is not None:
        parts.append(_part("rates", _rates(checked.rates)))
    if checked.choosing is not None:
        parts.append(_part("taken is", _choosing(checked.choosing)))
    if checked.cost is not None:
        parts.append(_part("one step", _cost(checked.cost)))
    if checked.room is not None:
        parts.append(_part("disk", _room(checked.room)))
    lines = []
    for problem in checked.problems:
        said = (problem.where, problem.message, problem.hint)
        first, *more = (printable(words) for words in said if words)
        lines += [f"problem {first}", *(f"        {words}" for words in more)]
    lines += [f"note    {printable(note.words)}" for note in checked.notes]
    lines.append(_verdict(checked))
    return "\n\n".join([*parts, "\n".join(lines)])


@click.command()
@click.argument("recipe", required=False)
@click.argument("dataset", required=False)
@click.option("--set", "settings", multiple=True, metavar="K=V", help="Change a value of the recipe.")
@click.option("--model", help="Begin with: timm:NAME, hf:OWNER/NAME, file:PATH, a URL, one of yours.")
@click.option("--strategy", help="auto, probe, full, partial, lp-ft, gradual, adapters or scratch.")
@click.option(
    "--devices", type=int, default=1, metavar="N", help="Share each batch out among N GPUs, or processes."
)
@with_workspace(show_check, exit_code=lambda checked: 5 if checked.problems else 0)
def check(
    workspace: Workspace,
    recipe: str | None,
    dataset: str | None,
    settings: tuple[str, ...],
    model: str | None,
    strategy: str | None,
    devices: int,
) -> Checked:
    """Say what fine-tuning on DATASET by RECIPE would do, and all that would stop it; nothing is trained.

    RECIPE is a file (TOML), a preset, or a config of MMClassification (.py), which names its pictures itself.
    DATASET is a folder, which is read and not kept, or a dataset of the workspace; without one, a first step
    is tried on noise.
    """
    if recipe is not None and recipe.endswith(".py"):
        imported = openmmlab.read(recipe, devices=devices)
        said = workspace.recipes.check(
            imported.recipe,
            dataset or (imported.dataset if Path(imported.dataset).exists() else None),
            model=model,
            strategy=strategy,
            settings=settings,
            devices=devices,
        )
        return replace(
            said, notes=(*(Remark(where="", words=words) for words in imported.notes), *said.notes)
        )
    return workspace.recipes.check(
        recipe, dataset, model=model, strategy=strategy, settings=settings, devices=devices
    )


def _part(heading: str, pairs: Pairs) -> str:
    return f"{heading}\n{_indented(facts([(name.ljust(_WIDTH), value) for name, value in pairs]))}"


def _indented(text: str) -> str:
    return "\n".join(f"  {line}".rstrip() for line in text.splitlines())


def _verdict(checked: Checked) -> str:
    if checked.problems:
        return f"{number(len(checked.problems), 'problem')}: it cannot be trained so"
    return "nothing is in the way"


def _data(data: Data) -> Pairs:
    count = sum(sum(split.values()) for split in data.splits.values())
    sizes = ", ".join(f"{sum(split.values()):,} {name}" for name, split in data.splits.items())
    kept = "" if data.stored else ", read and not kept"
    yield "dataset", f"{data.dataset}, {pictures(count)} ({sizes}){kept}"
    named = ", ".join(data.labels[:_SHOWN]) + (", ..." if len(data.labels) > _SHOWN else "")
    yield "classes", f"{len(data.labels)}, as targets 0 to {len(data.labels) - 1}: {named}"
    if data.smallest:
        yield "smallest", f"{data.smallest}, {number(data.smallest_count, 'train picture')}"
    yield "measured", f"on {data.measured}" if data.measured else "on nothing"


def _base(base: Base, count: int | None) -> Pairs:
    yield "model", f"{base.architecture} from {base.model}"
    if base.report is None:
        yield "weights", "not here; a net with random ones stands in for them"
        if base.needed:
            yield "", base.needed
    elif base.report.loaded:
        report = base.report
        words = f"{number(report.loaded, 'tensor')} loaded, {report.converted} renamed"
        for name, tensors in (
            ("missing", report.missing),
            ("left over", report.unexpected),
            ("of another shape", report.mismatched),
        ):
            if tensors:
                more = ", ..." if len(tensors) > _SHOWN else ""
                words += f"; {len(tensors)} {name}: {', '.join(tensors[:_SHOWN])}{more}"
        yield "weights", words
    else:
        yield "weights", "random"
    if base.licence:
        yield "licence", base.licence
    spec = base.input
    yield "input", f"{spec.size} x {spec.size}, mean {spec.mean}, std {spec.std}"
    new = f"{base.num_features:,} features to " + (
        "as many classes as there are" if count is None else classes(count)
    )
    old = f"; its own, for {classes(base.known)}, is replaced" if base.known else ""
    yield "head", new + old
    for label, was in list(base.reused.items())[:_SHOWN]:
        yield "", f"{label} begins as {was}"
    if len(base.reused) > _SHOWN:
        yield "", f"... and {len(base.reused) - _SHOWN} more"


def _batches(batches: Batching, strategy: str) -> Pairs:
    if strategy in ("auto", "probe"):
        counted = "" if batches.pictures is None else f"of {pictures(batches.pictures)}, "
        yield "features", f"{counted}{batches.batch_size} at a time"
        return
    shares = batches.shares
    each = "" if len(shares) == 1 else f", {max(shares)} on each of {len(shares)} devices"
    yield "step", f"{pictures(batches.batch_size)}{each}"
    if batches.pictures is None:
        yield "epoch", f"{number(batches.steps, 'step')}, assumed"
    else:
        last = "" if batches.last == batches.batch_size else f", the last of {pictures(batches.last)}"
        yield "epoch", f"{number(batches.steps, 'step')} of {pictures(batches.pictures)}{last}"
    yield "run", f"{number(batches.epochs, 'epoch')}, {number(batches.epochs * batches.steps, 'step')}"
    if batches.mean_lr is not None:
        yield "loss", f"a sum; with SGD as a rate of {batches.mean_lr:g} for the mean"


def _rates(rates: Rates) -> Pairs:
    epochs = "epoch" if rates.warmup_epochs == 1 else "epochs"
    yield "schedule", f"{rates.schedule}, {rates.warmup_epochs:g} {epochs} of warm-up"
    yield (
        "trunk",
        f"first {rates.first:.4g}, peak {rates.peak:.4g} in epoch {rates.peak_epoch}, last {rates.last:.4g}",
    )
    yield "head", f"first {rates.head_first:.4g}, peak {rates.head_peak:.4g}, last {rates.head_last:.4g}"


def _choosing(choosing: Choosing) -> Pairs:
    if choosing.by == "last":
        yield "epoch", "the last: nothing is held out to choose by"
        return
    held = "of split 'val'" if choosing.by == "val" else "held out of train"
    yield "epoch", f"the best on {pictures(choosing.pictures)} {held}"
    yield (
        "early end",
        f"after {number(choosing.patience, 'epoch')} without a better one" if choosing.patience else "never",
    )


def _cost(cost: Cost) -> Pairs:
    step = cost.step
    tried = "" if step.pictures == step.share else f", worked out from {pictures(step.pictures)}"
    yield "on", f"{step.device}, {step.precision}, {number(step.threads, 'thread')}"
    if step.loss is not None:
        yield "loss", f"{step.loss:.4f}"
    yield "time", f"{_time(step.seconds)} for {pictures(step.share)}{tried}"
    yield "", f"{_time(cost.epoch_seconds)} an epoch, {_time(cost.run_seconds)} the run, about"
    split = (
        f"weights {bytes_text(step.weights)}, gradients {bytes_text(step.gradients)}, "
        f"optimizer {bytes_text(step.optimizer)}, activations {bytes_text(step.activations)}"
    )
    yield "memory", f"{bytes_text(cost.memory)} of {bytes_text(cost.memory_free)} free ({split})"


def _room(room: Room) -> Pairs:
    parts = {
        "pictures": room.dataset,
        "cache": room.cache,
        "frozen part": room.boundary,
        "checkpoints": room.checkpoints,
        "model": room.model,
    }
    words = ", ".join(f"{name} {bytes_text(size)}" for name, size in parts.items() if size)
    yield "needed", f"{bytes_text(room.needed)} of {bytes_text(room.free)} free ({words})"


def _time(seconds: float) -> str:
    if seconds < 1:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 100:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
