"""Leases: what a collector has to leave alone, and whom a writer waits for."""

import json
import os
import socket
import subprocess
import sys
import threading
import time

import pytest

from regraft.errors import ConflictError
from regraft.store import leases
from regraft.store.leases import condemn, lease, oldest, reuse
from regraft.store.processes import alive, started
from regraft.store.storage import Folder


@pytest.fixture
def storage(tmp_path):
    return Folder(tmp_path)


def write(tmp_path, folder, *, age=0.0, **changes):
    """Write the lease or the list of some process."""
    owner = {"host": socket.gethostname(), "process": os.getpid(), "started": started(os.getpid())}
    path = tmp_path / folder / "0.json"
    path.parent.mkdir()
    path.write_text(json.dumps({**owner, "names": [], **changes}))
    os.utime(path, (time.time() - age,) * 2)
    return path


@pytest.fixture
def gone():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_oldest_lease_counts_as_long_as_it_is_held(storage):
    seen = [oldest(storage)]
    with lease(storage):
        seen.append(oldest(storage))
        with lease(storage):
            seen.append(oldest(storage))
    seen.append(oldest(storage))

    assert seen == [None, seen[1], seen[1], None]
    assert time.time() - seen[1] < 60


def test_a_lease_ends_with_an_error(storage):
    with pytest.raises(ValueError, match="stop"), lease(storage):
        raise ValueError("stop")

    assert oldest(storage) is None


@pytest.mark.parametrize(
    ("age", "changes", "counts"),
    [
        (9 * 24 * 3600, {}, True),
        (0, {"started": "another boot 1"}, False),
        (0, {"host": "elsewhere"}, True),
        (6 * 24 * 3600, {"host": "elsewhere"}, True),
        (8 * 24 * 3600, {"host": "elsewhere"}, False),
    ],
    ids=["long at work", "number taken by another", "another host", "six days", "eight days"],
)
def test_a_lease_counts_while_its_process_may_live(tmp_path, storage, age, changes, counts):
    path = write(tmp_path, "leases", age=age, **changes)
    began = path.stat().st_mtime

    found = oldest(storage)

    assert found == (began if counts else None)
    assert path.exists() == counts


def test_the_lease_of_a_process_that_is_gone_is_forgotten(tmp_path, storage, gone):
    path = write(tmp_path, "leases", process=gone)

    found = oldest(storage)

    assert (found, path.exists()) == (None, False)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"host": 1}'])
def test_a_lease_that_cannot_be_read_counts_for_a_week(tmp_path, storage, text):
    path = write(tmp_path, "leases")
    path.write_text(text)

    young = oldest(storage)
    os.utime(path, (1, 1))

    assert young is not None
    assert oldest(storage) is None


def test_what_is_reused_is_as_new(tmp_path, storage):
    storage.put("blobs/x", b"bytes", point="blob")
    os.utime(tmp_path / "blobs" / "x", (1, 1))

    told = [reuse(storage, name) for name in ("blobs/x", "blobs/y")]

    assert told == [True, False]
    assert time.time() - storage.find("blobs/x").modified < 60


def test_who_reuses_something_condemned_waits_and_looks_whether_it_is_still_there(storage):
    for name in ("blobs/x", "blobs/y"):
        storage.put(name, b"bytes", point="blob")
    told = {}
    writers = [
        threading.Thread(target=lambda name=name: told.update({name: reuse(storage, name)}))
        for name in ("blobs/x", "blobs/y")
    ]

    with condemn(storage, {"blobs/x", "blobs/y"}):
        for writer in writers:
            writer.start()
        time.sleep(0.1)
        while_condemned = dict(told)
        storage.remove("blobs/x")
    for writer in writers:
        writer.join()

    assert (while_condemned, told) == ({}, {"blobs/x": False, "blobs/y": True})


def test_what_a_collector_condemned_who_was_killed_is_free(tmp_path, storage, gone):
    storage.put("blobs/x", b"bytes", point="blob")
    path = write(tmp_path, "condemned", process=gone, names=["blobs/x"])

    told = reuse(storage, "blobs/x")

    assert (told, path.exists()) == (True, False)


def test_a_collector_forgets_what_others_left_behind_who_were_killed(tmp_path, storage, gone):
    path = write(tmp_path, "condemned", process=gone)

    with condemn(storage, {"blobs/x"}):
        files = list((tmp_path / "condemned").iterdir())

    assert path not in files
    assert len(files) == 1
    assert list((tmp_path / "condemned").iterdir()) == []


def test_a_collector_that_does_not_end_is_named(tmp_path, storage, monkeypatch):
    monkeypatch.setattr(leases, "PATIENCE", 0.05)
    storage.put("blobs/x", b"bytes", point="blob")
    write(tmp_path, "condemned", host="elsewhere", names=["blobs/x"])

    with pytest.raises(ConflictError) as caught:
        reuse(storage, "blobs/x")

    assert (str(caught.value), caught.value.hint) == (
        "A collector of garbage has condemned 'blobs/x', and is still at work.",
        "Wait until `regraft store gc` has ended. If none runs anywhere, delete the folder 'condemned' "
        "of the workspace.",
    )


def test_what_went_while_a_writer_was_held_up_is_not_relied_on(tmp_path):
    class Slow(Folder):
        """Is held up between the renewal and the look at what is condemned."""

        def renew(self, name):
            found = super().renew(name)
            renewed.set()
            collected.wait(10)
            return found

    renewed, collected = threading.Event(), threading.Event()
    storage = Slow(tmp_path)
    storage.put("blobs/x", b"bytes", point="blob")
    told = []
    writer = threading.Thread(target=lambda: told.append(reuse(storage, "blobs/x")))

    with condemn(storage, {"blobs/x"}):
        writer.start()
        renewed.wait(10)
        storage.remove("blobs/x")
    collected.set()
    writer.join()

    assert told == [False]


def test_a_process_that_only_waits_to_be_reaped_is_dead():
    child = subprocess.Popen([sys.executable, "-c", ""])
    began = started(child.pid)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)

    told = alive(child.pid, began)

    child.wait()
    assert told is False
