"""Benchmark of `auto`: accuracy and minutes without a budget and with several, against a probe alone."""

from __future__ import annotations

import time
from pathlib import Path

import regraft
from measuring import say
from regraft.reports import words

#: The sets that are measured, as far as they are there; `digits` comes along.
SETS = ("hotdog", "garbage", "digits")
BUDGETS = ("1m", "10m")


def auto(scratch: Path, data: Path) -> None:
    """Fine-tune each set from nothing: a probe, `auto`, and `auto` with each budget."""
    say(f"auto on {', '.join(SETS)}: accuracy on test, its 95 % interval, minutes from call to report")
    for name in SETS:
        place = data.parent / name
        if name != "digits" and not place.is_dir():
            say(f"  {name} is not there: {place}")
            continue
        for way in ("probe", "auto", *BUDGETS):
            measure(scratch / f"{name}-{way}", name if name == "digits" else place, way)


def measure(home: Path, dataset: str | Path, way: str) -> None:
    """Fine-tune in a workspace of its own, where nothing is known yet, and print what came of it."""
    workspace = regraft.open(home)
    began = time.monotonic()
    result = workspace.finetune(
        dataset,
        strategy="probe" if way == "probe" else "auto",
        budget=None if way in ("probe", "auto") else way,
        name="measured",
    )
    minutes = (time.monotonic() - began) / 60
    metrics, board = result.report.metrics, result.report.board
    taken = next((row for row in board.rows if row.taken), None) if board else None
    said = "" if taken is None else f", {taken.view}, {taken.head}"
    say(
        f"  {result.dataset.name:8} {way:6} {words.percent(metrics.accuracy):>7} "
        f"({words.interval(metrics.accuracy_interval)}), {minutes:.1f} minutes{said}"
    )
