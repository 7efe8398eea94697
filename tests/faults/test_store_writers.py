"""Many writers of one name: what was acknowledged to any of them is there."""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from regraft.records import digest
from regraft.store.catalog import Catalog

WRITER = Path(__file__).with_name("writer.py")


def race(root, *, writers, commits, mutant=False):
    """Let writers commit side by side; return what was acknowledged to each, in order."""
    children = [
        subprocess.Popen(
            [sys.executable, WRITER, root, str(index), str(commits), *(["mutant"] if mutant else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for index in range(writers)
    ]
    for child in children:
        assert child.stdout.readline() == "ready\n"
    for child in children:
        child.stdin.write("go\n")
        child.stdin.flush()
    said = [child.communicate(timeout=60)[0].splitlines() for child in children]
    assert [child.returncode for child in children] == [0] * writers
    return [[(int(word[1:]), name) for word, name in map(str.split, lines)] for lines in said]


def faults(root, acknowledged):
    """Say everything that is wrong with a store, given what was acknowledged to each writer."""
    catalog = Catalog(root)
    numbers = catalog.numbers("datasets", "shared")
    folder = root / "datasets" / "shared"
    present = {number: (folder / f"v{number}.json").read_bytes() for number in numbers}  # damaged or not
    digests = {number: digest(data) for number, data in present.items()}
    acks = [ack for acks in acknowledged for ack in acks]
    twice = [number for number, times in Counter(number for number, _ in acks).items() if times > 1]
    found = [f"v{number} is lost" for number, name in acks if digests.get(number) != name]
    found += [f"v{number} was acknowledged twice" for number in twice]
    if numbers != list(range(1, len(acks) + 1)):
        found.append("the numbers have gaps")
    parents = [json.loads(data)["parent"] for data in present.values()]
    if parents != [None, *digests.values()][: len(parents)]:
        found.append("a version does not name the one before")
    if any(acks != sorted(acks) for acks in acknowledged):
        found.append("a later commit has a smaller number")
    return found


def test_eight_writers_lose_nothing(tmp_path):
    acknowledged = race(tmp_path, writers=8, commits=25)

    found = faults(tmp_path, acknowledged)

    assert [len(acks) for acks in acknowledged] == [25] * 8
    assert found == []


def test_the_judge_finds_what_writers_lose_who_rename_over_each_other(tmp_path):
    acknowledged = race(tmp_path, writers=8, commits=5, mutant=True)

    found = faults(tmp_path, acknowledged)

    assert [len(acks) for acks in acknowledged] == [5] * 8
    assert any(fault.endswith("is lost") for fault in found)
