"""`regraft model`: pretrained and fine-tuned models."""

from __future__ import annotations

import click

from regraft.cli.dataset_past import show_tagged, tagged_to_json
from regraft.cli.output import columns, facts, with_workspace
from regraft.records import ModelVersion, Version
from regraft.reports.words import number, pictures
from regraft.workspace.main import Workspace


@click.group()
def model() -> None:
    """Pretrained and fine-tuned models."""


def show_list(versions: list[Version]) -> str:
    """Write a line for each model."""
    rows = []
    for version in versions:
        record = version.read(ModelVersion)
        state = "fine-tuned" if record.lineage else "pretrained"
        rows.append((version, state, record.architecture, len(record.labels), version.digest[:12]))
    header = ("model", "is", "architecture", "classes", "digest")
    return columns(header, rows, empty="No models yet. Make one: regraft finetune FOLDER")


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
        ("input", f"{spec.size} x {spec.size}, crop {spec.crop}, mean {spec.mean}, std {spec.std}"),
        (
            "loaded",
            f"{number(report.loaded, 'tensor')}, {report.converted} renamed, "
            f"{len(report.unexpected)} left over",
        ),
        ("precision", record.precision or "not tried yet"),
    ]
    if learning is not None:
        pairs.append(
            ("head", f"{pictures(learning.pictures)}, C {learning.C:g}, T {learning.temperature:.3f}")
        )
    if lineage is not None:
        pairs += [
            ("dataset", lineage.dataset),
            ("started from", lineage.model),
            ("seed", lineage.seed),
            ("made by", f"regraft {lineage.code}"),
            *((f"  {name}", value) for name, value in lineage.environment.items()),
        ]
    return facts(pairs)


@model.command()
@click.argument("name")
@with_workspace(show_info)
def info(workspace: Workspace, name: str) -> Version:
    """Show what model NAME is and what it was made of."""
    return workspace.models.get(name)


@model.command()
@click.argument("name")
@click.argument("tag")
@click.option("--delete", is_flag=True, help="Take the tag away.")
@with_workspace(show_tagged, to_json=tagged_to_json)
def tag(workspace: Workspace, name: str, tag: str, *, delete: bool) -> tuple[Version, str, bool]:
    """Let TAG name a version of a model, as in `regraft model tag photos:v2 best`."""
    return workspace.models.tag(name, tag, delete=delete), tag, delete
