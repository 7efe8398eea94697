"""Writers, readers and a collector of garbage in one store at once, without a lock between them.

    python -m tests.faults.crowd ROOT WRITERS TURNS

Prints as JSON how many steps were acknowledged, how often the readers have read everything, how often garbage
was collected, and what was wrong, with any of them or with what is left.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from tests.faults import judge, worker
from tests.faults.crash import drain, fork, lines

import regraft
import regraft.data.building
import regraft.data.diff
from regraft.errors import NotFoundError
from regraft.store.opening import open_store


def again_and_again(turn: Callable[[], object], pipe: int) -> None:
    """Take a turn until somebody says that it is enough; write what went wrong, and how many there were."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    turns = 0
    try:
        while not stopped:
            turn()
            turns += 1
    except BaseException:
        os.write(pipe, json.dumps({"failed": traceback.format_exc()}).encode() + b"\n")
    os.write(pipe, json.dumps({"turns": turns}).encode() + b"\n")


def reader(root: Path) -> Callable[[], None]:
    """Return a turn: read every dataset and picture, verify the store, compare with the turn before."""
    known: dict[str, str] = {}
    last: dict[str, int] = {}

    def turn() -> None:
        workspace = regraft.open(root)
        for latest in open_store(root).catalog.names("datasets"):
            try:
                data = workspace.datasets.get(latest)
            except NotFoundError:
                continue  # its writer has just removed it
            version = data.version
            rows = list(data)
            if version.name == worker.SHARED:
                for row in rows:
                    assert row.label == judge.label_of(row.digest), row
                    data.read(row)
            assert len(rows) == data.record.count, version
            assert known.setdefault(str(version), version.digest) == version.digest, version
            assert last.get(version.name, 0) <= version.number, version
            last[version.name] = version.number
        found = workspace.store.verify(deep=True).faults
        assert not found, found

    return turn


def main(root: Path, writers: int, turns: int) -> None:
    Image.init()
    regraft.open(root)
    watching = [fork(lambda pipe: again_and_again(reader(root), pipe)) for _ in range(2)]
    store = regraft.open(root).store
    watching.append(fork(lambda pipe: again_and_again(lambda: store.gc(grace=0), pipe)))
    working = [
        fork(lambda pipe, number=number: worker.work(root, number, 0, pipe, turns=turns))
        for number in range(writers)
    ]
    ends = [drain(*child) for child in working]
    for child, _ in watching:
        os.kill(child, signal.SIGTERM)
    watched = [said for child in watching for said in lines(drain(*child)[1])]
    acks = [ack for _, data in ends for ack in lines(data)]
    faults = [f"a writer ended with {status}" for status, _ in ends if status]
    faults += [said["failed"] for said in watched if "failed" in said]
    counts = [said["turns"] for said in watched if "turns" in said]
    result = {
        "acks": len(acks),
        "reads": counts[:2],
        "collections": counts[2:],
        "faults": [*faults, *judge.faults(root, acks)],
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
