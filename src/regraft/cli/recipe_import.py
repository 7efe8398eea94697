"""`regraft recipe import`: the config of another toolkit as a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from regraft import durable
from regraft.cli.output import with_workspace
from regraft.dialects.openmmlab import main as openmmlab
from regraft.dialects.openmmlab.translate import Imported
from regraft.errors import ConflictError
from regraft.workspace.main import Workspace


def to_json(imported: Imported) -> dict[str, object]:
    """Return what a config comes to as what JSON knows."""
    return {
        "config": str(imported.path),
        "dataset": imported.dataset,
        "recipe": imported.document,
        "notes": list(imported.notes),
        "ignored": {one.key: one.reason for one in imported.ignored},
    }


@click.command("import")
@click.argument("config", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the recipe into this new file.")
@click.option("--cfg-options", "options", multiple=True, metavar="K=V", help="Change a value of CONFIG.")
@click.option("--devices", type=click.IntRange(min=1), default=1, metavar="N", help="Devices to train on.")
@with_workspace(openmmlab.to_toml, to_json=to_json)
def import_(
    _workspace: Workspace, config: Path, output: Path | None, options: tuple[str, ...], devices: int
) -> Imported:
    """Print CONFIG, of MMClassification or MMPretrain, as a recipe; it is read and never executed.

    What Regraft does otherwise, and what changes nothing, stands above the recipe.
    """
    imported = openmmlab.read(config, options=options, devices=devices)
    if output is not None:
        if output.exists():
            raise ConflictError(f"{str(output)!r} exists already.", hint="Choose another name.")
        durable.swap(output, openmmlab.to_toml(imported).encode())
    return imported
