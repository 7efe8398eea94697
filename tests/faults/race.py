"""Writers of one name, side by side; and what is wrong with what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from regraft.records import digest
from regraft.store.catalog import Catalog, unseal
from regraft.store.storage import Folder

Acks = list[list[tuple[int, str]]]
_TOP = Path(__file__).parents[2]


def race(root: Path, *, writers: int, commits: int, mutant: str = "") -> Acks:
    """Let writers commit side by side; return what was acknowledged to each, in order."""
    words = [sys.executable, "-m", "tests.faults.writer", str(root)]
    children = [
        subprocess.Popen(
            [*words, str(index), str(commits), mutant],
            cwd=_TOP,
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


def faults(root: Path, acknowledged: Acks) -> list[str]:
    """Say everything that is wrong with a store, given what was acknowledged to each writer."""
    numbers = Catalog(Folder(root)).numbers("datasets", "shared")
    folder = root / "datasets" / "shared"
    present = {number: unseal((folder / f"v{number}.json").read_bytes()) or b"{}" for number in numbers}
    digests = {number: digest(data) for number, data in present.items()}
    acks = [ack for acks in acknowledged for ack in acks]
    twice = [number for number, times in Counter(number for number, _ in acks).items() if times > 1]
    found = [f"v{number} is lost" for number, name in acks if digests.get(number) != name]
    found += [f"v{number} was acknowledged twice" for number in twice]
    if numbers != list(range(1, len(acks) + 1)):
        found.append("the numbers have gaps")
    parents = [json.loads(data).get("parent") for data in present.values()]
    if parents != [None, *digests.values()][: len(parents)]:
        found.append("a version does not name the one before")
    if any(acks != sorted(acks) for acks in acknowledged):
        found.append("a later commit has a smaller number")
    return found
