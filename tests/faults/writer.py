"""One of many writers: commit records to one name, and acknowledge each on standard output.

python -m tests.faults.writer ROOT WRITER COMMITS [MUTANT]
"""

import sys
from pathlib import Path

from tests.faults import mutants

from regraft.records import Record
from regraft.store.catalog import Catalog
from regraft.store.storage import Folder


class Note(Record):
    parent: str | None
    writer: int
    turn: int


def main(root, writer, commits, mutant=""):
    mutants.plant(mutant)
    catalog = Catalog(Folder(Path(root)))
    print("ready", flush=True)
    sys.stdin.readline()
    for turn in range(int(commits)):

        def build(parent, turn=turn):
            return Note(parent=parent.digest if parent else None, writer=int(writer), turn=turn)

        version, _ = catalog.commit("datasets", "shared", build)
        print(f"v{version.number} {version.digest}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
