"""The benchmark that needs a GPU: it runs without one, as far as it can."""

import os
import re
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "bench" / "gpu.py"


def bench(*arguments):
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False, env=environment
    )


def test_without_a_gpu_it_says_so():
    said = bench()

    assert (said.returncode, said.stdout) == (
        0,
        "There is no GPU here; `--cpu` shows whether this runs.\n",
    )


def test_on_the_processor_it_goes_all_the_way():
    said = bench("--cpu")

    rates = dict(re.findall(r"^  (plain|bare|regraft) +([0-9,]+)  ", said.stdout, re.MULTILINE))
    assert said.returncode == 0, said.stderr
    assert rates.keys() == {"plain", "bare", "regraft"}
    assert all(int(rate.replace(",", "")) > 0 for rate in rates.values())
