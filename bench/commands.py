"""Benchmarks of whole commands: their start, and a large store."""

from __future__ import annotations

import sys
from pathlib import Path

from measuring import REGRAFT, ROUNDS, report, say, timed, timed_child
from pictures import variants


def startup(scratch: Path, data: Path) -> None:
    """Answer `--help`, against an interpreter that does nothing."""
    timed_child([*REGRAFT, "--help"])  # compiles the modules
    asked = [timed_child([*REGRAFT, "--help"]) for _ in range(9)]
    bare = [timed_child([sys.executable, "-c", "pass"]) for _ in range(9)]
    say("regraft --help (goal 0.1 s of CPU)")
    report("regraft", asked)
    report("python", bare)


def opening(scratch: Path, data: Path) -> None:
    """Open a dataset of 100,000 pictures, and list 1,000 versions of it."""
    import regraft
    from regraft.records import DatasetVersion, Version
    from regraft.store.opening import open_store

    workspace = regraft.open(scratch)
    with workspace.datasets.build("many", decode=False) as rows:
        for index, body in enumerate(variants(100_000)):
            rows.append(body, label=f"class {index % 10}", key=f"{index:06}.jpg")
    store = open_store(scratch)

    def another(parent: Version | None) -> DatasetVersion:
        record = parent.read(DatasetVersion)
        rule = record.split_rule.model_copy(update={"seed": record.split_rule.seed + 1})
        return record.model_copy(update={"parent": parent.digest, "split_rule": rule})

    for _ in range(999):
        store.catalog.commit("datasets", "many", another)
    say("a dataset of 100,000 pictures in 1,000 versions (goal 0.5 s each)")

    def lines() -> list[str]:
        return [f"{v} {v.read(DatasetVersion).count}" for v in workspace.datasets.history("many")]

    report("get", [timed(lambda: workspace.datasets.get("many")[99_999])[1] for _ in range(ROUNDS)])
    report("history", [timed(lines)[1] for _ in range(ROUNDS)])
    for words in ("info", "history"):
        command = [*REGRAFT, "dataset", words, "many", "--workspace", str(scratch)]
        report(f"$ {words}", [timed_child(command) for _ in range(ROUNDS)], "whole command")
    report("python", [timed_child([sys.executable, "-c", "pass"]) for _ in range(ROUNDS)])
