"""`regraft model add-class`, `add-data`: what a model learns in seconds."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.finetune import describe
from regraft.cli.output import facts, with_workspace
from regraft.reports.text import summary
from regraft.reports.words import printable
from regraft.workspace.growing import GrowResult
from regraft.workspace.main import Workspace

_LABEL = click.option("--label", help="What the pictures show.  [default: the name of the folder]")


def show(result: GrowResult) -> str:
    """Write what was read, the numbers, where the report is, and what to type next."""
    name = result.model.partition(":")[0]
    lines = [*describe(result.dataset, result.added), "", summary(result.report), ""]
    lines += [f"note    {printable(note)}" for note in result.report.notes]
    lines += [
        facts(
            [
                ("model", result.model),
                ("report", result.page),
                ("next", f"regraft predict {name} NEW.jpg"),
                ("", f"regraft finetune {result.dataset.name} --name {name}"),
            ]
        )
    ]
    return "\n".join(lines)


@click.command("add-class")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@_LABEL
@with_workspace(show)
def add_class(workspace: Workspace, name: str, folder: Path, *, label: str | None) -> GrowResult:
    """Teach model NAME a class that it does not know, from the pictures in FOLDER, in seconds.

    The old pictures are not looked at again and need not be there: what is known of them stands with the
    model. The new ones join its dataset, some of them to be measured on.
    """
    return workspace.models.add_class(name, folder, label=label)


@click.command("add-data")
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@_LABEL
@with_workspace(show)
def add_data(workspace: Workspace, name: str, folder: Path, *, label: str | None) -> GrowResult:
    """Teach model NAME more of the classes that it knows, from the pictures in FOLDER, in seconds.

    FOLDER holds class folders, or the pictures of one class.
    """
    return workspace.models.add_data(name, folder, label=label)
