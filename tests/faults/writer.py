"""One of many writers: commit records to one name, and acknowledge each on standard output.

    python writer.py ROOT WRITER COMMITS [mutant]

The mutant publishes by renaming over the target, as a store without `durable.put` would, and does not look
whether what it builds upon was replaced.
"""

import os
import sys
import time
from pathlib import Path

from regraft.records import Record
from regraft.store.catalog import Catalog


class Note(Record):
    parent: str | None
    writer: int
    turn: int


def rename_over(source, target):
    time.sleep(0.002)  # as on a slow disk: the others come in between
    Path(source).replace(target)


def main(root, writer, commits, *mutant):
    if mutant:
        os.link = rename_over
        Catalog._parent_of = lambda *_: None
    catalog = Catalog(Path(root))
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(int(commits)):

        def build(parent, turn=turn):
            return Note(parent=parent.digest if parent else None, writer=int(writer), turn=turn)

        version, _ = catalog.commit("datasets", "shared", build)
        print(f"v{version.number} {version.digest}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
