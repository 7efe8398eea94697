"""`regraft report`: what evaluations gave."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from regraft.cli.evaluate import show_gates
from regraft.cli.output import columns, in_browser, with_workspace
from regraft.records import Report, Version
from regraft.reports.text import summary
from regraft.reports.words import number, printable
from regraft.workspace.main import Workspace

if TYPE_CHECKING:
    from regraft.jobs.comparing import Comparison, Pair

#: Classes and changed pictures that the screen shows; JSON has all.
_CLASSES = 20
_CHANGES = 5


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


def show_comparison(found: Comparison) -> str:
    """Write what differs, what was fixed and broken, and the requirements."""
    parts = [_pair(pair) for pair in found.pairs]
    return "\n\n".join([*parts, *(["\n".join(show_gates(found.gates))] if found.gates else [])])


def _pair(pair: Pair) -> str:
    both = f"on {number(pair.pictures, 'picture')} of both"
    lines = [f"{pair.second_model} against {pair.first_model}, {both} (reports {pair.second}, {pair.first})"]
    if any(pair.alone):
        lines.append(f"left out, of one alone: {pair.alone[0]:,} and {pair.alone[1]:,}")
    rows = [
        (
            name.replace("_", " "),
            f"{one.first:.4f}",
            f"{one.second:.4f}",
            f"{one.difference:+.4f}",
            f"{one.interval.low:+.4f} to {one.interval.high:+.4f}",
        )
        for name, one in pair.numbers.items()
    ]
    lines += ["", columns(("number", "first", "second", "difference", "95 % interval"), rows, empty=""), ""]
    classes = [
        (one.label, one.support, f"{one.before:.1%}", f"{one.after:.1%}", f"{one.after - one.before:+.1%}")
        for one in sorted(pair.classes, key=lambda one: one.after - one.before)[:_CLASSES]
    ]
    lines += [columns(("class", "pictures", "recall before", "after", "change"), classes, empty=""), ""]
    if pair.slices:
        slices = [
            (one.name, one.count, f"{one.before:.1%}", f"{one.after:.1%}", f"{one.after - one.before:+.1%}")
            for one in pair.slices[:_CLASSES]
        ]
        lines += [columns(("slice", "pictures", "accuracy before", "after", "change"), slices, empty=""), ""]
    for word, changes in (("fixed", pair.fixed), ("broken", pair.broken)):
        lines.append(f"{word:<7} {len(changes):,}")
        lines += [
            f"        {printable(one.key)}: {printable(one.label)}, called {printable(one.before)}, then "
            f"{printable(one.after)}"
            for one in changes[:_CHANGES]
        ]
        if len(changes) > _CHANGES:
            lines.append(f"        and {len(changes) - _CHANGES:,} more (--json)")
    return "\n".join([*lines, "", f"verdict {pair.verdict}"])


@report.command()
@click.argument("reports", nargs=-1, required=True, metavar="REPORT REPORT...")
@click.option(
    "--require", multiple=True, metavar="WORDS", help="What the last has to reach: accuracy >= 0.9."
)
@with_workspace(show_comparison, exit_code=lambda found: int(not all(one.passed for one in found.gates)))
def compare(workspace: Workspace, reports: tuple[str, ...], require: tuple[str, ...]) -> Comparison:
    """Compare each REPORT with the first, picture by picture.

    Requirements are for the last: `accuracy >= 0.9`, `macro_f1.low > 80 %`, `recall[cat] >= 0.8`, `accuracy
    drops <= 1 point`, `no class drops > 2 points`. Where one is not met, the exit code is 1.
    """
    return workspace.reports.compare(*reports, require=require)


@report.command()
@click.argument("name")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--format", help="html, md, json, png, csv or parquet.  [default: the ending of FILE]")
@with_workspace(str)
def export(workspace: Workspace, name: str, file: Path, format: str | None) -> Path:  # noqa: A002
    """Write report NAME into FILE: a page, Markdown, JSON, a picture, or a table of what was said of each."""
    return workspace.reports.export(name, file, format=format)


@report.command("open")
@click.argument("name")
@with_workspace(str)
def open_(workspace: Workspace, name: str) -> Path:
    """Open report NAME in a browser where there is one, and print where its page lies."""
    return in_browser(workspace.reports.page(name))
