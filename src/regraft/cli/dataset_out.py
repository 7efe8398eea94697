"""`regraft dataset export`, `copy`: what takes pictures elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.output import bytes_text, with_workspace
from regraft.store.copies import Copied
from regraft.workspace.main import Workspace


@click.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    type=click.Choice(["folder", "zip", "parquet", "bundle"]),
    help="What to write.  [default: by the suffix of PATH]",
)
@click.option("--replace", is_flag=True, help="Replace PATH where it is a file.")
@with_workspace(str)
def export(workspace: Workspace, name: str, path: Path, format: str | None, replace: bool) -> Path:  # noqa: A002
    """Write dataset NAME to PATH: a folder, a .zip, a .parquet file, or a .regraft bundle.

    A folder and a zip hold the pictures as SPLIT/CLASS/NAME and a list, rows.jsonl, with everything else. A
    bundle carries the version itself, digest and all, to another workspace: `regraft dataset import`.
    """
    return workspace.datasets.export(name, path, format=format or "", replace=replace)


def show_copied(result: Copied) -> str:
    """Say what travelled."""
    state = "copied" if result.new else "there already"
    return (
        f"{result.version}  {state}: {result.sent} files sent ({bytes_text(result.sent_bytes)}), "
        f"{result.present} there already"
    )


@click.command()
@click.argument("name")
@click.argument("to", type=click.Path())
@with_workspace(show_copied)
def copy(workspace: Workspace, name: str, to: str) -> Copied:
    """Copy dataset NAME to the workspace in folder TO; only what is missing there travels."""
    return workspace.datasets.copy(name, to)
