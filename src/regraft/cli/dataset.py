"""`regraft dataset`: labelled pictures in versions that never change."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import click

from regraft.cli.checkup import check
from regraft.cli.dataset_edit import edit
from regraft.cli.dataset_in import add, build, import_
from regraft.cli.dataset_labels import suggest_labels
from regraft.cli.dataset_out import copy, export
from regraft.cli.dataset_past import history, list_, tag, tags_to_json
from regraft.cli.output import bytes_text, columns, facts, in_browser, plain, short, with_workspace
from regraft.data.diff import Diff
from regraft.records import Row, Version
from regraft.reports.diff_text import summary
from regraft.reports.words import number
from regraft.workspace.dataset import Dataset
from regraft.workspace.main import Workspace


@click.group()
def dataset() -> None:
    """Labelled pictures in versions that never change."""


for command in (add, build, edit, import_, list_, history, tag, export, copy, check, suggest_labels):
    dataset.add_command(command)


def show_info(told: tuple[Dataset, dict[str, int]]) -> str:
    """Write the facts of a version, its classes by split, and the files that could not be used."""
    data, tags = told
    record = data.record
    sizes, splits = record.split_sizes(), record.splits
    lines = [
        facts(
            [
                ("dataset", data.version),
                ("digest", data.version.digest),
                *([("tags", ", ".join(tags))] if tags else []),
                (
                    "pictures",
                    f"{record.count:,} ({bytes_text(record.size)}, in {number(len(record.packs), 'pack')})",
                ),
                (
                    "splits",
                    "given" if not record.split_rule.fractions else f"made, seed {record.split_rule.seed}",
                ),
                ("refused", number(record.refused_count, "file")),
            ]
        ),
        "",
        columns(
            ("class", *sizes),
            [(short(name), *(splits[split].get(name, 0) for split in sizes)) for name in record.labels],
            empty="",
        ),
    ]
    if data.refused:
        lines += [
            "",
            columns(("refused", "reason"), [(short(i.key), i.reason) for i in data.refused], empty=""),
        ]
    return "\n".join(lines)


def info_to_json(told: tuple[Dataset, dict[str, int]]) -> Any:
    """Return the manifest, the tags and the refused files."""
    data, tags = told
    return {**plain(data.version), "tags": tags_to_json(tags), "refused_files": plain(data.refused)}


@dataset.command()
@click.argument("name")
@with_workspace(show_info, to_json=info_to_json)
def info(workspace: Workspace, name: str) -> tuple[Dataset, dict[str, int]]:
    """Show what dataset NAME holds, and which files could not be used."""
    data = workspace.datasets.get(name)
    tags = workspace.datasets.tags(name)
    return data, {tag: place for tag, place in tags.items() if place == data.version.number}


def show_rows(rows: list[Row]) -> str:
    """Write a line for each row, with its metadata where one has any."""
    extra = any(row.metadata != "{}" for row in rows)
    table = [
        (
            short(row.key),
            short(row.label),
            row.split,
            f"{row.width}x{row.height}",
            row.digest[:12],
            *([short(row.metadata) if row.metadata != "{}" else ""] if extra else []),
        )
        for row in rows
    ]
    header = ("key", "label", "split", "pixels", "digest", *(["metadata"] if extra else []))
    return columns(header, table, empty="no rows")


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
