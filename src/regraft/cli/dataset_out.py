"""`regraft dataset export`, `copy`: what takes pictures elsewhere."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.output import bytes_text, with_workspace
from regraft.records import DatasetVersion, Version
from regraft.reports.words import classes, number, pictures
from regraft.store.copies import Copied
from regraft.workspace.main import Workspace


def show_exported(told: tuple[Version, Path]) -> str:
    """Say what was written, and where."""
    version, path = told
    record = version.read(DatasetVersion)
    return f"{version}  {pictures(record.count)} of {classes(len(record.labels))} written to {path}"


@click.command()
@click.argument("name")
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--format",
    type=click.Choice(["folder", "zip", "parquet", "bundle"]),
    help="What to write.  [default: by the suffix of PATH]",
)
@click.option("--replace", is_flag=True, help="Replace PATH where it is a file.")
@with_workspace(show_exported, to_json=lambda told: str(told[1]))
def export(
    workspace: Workspace,
    name: str,
    path: Path,
    format: str | None,  # noqa: A002
    replace: bool,
) -> tuple[Version, Path]:
    """Write dataset NAME to PATH: a folder, a .zip, a .parquet file, or a .regraft bundle.

    A folder and a zip hold the pictures as SPLIT/CLASS/NAME and a list, rows.jsonl, with everything else. A
    bundle carries the version itself, digest and all, to another workspace: `regraft dataset import`.
    """
    version = workspace.datasets.get(name).version
    written = workspace.datasets.export(str(version), path, format=format or "", replace=replace)
    return version, written


def show_copied(result: Copied) -> str:
    """Say what travelled."""
    state = "copied" if result.new else "there already"
    return (
        f"{result.version}  {state}: {number(result.sent, 'file')} sent ({bytes_text(result.sent_bytes)}), "
        f"{result.present:,} there already"
    )


@click.command()
@click.argument("name")
@click.argument("to", type=click.Path())
@with_workspace(show_copied)
def copy(workspace: Workspace, name: str, to: str) -> Copied:
    """Copy dataset NAME to the workspace in folder TO; only what is missing there travels."""
    return workspace.datasets.copy(name, to)
