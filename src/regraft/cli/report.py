"""`regraft report`: what evaluations gave."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.output import columns, in_browser, with_workspace
from regraft.records import Report, Version
from regraft.reports.text import summary
from regraft.workspace.main import Workspace


@click.group()
def report() -> None:
    """What evaluations gave."""


def show_list(versions: list[Version]) -> str:
    """Write a line for each report."""
    rows = []
    for version in versions:
        item = version.read(Report)
        interval = item.metrics.accuracy_interval
        number = f"{item.accuracy:.1%} ({interval.low:.1%} to {interval.high:.1%})"
        rows.append((version, item.model_ref, item.dataset_ref, item.split, item.metrics.count, number))
    header = ("report", "model", "dataset", "split", "pictures", "accuracy")
    return columns(header, rows, empty="No reports yet. Make one: regraft finetune FOLDER")


@report.command("list")
@with_workspace(show_list)
def list_(workspace: Workspace) -> list[Version]:
    """List every report."""
    return workspace.reports.list()


def show_info(version: Version) -> str:
    """Write the numbers of a report."""
    item = version.read(Report)
    return f"{version}: {item.model_ref} on {item.dataset_ref}\n{summary(item)}"


@report.command()
@click.argument("name")
@with_workspace(show_info)
def info(workspace: Workspace, name: str) -> Version:
    """Show the numbers of report NAME."""
    return workspace.reports.find(name)


@report.command("open")
@click.argument("name")
@with_workspace(str)
def open_(workspace: Workspace, name: str) -> Path:
    """Open report NAME in a browser where there is one, and print where its page lies."""
    return in_browser(workspace.reports.page(name))
