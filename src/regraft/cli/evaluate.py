"""`regraft evaluate`: an honest number for any model on any pictures."""

from __future__ import annotations

import click

from regraft.cli.finetune import describe
from regraft.cli.output import facts, with_workspace
from regraft.reports.text import summary
from regraft.workspace.main import EvaluateResult, Workspace


def show(result: EvaluateResult) -> str:
    """Write what was read, the numbers, and where the report is."""
    lines = [*describe(result.dataset, result.added), "", summary(result.report), ""]
    return "\n".join([*lines, facts([("report", result.page)])])


@click.command()
@click.argument("model")
@click.argument("dataset")
@click.option("--split", help="train, val, test or all.  [default: test, or all of a folder that is new]")
@with_workspace(show)
def evaluate(workspace: Workspace, model: str, dataset: str, split: str | None) -> EvaluateResult:
    """Measure MODEL on DATASET.

    DATASET is a dataset of the workspace or a folder of class folders; labels are matched by name.
    Pictures that the model learned from are left out.
    """
    return workspace.evaluate(model, dataset, split=split)
