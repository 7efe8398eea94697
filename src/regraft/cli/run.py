"""`regraft run`: what was executed, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from regraft.cli.output import columns, facts, plain, with_workspace
from regraft.records import RunRecord
from regraft.store.journal import Run
from regraft.workspace.main import Workspace


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


def show_metrics(values: dict[str, Any]) -> str:
    """Write one line of metrics."""
    time = values["time"][11:19]
    return "  ".join(
        [
            time,
            *(
                f"{k} {v:.6g}" if isinstance(v, float) else f"{k} {v}"
                for k, v in values.items()
                if k != "time"
            ),
        ]
    )


@run.command()
@click.argument("run_id", metavar="[RUN]", default="latest")
@with_workspace(show_metrics)
def watch(workspace: Workspace, run_id: str) -> Iterator[dict[str, Any]]:
    """Print the metrics of RUN as they come, until it ends; without RUN, of the latest."""
    return workspace.runs.watch(run_id)
