"""`regraft dataset check`: what is wrong with a dataset, before a model learns it."""

from __future__ import annotations

from typing import Any

import click

from regraft.cli.output import plain, with_workspace
from regraft.reports.checkup_text import summary
from regraft.reports.findings import SEVERITIES
from regraft.workspace.datasets import CheckResult
from regraft.workspace.main import Workspace


def show(result: CheckResult) -> str:
    """Write the findings, and where the page is."""
    return f"{summary(result.checkup)}\n\nreport  {result.page}"


def to_json(result: CheckResult) -> Any:
    """Return the findings and where the page is."""
    return {**plain(result.checkup), "page": str(result.page), "run": result.run.id}


def exit_code(result: CheckResult) -> int:
    """Return 5 where a finding is as grave as the person said."""
    return 5 if result.failed else 0


@click.command()
@click.argument("name")
@click.option("--quick", is_flag=True, help="Leave out wrong labels: the net need not see each picture.")
@click.option(
    "--fail-on",
    type=click.Choice([*SEVERITIES, "never"]),
    default="never",
    show_default=True,
    help="Exit with 5 where there is a finding of this severity or a graver one.",
)
@with_workspace(show, to_json=to_json, exit_code=exit_code)
def check(workspace: Workspace, name: str, *, quick: bool, fail_on: Any) -> CheckResult:
    """Look for what is wrong with dataset NAME.

    Copies and near copies, within and across splits; pictures under two labels; unreadable, tiny, blank, dark
    and blurred ones; classes that can be told by their files; labels that are likely wrong; and more. The
    page shows the pictures of each finding.
    """
    return workspace.datasets.check(name, quick=quick, fail_on=fail_on)
