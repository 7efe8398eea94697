"""`regraft dataset`: labelled pictures in versions that never change."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from regraft.cli.checkup import check
from regraft.cli.dataset_in import add, build, edit, import_
from regraft.cli.dataset_out import copy, export
from regraft.cli.output import bytes_text, columns, facts, in_browser, plain, with_workspace
from regraft.data.diff import Diff
from regraft.records import DatasetVersion, Row, Version
from regraft.reports.diff_text import summary
from regraft.workspace.dataset import Dataset
from regraft.workspace.main import Workspace


@click.group()
def dataset() -> None:
    """Labelled pictures in versions that never change."""


for command in (add, build, edit, import_, export, copy, check):
    dataset.add_command(command)


def show_list(versions: list[Version]) -> str:
    """Write a line for each dataset."""
    rows = []
    for version in versions:
        record = version.read(DatasetVersion)
        splits = ", ".join(f"{split} {count:,}" for split, count in record.split_sizes().items())
        rows.append((version, f"{record.count:,}", len(record.labels), splits, bytes_text(record.size)))
    header = ("dataset", "pictures", "classes", "splits", "size")
    return columns(header, rows, empty="No datasets yet. Add one: regraft dataset add NAME FOLDER")


@dataset.command("list")
@with_workspace(show_list)
def list_(workspace: Workspace) -> list[Version]:
    """List the latest version of every dataset."""
    return workspace.datasets.list()


def show_info(data: Dataset) -> str:
    """Write the facts of a version, its classes by split, and the files that could not be used."""
    record = data.record
    sizes = record.split_sizes()
    lines = [
        facts(
            [
                ("dataset", data.version),
                ("digest", data.version.digest),
                ("pictures", f"{record.count:,} ({bytes_text(record.size)}, in {len(record.packs)} packs)"),
                (
                    "splits",
                    "given" if not record.split_rule.fractions else f"made, seed {record.split_rule.seed}",
                ),
                ("refused", f"{record.refused_count} files"),
            ]
        ),
        "",
        columns(
            ("class", *sizes),
            [(name, *(record.splits[split].get(name, 0) for split in sizes)) for name in record.labels],
            empty="",
        ),
    ]
    if data.refused:
        lines += ["", columns(("refused", "reason"), [(i.key, i.reason) for i in data.refused], empty="")]
    return "\n".join(lines)


def info_to_json(data: Dataset) -> Any:
    """Return the manifest and the refused files."""
    return {**plain(data.version), "refused_files": plain(data.refused)}


@dataset.command()
@click.argument("name")
@with_workspace(show_info, to_json=info_to_json)
def info(workspace: Workspace, name: str) -> Dataset:
    """Show what dataset NAME holds, and which files could not be used."""
    return workspace.datasets.get(name)


def show_rows(rows: list[Row]) -> str:
    """Write a line for each row."""
    table = [(row.key, row.label, row.split, f"{row.width}x{row.height}", row.digest[:12]) for row in rows]
    return columns(("key", "label", "split", "pixels", "digest"), table, empty="no rows")


@dataset.command()
@click.argument("name")
@click.option("-n", "count", type=click.IntRange(min=1), default=10, show_default=True, help="How many rows.")
@with_workspace(show_rows)
def head(workspace: Workspace, name: str, count: int) -> list[Row]:
    """Show the first rows of dataset NAME."""
    return list(islice(workspace.datasets.get(name), count))


@dataset.command()
@click.argument("name")
@with_workspace(str)
def show(workspace: Workspace, name: str) -> Path:
    """Open a page with pictures of each class of dataset NAME, and print where it lies."""
    return in_browser(workspace.datasets.show(name))


@dataset.command()
@click.argument("name")
@click.argument("tag")
@with_workspace(str)
def tag(workspace: Workspace, name: str, tag: str) -> Version:
    """Let TAG name a version of a dataset, as in `regraft dataset tag photos:v2 clean`."""
    return workspace.datasets.tag(name, tag)


@dataset.command()
@click.argument("name")
@with_workspace(show_list)
def history(workspace: Workspace, name: str) -> list[Version]:
    """List the versions of dataset NAME, the oldest first."""
    return workspace.datasets.history(name)


@dataset.command()
@click.argument("old")
@click.argument("new", required=False)
@click.option(
    "-n", "limit", type=click.IntRange(min=0), default=10, show_default=True, help="Pictures of each kind."
)
@with_workspace(lambda shown: summary(shown[0], limit=shown[1]), to_json=lambda shown: plain(shown[0]))
def diff(workspace: Workspace, old: str, new: str | None, limit: int) -> tuple[Diff, int]:
    """Tell what changed from version OLD to NEW, or in OLD since the version before it.

    Pictures are compared by content: added, removed, relabelled, moved between splits, renamed.
    """
    return workspace.datasets.diff(old, new), limit


@dataset.command()
@click.argument("name")
@click.option("--all", "every", is_flag=True, help="Every version of the name.")
@with_workspace(lambda versions: "\n".join(f"{version} removed" for version in versions))
def remove(workspace: Workspace, name: str, *, every: bool) -> list[Version]:
    """Hide a version of dataset NAME, such as photos:v2.

    `regraft dataset recover` shows it again, until `regraft store gc` has taken what it alone needs.
    """
    return workspace.datasets.remove(name, every=every)


@dataset.command()
@click.argument("name")
@click.option("--all", "every", is_flag=True, help="Every removed version of the name.")
@with_workspace(lambda versions: "\n".join(f"{version} is back" for version in versions))
def recover(workspace: Workspace, name: str, *, every: bool) -> list[Version]:
    """Show a removed version of dataset NAME again."""
    return workspace.datasets.recover(name, every=every)
