"""`regraft model`: pretrained and fine-tuned models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from regraft.cli.dataset_past import show_tagged, tagged_to_json
from regraft.cli.model_growth import add_class, add_data
from regraft.cli.output import columns, facts, with_workspace
from regraft.records import ModelVersion, Version
from regraft.reports.words import number, pictures
from regraft.workspace.main import Workspace

if TYPE_CHECKING:
    from regraft.jobs.groups import GroupTable

#: Tensors that are named of each kind.
_SHOWN = 5


@click.group()
def model() -> None:
    """Pretrained and fine-tuned models."""


def show_list(versions: list[Version]) -> str:
    """Write a line for each model."""
    rows = []
    for version in versions:
        record = version.read(ModelVersion)
        state = "fine-tuned" if record.lineage else "pretrained" if record.weights_file else "random"
        rows.append((version, state, record.architecture, len(record.labels), version.digest[:12]))
    header = ("model", "is", "architecture", "classes", "digest")
    return columns(header, rows, empty="No models yet. Make one: regraft finetune FOLDER")


for command in (add_class, add_data):
    model.add_command(command)


@model.command("list")
@with_workspace(show_list)
def list_(workspace: Workspace) -> list[Version]:
    """List the latest version of every model."""
    return workspace.models.list()


def show_info(version: Version) -> str:
    """Write the facts of a model and what it was made of."""
    record = version.read(ModelVersion)
    spec, report, learning, lineage = record.input, record.load_report, record.learning, record.lineage
    names = ", ".join(record.labels[:10]) + (", ..." if len(record.labels) > 10 else "")
    pairs: list[tuple[str, object]] = [
        ("model", version),
        ("digest", version.digest),
        ("weights", record.weights),
        ("architecture", f"{record.architecture} from {record.source}"),
        ("licence", record.licence),
        ("classes", f"{len(record.labels)}: {names}"),
        (
            "input",
            f"{spec.size} x {spec.size}, {spec.resize} {spec.crop}, mean {spec.mean}, std {spec.std}",
        ),
        (
            "loaded",
            f"{number(report.loaded, 'tensor')}, {report.converted} renamed, "
            f"{len(report.unexpected)} left over",
        ),
        *_told("missing", report.missing),
        *_told("left over", report.unexpected),
        *_told("mismatched", report.mismatched),
        *_told("replaced", report.replaced),
        ("precision", record.precision or "not tried yet"),
    ]
    if learning is not None:
        kind = f"C {learning.C:g}" if learning.kind == "logistic" else learning.kind
        pairs.append(("head", f"{pictures(learning.pictures)}, {kind}, T {learning.temperature:.3f}"))
    if (trust := record.trust) is not None:
        shown = f"accuracy {trust.accuracy:.1%}, calibration error {trust.calibration_error:.3f}"
        pairs.append(("held out", f"{pictures(trust.pictures)}: {shown}"))
    if (growth := record.growth) is not None:
        what = f" of {', '.join(growth.classes)}" if growth.classes else ""
        pairs.append(("grown", f"{pictures(growth.pictures)}{what} upon {growth.known:,} others"))
    if (training := record.training) is not None:
        learned = f"{training.trainable:,} of {training.trainable + training.frozen:,} parameters"
        pairs += [
            ("tuned", f"{training.strategy} on {pictures(training.pictures)}, {learned}"),
            ("", f"{number(len(training.epochs), 'epoch')}, {training.best or 'the beginning'} taken"),
        ]
    if record.adapter is not None:
        pairs.append(("adapter", record.adapter))
    if lineage is not None:
        pairs += [
            ("dataset", lineage.dataset),
            ("started from", lineage.model),
            ("seed", lineage.seed),
            ("made by", f"regraft {lineage.code}"),
            *((f"  {name}", value) for name, value in lineage.environment.items()),
        ]
    return facts(pairs)


def _told(name: str, tensors: Sequence[str]) -> list[tuple[str, object]]:
    """Name the first few of some tensors, where there are any."""
    more = f", and {len(tensors) - _SHOWN} more" if len(tensors) > _SHOWN else ""
    return [(f"  {name}", ", ".join(tensors[:_SHOWN]) + more)] if tensors else []


def show_groups(table: GroupTable) -> str:
    """Write what of each stage learns, and how fast, and how many parameters that are together."""
    header = ("stage", "learns as", "tensors", "parameters", "rate", "decay")
    rows = [
        (
            line.stage,
            line.group or "frozen",
            line.tensors,
            f"{line.parameters:,}",
            "" if line.lr is None else f"{line.lr:.4g}",
            "" if line.weight_decay is None else f"{line.weight_decay:.4g}",
        )
        for line in table.lines
    ]
    totals = [
        ("frozen", f"{table.frozen:,}"),
        ("trainable", f"{table.trainable:,}"),
        ("all", f"{table.frozen + table.trainable:,}"),
    ]
    notes = [f"note    {note}" for note in table.notes]
    return "\n".join([columns(header, rows, empty=""), "", facts(totals), *notes])


@model.command()
@click.argument("name")
@click.option("--groups", is_flag=True, help="Show what of the net would learn under a recipe, and how fast.")
@click.option("--recipe", type=click.Path(path_type=Path), help="For --groups: recipe file (TOML).")
@click.option("--set", "settings", multiple=True, metavar="K=V", help="For --groups: change the recipe.")
@click.option("--classes", type=click.IntRange(min=1), help="For --groups: classes of the new head.")
@with_workspace(lambda found: show_info(found) if isinstance(found, Version) else show_groups(found))
def info(
    workspace: Workspace,
    name: str,
    *,
    groups: bool,
    recipe: Path | None,
    settings: tuple[str, ...],
    classes: int | None,
) -> Version | GroupTable:
    """Show what model NAME is and what it was made of."""
    if groups:
        return workspace.models.groups(name, recipe, settings=settings, classes=classes)
    if recipe is not None or settings or classes is not None:
        raise click.UsageError("--recipe, --set and --classes belong to --groups.")
    return workspace.models.get(name)


@model.command()
@click.argument("name")
@click.argument("tag")
@click.option("--delete", is_flag=True, help="Take the tag away.")
@with_workspace(show_tagged, to_json=tagged_to_json)
def tag(workspace: Workspace, name: str, tag: str, *, delete: bool) -> tuple[Version, str, bool]:
    """Let TAG name a version of a model, as in `regraft model tag photos:v2 best`."""
    return workspace.models.tag(name, tag, delete=delete), tag, delete
