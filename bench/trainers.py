"""Whole trainings by other tools: ResNet-18 from random weights, two epochs, each tool in its own way.

Each has an environment of its own below the user's cache folder, which shares torch, torchvision and timm
with that of Regraft, so that all of them compute with the same kernels.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

from measuring import say
from peers import environment
from pictures import draw

#: What to install for each tool.
TRAINERS: dict[str, tuple[str, ...]] = {
    "timm": (),
    "lightning": ("lightning==2.6.6",),
    "fastai": ("fastai==2.8.12",),
    "transformers": ("transformers==5.23.0", "accelerate==1.15.0"),
    "ultralytics": ("ultralytics==8.4.190",),
}
#: Pictures to learn from, and to validate on after each epoch.
TRAIN, VAL = 200, 60


def trainers(scratch: Path, data: Path) -> None:
    """Train once with each tool that can be installed, Regraft first and last."""
    folder = scratch / "pictures"
    draw(folder / "train", TRAIN)
    draw(folder / "val", VAL, first=TRAIN)
    say(f"ResNet-18 from random weights, 2 epochs of {TRAIN} pictures, validated on {VAL}: the whole job")
    say(f"  {'':12} {'CPU':>8} {'wall':>8} {'training alone':>18} {'memory':>9}")
    for turn, name in enumerate(["regraft", *TRAINERS, "regraft"]):
        python, reason = Path(sys.executable), ""
        if TRAINERS.get(name):
            python, reason = environment(
                name, TRAINERS[name], sys.executable, beside=sysconfig.get_path("purelib")
            )
        say(
            f"  {name:12} not run: {reason}" if reason else measure(name, python, folder, scratch / f"{turn}")
        )


def measure(name: str, python: Path, folder: Path, home: Path) -> str:
    """Run a tool's script; return a line with what the process took, and what training took in it."""
    home.mkdir()
    script = Path(__file__).with_name("trainer_clock.py")
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    run = subprocess.run(
        [python, script, name, folder, home],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "YOLO_OFFLINE": "true", "YOLO_CONFIG_DIR": str(home)},
        cwd=home,
    )
    if run.returncode:
        return f"  {name:12} failed: {run.stderr.strip().rpartition(chr(10))[2]}"
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    took = json.loads(run.stdout.splitlines()[-1])
    return (
        f"  {name:12} {cpu:6.1f} s {time.perf_counter() - wall:6.1f} s {took['cpu']:6.1f} s CPU of it "
        f"{took['peak']:6.0f} MB"
    )
