"""`regraft run`: what was executed, what became of it, and how it goes on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from regraft.cli.live import metrics_line
from regraft.cli.output import columns, facts, plain, with_workspace
from regraft.records import RunRecord
from regraft.reports.text import summary
from regraft.store.journal import Run
from regraft.workspace.comparing import Line, RunComparison
from regraft.workspace.main import Workspace
from regraft.workspace.runs import Reproduction, RunResult


@click.group()
def run() -> None:
    """What was executed, and what became of it."""


def show_list(records: list[RunRecord]) -> str:
    """Write a line for each run."""
    rows = [
        (item.id, item.kind, item.status, item.inputs["dataset"], ", ".join(item.outputs.values()))
        for item in records
    ]
    return columns(("run", "kind", "status", "dataset", "gave"), rows, empty="No runs yet.")


@run.command("list")
@with_workspace(show_list)
def list_(workspace: Workspace) -> list[RunRecord]:
    """List all runs, the oldest first."""
    return workspace.runs.list()


def show_info(item: Run) -> str:
    """Write what a run was asked, how it ended, and where its files are."""
    record = item.record
    pairs: list[tuple[str, object]] = [
        ("run", record.id),
        ("kind", record.kind),
        ("status", record.status),
        *(pair for pair in record.inputs.items() if not pair[0].endswith("_digest")),
        *((f"-> {name}", value) for name, value in record.outputs.items()),
        ("started", record.started),
        ("ended", record.ended or "-"),
        ("files", item.path),
    ]
    if record.error:
        pairs.append(("error", record.error))
    if record.kind == "finetune" and record.status not in ("done", "running"):
        pairs.append(("resume", f"regraft run resume {record.id}"))
    for section, values in record.recipe.items():
        pairs += [(f"{section}.{key}", value) for key, value in values.items()]
    return facts(pairs)


def info_to_json(item: Run) -> Any:
    """Return the record of a run and its folder."""
    return {**plain(item.record), "path": str(item.path)}


@run.command()
@click.argument("run_id", metavar="RUN")
@with_workspace(show_info, to_json=info_to_json)
def info(workspace: Workspace, run_id: str) -> Run:
    """Show what RUN was asked and how it ended; `latest` is a run too."""
    return workspace.runs.get(run_id)


def show_comparison(found: RunComparison) -> str:
    """Write what two runs do not share, and their curves beside each other."""
    parts = [
        columns((title, found.first, found.second), [_cells(line) for line in lines], empty="")
        for title, lines in (
            ("recipe", found.recipe),
            ("data", found.data),
            ("environment", found.environment),
            ("result", found.results),
        )
        if lines
    ]
    if found.epochs:
        rows = [
            (
                pair.epoch,
                _short(pair.first_loss),
                _short(pair.second_loss),
                _short(pair.first_accuracy),
                _short(pair.second_accuracy),
            )
            for pair in found.epochs
        ]
        header = ("epoch", "first's loss", "second's", "first's accuracy", "second's")
        parts.append(columns(header, rows, empty=""))
    if not parts:
        parts = ["The two runs are the same."]
    return "\n\n".join([*parts, *([facts([("drawn", found.plot)])] if found.plot else [])])


def _cells(line: Line) -> tuple[str, str, str]:
    return line.key, "-" if line.first is None else line.first, "-" if line.second is None else line.second


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


@run.command()
@click.argument("first")
@click.argument("second")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw both curves into this file (.svg).")
@with_workspace(show_comparison)
def compare(workspace: Workspace, first: str, second: str, plot: Path | None) -> RunComparison:
    """Show what differs between runs FIRST and SECOND: recipe, data, environment, curves, results."""
    return workspace.runs.compare(first, second, plot=plot)


def show_reproduction(found: Reproduction) -> str:
    """Write whether the same came of it, and what differs."""
    if found.comparison.same:
        said = "the same, bit for bit"
    elif found.largest == 0:
        said = "the same numbers, from other weights"
    elif found.same:
        said = f"the same but for {found.largest:.1e}"
    else:
        said = f"NOT the same: numbers differ by up to {found.largest:.3g}"
    model = [("model", found.model)] if found.model else []
    parts = [facts([("run", found.run.id), *model, ("again", said)])]
    if found.comparison.environment or found.comparison.results:
        parts.append(show_comparison(found.comparison))
    return "\n\n".join(parts)


@run.command()
@click.argument("run_id", metavar="RUN")
@with_workspace(show_reproduction, exit_code=lambda found: int(not found.same))
def reproduce(workspace: Workspace, run_id: str) -> Reproduction:
    """Do RUN once more from the same data, weights and recipe, and say what differs.

    A model that comes of it is called as the one of RUN, with `-again`. Where the numbers differ by more than
    0.000001 the exit code is 1.
    """
    return workspace.runs.reproduce(run_id)


@run.command()
@click.argument("run_id", metavar="[RUN]", default="latest")
@with_workspace(metrics_line)
def watch(workspace: Workspace, run_id: str) -> Iterator[dict[str, Any]]:
    """Print the metrics of RUN as they come, until it ends; without RUN, of the latest."""
    return workspace.runs.watch(run_id)


def show_result(result: RunResult) -> str:
    """Write the numbers, where the report is, and what to type next."""
    name = result.model.partition(":")[0]
    pairs = [
        ("run", result.run.id),
        ("model", result.model),
        ("report", result.page),
        ("next", f"regraft predict {name} NEW.jpg"),
    ]
    return f"{summary(result.report)}\n\n{facts(pairs)}"


@run.command()
@click.argument("run_id", metavar="RUN")
@click.option("--force", is_flag=True, help="Even if it is said to be at work on another machine.")
@with_workspace(show_result)
def resume(workspace: Workspace, run_id: str, force: bool) -> RunResult:
    """Go on with RUN, a fine-tuning that was cut off, from its last checkpoint."""
    return workspace.runs.resume(run_id, force=force)


@run.command()
@click.argument("run_id", metavar="RUN")
@click.option("--epochs", required=True, metavar="+N|N", help="So many epochs more, or so many in all.")
@with_workspace(show_result)
def extend(workspace: Workspace, run_id: str, epochs: str) -> RunResult:
    """Train longer after RUN is done, as a new run that begins where RUN ended."""
    return workspace.runs.extend(run_id, epochs=epochs)


def show_stopped(record: RunRecord) -> str:
    """Write how the run ended, or that it has not yet, and how it goes on."""
    if record.status == "running":
        return (
            f"{record.id} was asked to stop, and ends as soon as it can; see `regraft run info {record.id}`."
        )
    goes_on = record.kind == "finetune" and record.status != "done"
    pairs = [("run", record.id), ("status", record.status)]
    return facts(pairs + [("resume", f"regraft run resume {record.id}")] * goes_on)


@run.command()
@click.argument("run_id", metavar="[RUN]", default="latest")
@click.option("--wait/--no-wait", default=True, help="Wait until it has ended.  [default: wait]")
@with_workspace(show_stopped)
def stop(workspace: Workspace, run_id: str, wait: bool) -> RunRecord:
    """Ask RUN to save what it has done and to end; without RUN, the latest."""
    return workspace.runs.stop(run_id, wait=wait)


@run.command()
@click.argument("run_id", metavar="RUN")
@with_workspace(lambda record: f"{record.id} is removed; what it gave stays.")
def remove(workspace: Workspace, run_id: str) -> RunRecord:
    """Remove RUN with its log, metrics and checkpoints; its model and report stay."""
    return workspace.runs.remove(run_id)
