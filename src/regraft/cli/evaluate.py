"""`regraft evaluate`: an honest number for any model on any pictures."""

from __future__ import annotations

from collections.abc import Sequence

import click

from regraft.cli.finetune import describe, many_looks
from regraft.cli.output import facts, with_workspace
from regraft.engine.gates import Verdict
from regraft.errors import InvalidError
from regraft.reports.text import summary
from regraft.reports.words import printable
from regraft.workspace.main import EvaluateResult, Workspace


def show(result: EvaluateResult) -> str:
    """Write what was read, the numbers, and where the report is."""
    lines = [*describe(result.dataset, result.added), "", summary(result.report), ""]
    lines += [
        f"note    {printable(note)}" for note in (*result.report.notes, *many_looks(result.report.looks))
    ]
    lines += show_gates(result.gates)
    return "\n".join([*lines, facts([("report", result.page)])])


def show_gates(gates: Sequence[Verdict]) -> list[str]:
    """Write whether each requirement is met, and the number that says so."""
    return [f"{'pass' if one.passed else 'FAIL'}    {one.gate}: {one.found}" for one in gates]


@click.command()
@click.argument("model")
@click.argument("dataset")
@click.option("--split", help="train, val, test or all.  [default: test, or all of a folder that is new]")
@click.option(
    "--rename", "renames", multiple=True, metavar="OLD=NEW", help="The dataset's OLD is the model's NEW."
)
@click.option("--require", multiple=True, metavar="WORDS", help="What has to be reached: accuracy >= 0.9.")
@with_workspace(show, exit_code=lambda result: int(not all(one.passed for one in result.gates)))
def evaluate(
    workspace: Workspace,
    model: str,
    dataset: str,
    split: str | None,
    renames: tuple[str, ...],
    require: tuple[str, ...],
) -> EvaluateResult:
    """Measure MODEL on DATASET.

    DATASET is a dataset of the workspace, a folder of class folders, a list or an archive, with @SPLIT behind
    it where one split is meant. Labels are matched by name. Pictures that the model has learned from are
    left out. Where a requirement is not met, the exit code is 1.
    """
    return workspace.evaluate(
        model, dataset, split=split, renames=dict(map(_rename, renames)), require=require
    )


def _rename(words: str) -> tuple[str, str]:
    old, equals, new = words.partition("=")
    if "\\=" in words:  # a name with the sign in it: a\=b=c
        old, equals, new = (part.replace("\0", "=") for part in words.replace("\\=", "\0").partition("="))
    if not (old and equals and new):
        raise InvalidError(
            f"{words!r} renames nothing.", hint="Write --rename OLD=NEW; an = within a name is \\=."
        )
    return old, new
