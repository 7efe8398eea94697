"""`regraft dataset edit`: labels and splits, changed by hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from regraft.cli.output import pair, plain, with_workspace
from regraft.records import Correction, DatasetVersion, Version
from regraft.workspace.main import Workspace

_DONE = {"label": "relabelled", "dropped": "dropped", "split": "moved"}


@dataclass(frozen=True, kw_only=True)
class Edited:
    """What was changed by hand."""

    #: What was named; what its changes were made to: that one or, after an undo, one before it.
    opened: Version
    base: Version
    #: The latest version before.
    latest: Version
    changes: list[Correction]
    #: None where nothing changed.
    version: Version | None


def show(edited: Edited) -> str:
    """Say which version was made, what was done in it, and what it leaves out."""
    if edited.version is None:
        return "nothing changed"
    kinds = [item.change for item in edited.changes]
    said = [f"{kinds.count(kind):,} {word}" for kind, word in _DONE.items() if kind in kinds]
    if edited.base != edited.opened:
        said.insert(0, f"as {edited.base} was")
    known = edited.base.read(DatasetVersion).labels
    new = sorted({item.new for item in edited.changes if item.change == "label"} - set(known))
    said += [f"new class {label!r}" for label in new]
    upon = ""
    if edited.opened.number < edited.latest.number:
        upon = f" (upon {edited.opened}: what came after it is left out)"
    return f"{edited.version}  {', '.join(said)}{upon}"


def to_json(edited: Edited) -> Any:
    """Return the new version; null where nothing changed."""
    return plain(edited.version)


@click.command()
@click.argument("name")
@click.option("--relabel", multiple=True, metavar="KEY=LABEL", help="Give a picture another label.")
@click.option(
    "--from",
    "lists",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Give pictures the labels of a list, as `dataset suggest-labels` writes it.",
)
@click.option("--drop", multiple=True, metavar="KEY", help="Leave a picture out.")
@click.option("--move", multiple=True, metavar="KEY=SPLIT", help="Put a picture and its family into a split.")
@click.option("--undo", is_flag=True, help="Take back what the version itself changed.")
@with_workspace(show, to_json=to_json)
def edit(
    workspace: Workspace,
    name: str,
    relabel: tuple[str, ...],
    lists: tuple[Path, ...],
    drop: tuple[str, ...],
    move: tuple[str, ...],
    undo: bool,
) -> Edited:
    """Change labels and splits of dataset NAME by hand, as a new version.

    Your files stay as they are; the change holds when the same source is added again.
    """
    if not (relabel or lists or drop or move or undo):
        raise click.UsageError("Say what to change: --relabel, --from, --drop, --move or --undo.")
    latest = workspace.datasets.history(name)[-1]
    with workspace.datasets.edit(name) as changes:
        opened = changes.base
        if undo:
            changes.undo()
        for file in lists:
            changes.relabel_from(file)
        for key, label in map(pair, relabel):
            changes.relabel(key, label)
        for key in drop:
            changes.drop(key)
        for key, split in map(pair, move):
            changes.move(key, split)
    return Edited(
        opened=opened, base=changes.base, latest=latest, changes=changes.changes, version=changes.result
    )
