"""`regraft dataset suggest-labels`: which labels are likely wrong, and what they should be."""

from __future__ import annotations

from pathlib import Path

import click

from regraft.cli.output import columns, facts, short, with_workspace
from regraft.reports.words import number, printable
from regraft.workspace.labels import SuggestResult
from regraft.workspace.main import Workspace

#: Suggestions that the screen shows.
_SHOWN = 20


def show(result: SuggestResult) -> str:
    """Write the likeliest mistakes, and where all of them are to be seen."""
    found, name = result.suggestions, result.dataset.name
    rows = [
        (short(item.key), short(item.label), short(item.suggested), f"{item.probability:.0%}", item.reason)
        for item in found[:_SHOWN]
    ]
    lines = [columns(("key", "label", "suggested", "likely", "because"), rows, empty="No label is doubted.")]
    if len(found) > _SHOWN:
        lines.append(f"... and {number(len(found) - _SHOWN, 'other')}")
    lines += [f"note    {printable(note)}" for note in result.notes]
    pairs: list[tuple[str, object]] = [("page", result.page)]
    if result.version is not None:
        pairs += [
            ("made", f"{result.version}, {number(len(found), 'label')} changed"),
            ("next", f"regraft finetune {name}"),
            ("", f"regraft dataset edit {name} --undo"),
        ]
    elif found:
        pairs += [
            ("next", f"regraft dataset suggest-labels {name} -o labels.csv"),
            ("", f"regraft dataset edit {name} --from labels.csv"),
        ]
    return "\n".join([*lines, "", facts(pairs)])


@click.command("suggest-labels")
@click.argument("name")
@click.option("--model", help="The net that judges.  [default: that of `dataset check`]")
@click.option("--apply", is_flag=True, help="Make a new version with the suggested labels.")
@click.option(
    "--least",
    type=click.FloatRange(0, 1),
    help="Least probability of a suggestion.  [default: 0.8 with --apply, else 0]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the list into a CSV file.")
@with_workspace(show)
def suggest_labels(
    workspace: Workspace,
    name: str,
    *,
    model: str | None,
    apply: bool,
    least: float | None,
    output: Path | None,
) -> SuggestResult:
    """List the pictures of dataset NAME whose label is likely wrong, and what it should be.

    Each label is judged by a net that has not learned from it. About half of what is listed is wrong, the
    first more often than the last: look at the page, take out what is right from the CSV file, and use the
    rest with `regraft dataset edit NAME --from FILE`.
    """
    return workspace.datasets.suggest_labels(name, model=model, apply=apply, least=least, out=output)
