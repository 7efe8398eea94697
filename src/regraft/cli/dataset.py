"""`regraft dataset`: labelled pictures in versions that never change."""

from __future__ import annotations

from itertools import islice
from typing import Any

import click

from regraft.cli.finetune import describe
from regraft.cli.output import bytes_text, columns, facts, plain, with_workspace
from regraft.data.ingest import Added
from regraft.records import DatasetVersion, Row, Version
from regraft.workspace.datasets import Dataset
from regraft.workspace.main import Workspace


@click.group()
def dataset() -> None:
    """Labelled pictures in versions that never change."""


def show_added(result: Added) -> str:
    """Say what was read and what could not be."""
    return "\n".join(describe(result.version, result))


@dataset.command()
@click.argument("name")
@click.argument("path")
@with_workspace(show_added)
def add(workspace: Workspace, name: str, path: str) -> Added:
    """Store the pictures under PATH as a new version of dataset NAME.

    PATH is a folder with one folder of pictures for each class, with or without train, val and test above
    them; or `digits`. It is only read.
    """
    return workspace.datasets.add(name, path)


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
                ("read by", record.reader),
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
@click.argument("tag")
@with_workspace(str)
def tag(workspace: Workspace, name: str, tag: str) -> Version:
    """Let TAG name a version of a dataset, as in `regraft dataset tag photos:v2 clean`."""
    return workspace.datasets.tag(name, tag)
