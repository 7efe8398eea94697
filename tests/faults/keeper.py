"""A writer of versions, or a collector of garbage, in a process of its own.

    python keeper.py ROOT write NAME COUNT      commit versions; remove each when the next one is there
    python keeper.py ROOT stop NAME             commit a version, and stop between its pack and its manifest
    python keeper.py ROOT collect SECONDS       collect again and again
    python keeper.py ROOT mutant SECONDS        likewise, and look at no lease, as a careless collector would

Each version that is acknowledged is a line on standard output.
"""

import os
import signal
import sys
import time
from hashlib import sha256
from pathlib import Path

from regraft.records import DatasetVersion, Row, SplitRule
from regraft.store import gc
from regraft.store.leases import lease
from regraft.store.opening import open_store
from regraft.store.packs import PackWriter
from regraft.store.tables import write_rows


def commit(store, name, pictures, *, before_manifest=lambda: None):
    """Publish a version with some pictures, as adding them does."""
    with lease(store.storage):
        writer = PackWriter(store.packs)
        digests = [sha256(data).hexdigest() for data in pictures]
        for digest, data in zip(digests, pictures, strict=True):
            writer.add(digest, data)
        places = writer.finish()
        rows = [
            Row(
                key=f"cat/{number}.png",
                digest=digest,
                pack=places[digest].pack,
                offset=places[digest].offset,
                length=places[digest].length,
                label="cat",
                split="train",
                width=1,
                height=1,
            )
            for number, digest in enumerate(digests)
        ]
        record = DatasetVersion(
            parent=None,
            labels=("cat",),
            splits={"train": {"cat": len(rows)}},
            split_rule=SplitRule(fractions={}, seed=0),
            count=len(rows),
            segments=write_rows(store.blobs, rows),
            packs=tuple(sorted({row.pack for row in rows})),
            size=sum(row.length for row in rows),
            refused=None,
            refused_count=0,
        )
        before_manifest()

        def build(parent):
            return record.model_copy(update={"parent": parent and parent.digest})

        return store.catalog.commit("datasets", name, build)[0]


def write(root, name, count):
    """Commit versions that use the same pictures again and again, while those before are removed."""
    store = open_store(Path(root))
    before = None
    for number in range(int(count)):
        version = commit(store, name, [f"{name} {number % 3}".encode() * 100, b"shared" * 100])
        if before is not None:
            print(f"removes {before} {before.digest}", flush=True)
            store.catalog.remove(before)
        print(f"has {version} {version.digest}", flush=True)
        before = version


def stop(root, name):
    store = open_store(Path(root))

    def before_manifest():
        print("stops", flush=True)
        os.kill(os.getpid(), signal.SIGSTOP)

    version = commit(store, name, [name.encode()], before_manifest=before_manifest)
    print(f"has {version} {version.digest}", flush=True)


def collect(root, seconds):
    store = open_store(Path(root))
    end = time.monotonic() + float(seconds)
    rounds, removed = 0, 0
    while time.monotonic() < end or not rounds:
        removed += len(gc.collect(store, grace=0).removed)
        rounds += 1
    print(f"{rounds} {removed}", flush=True)


def mutant(root, seconds):
    gc.oldest = lambda storage: None
    collect(root, seconds)


if __name__ == "__main__":
    {"write": write, "stop": stop, "collect": collect, "mutant": mutant}[sys.argv[2]](
        sys.argv[1], *sys.argv[3:]
    )
