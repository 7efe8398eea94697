"""Benchmark of `auto`: accuracy and minutes without a budget and with several, against a probe alone.

Other tools tune the same pretrained net on the same split, each in its own way and environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import regraft
from measuring import say
from peers import environment
from regraft.engine import intervals
from regraft.records import ModelVersion
from regraft.reports import words
from trainers import TRAINERS

#: The sets that are measured, as far as they are there; `digits` comes along.
SETS = ("hotdog", "garbage", "digits")
BUDGETS = ("1m", "10m")
#: Tools that tune the same net.
TUNERS = ("timm", "fastai", "ultralytics")


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
        for tool in TUNERS:
            tune(scratch / f"{name}-probe", name, tool)


def measure(home: Path, dataset: str | Path, way: str) -> None:
    """Fine-tune in a workspace of its own, where nothing is known yet, and print what came of it."""
    workspace = regraft.open(home)
    began = time.monotonic()
    result = workspace.finetune(
        dataset,
        strategy="probe" if way == "probe" else "auto",
        budget=None if way == "probe" else 0 if way == "auto" else way,
        name="measured",
    )
    minutes = (time.monotonic() - began) / 60
    metrics, board = result.report.metrics, result.report.board
    taken = next((row for row in board.rows if row.taken), None) if board else None
    said = "" if taken is None else f", {taken.view}, {taken.head}"
    say(
        f"  {result.dataset.name:8} {way:11} {words.percent(metrics.accuracy):>7} "
        f"({words.interval(metrics.accuracy_interval)}), {minutes:.1f} minutes{said}"
    )


def tune(home: Path, dataset: str, tool: str) -> None:
    """Let another tool tune the net that a probe had, on the same pictures; print how it does on test."""
    python, reason = Path(sys.executable), ""
    if TRAINERS[tool]:
        python, reason = environment(
            tool, TRAINERS[tool], sys.executable, beside=sysconfig.get_path("purelib")
        )
    if reason:
        say(f"  {dataset:8} {tool:11} not run: {reason}")
        return
    task = write_task(home, dataset, tool)
    began = time.monotonic()
    run = subprocess.run(
        [python, Path(__file__).with_name("tuner_clock.py"), tool, task],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(task.parent)},
        cwd=task.parent,
    )
    minutes = (time.monotonic() - began) / 60
    if run.returncode:
        say(f"  {dataset:8} {tool:11} failed: {run.stderr.strip().rpartition(chr(10))[2]}")
        return
    found = json.loads(run.stdout.splitlines()[-1])
    interval = intervals.wilson(found["right"], found["of"])
    say(
        f"  {dataset:8} {tool:11} {words.percent(found['right'] / found['of']):>7} "
        f"({words.interval(interval)}), {minutes:.1f} minutes"
    )


def write_task(home: Path, dataset: str, tool: str) -> Path:
    """Write pictures, pretrained weights and what a tool is to do with them; return the task's file."""
    import torch

    workspace = regraft.open(home)
    folder, weights, place = home / "pictures", home / "pretrained.pth", home / tool
    place.mkdir()
    if not folder.exists():
        workspace.datasets.export(dataset, folder)
        net = regraft.load("embedded:efficientnet_lite0", workspace=home)
        torch.save(net.trunk.state_dict(), weights)
    model = workspace.models.get("measured").read(ModelVersion)
    task = {
        "folder": str(folder),
        "asked": sorted(map(str, (folder / "test").rglob("*.*"))),
        "weights": str(weights),
        "architecture": model.architecture,
        "size": model.input.size,
        "crop": model.input.crop,
        "mean": model.input.mean,
        "std": model.input.std,
        "home": str(place),
    }
    file = place / "task.json"
    file.write_text(json.dumps(task))
    return file
