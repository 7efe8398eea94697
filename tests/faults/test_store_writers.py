"""Many processes in one store: what was acknowledged is there, and readers see whole versions."""

import json
import subprocess
import sys
from pathlib import Path

from tests.faults.race import faults, race

TOP = Path(__file__).parents[2]


def test_eight_writers_lose_nothing(in_memory):
    root = in_memory / "race"

    acknowledged = race(root, writers=8, commits=50)

    assert [len(acks) for acks in acknowledged] == [50] * 8
    assert faults(root, acknowledged) == []


def test_readers_and_a_collector_meet_whole_versions_while_four_write(in_memory):
    words = [sys.executable, "-m", "tests.faults.crowd", str(in_memory / "crowd"), "4", "25"]

    done = subprocess.run(words, cwd=TOP, stdout=subprocess.PIPE, text=True, check=True, timeout=120)

    said = json.loads(done.stdout)
    assert said["faults"] == []
    assert said["acks"] > 100
    assert min(said["reads"] + said["collections"]) > 3
