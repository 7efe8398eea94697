"""Checkpoints: complete or absent, the best and the newest few, and none that is damaged."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from regraft import durable
from regraft.errors import StorageError
from regraft.store.checkpoints import Checkpoints

#: Save step 1 as the best, then step 2 as a better one, as a process that can be killed on the way.
SCRIPT = """
import sys
from pathlib import Path
from regraft.store.checkpoints import Checkpoints

keep = Checkpoints(Path(sys.argv[1]), 1)
keep.put(1, b"one" * 1000, best=True)
keep.put(2, b"two" * 1000, best=True)
"""


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture
def damage(folder):
    """Change the file of a step: `damage(3, lambda data: ...)`."""

    def change(step, how):
        (path,) = folder.glob(f"step-{step:08}*")
        body = how(path.read_bytes())
        path.unlink()
        path.write_bytes(body)

    return change


def steps(keep):
    return [(found.step, found.best) for found in keep.list()]


def test_a_folder_without_checkpoints_has_no_latest(folder):
    keep = Checkpoints(folder, 1)

    found = keep.list(), keep.latest(), keep.best()

    assert found == ([], None, None)


def test_chunks_are_kept_end_to_end(folder):
    keep = Checkpoints(folder, 1)

    keep.put(7, b"head", memoryview(b"body"), best=True)

    assert (keep.latest(), keep.best()) == ((7, b"headbody"), (7, b"headbody"))


@pytest.mark.parametrize(
    ("keep", "left"),
    [(1, [(2, True), (5, False)]), (2, [(2, True), (4, False), (5, False)])],
)
def test_the_best_stays_and_the_newest_few_besides(folder, keep, left):
    checkpoints = Checkpoints(folder, keep)

    for step in (1, 2, 3, 4, 5):
        checkpoints.put(step, b"%d" % step, best=step <= 2)

    assert steps(checkpoints) == left
    assert (checkpoints.latest(), checkpoints.best()) == ((5, b"5"), (2, b"2"))


def test_where_the_newest_is_the_best_the_one_before_stays(folder):
    keep = Checkpoints(folder, 1)

    for step in (1, 2, 3):
        keep.put(step, b"%d" % step, best=True)

    assert steps(keep) == [(2, True), (3, True)]
    assert keep.best() == (3, b"3")


@pytest.mark.parametrize("length", [8, 9, 12])
def test_steps_are_in_the_order_of_numbers(folder, length):
    keep = Checkpoints(folder, 3)
    small, large = 10**length - 1, 10**length

    keep.put(small, b"before")
    keep.put(large, b"after")

    assert [step for step, _ in steps(keep)] == [small, large]
    assert keep.latest() == (large, b"after")


@pytest.mark.parametrize(
    "how",
    [
        lambda data: data[:-1],
        lambda data: b"",
        lambda data: data + b"\0",
        lambda data: bytes([data[0] ^ 1]) + data[1:],
    ],
    ids=["cut", "empty", "longer", "one bit"],
)
def test_a_damaged_newest_is_passed_over_and_said(folder, damage, caplog, how):
    keep = Checkpoints(folder, 1)
    keep.put(1, b"one", best=True)
    keep.put(2, b"two")
    damage(2, how)

    latest = keep.latest()

    assert latest == (1, b"one")
    assert [
        ("step-00000002" in text, text.endswith("is damaged; it is passed over.")) for text in caplog.messages
    ] == [(True, True)]


def test_a_damaged_best_gives_way_to_the_best_before(folder, damage):
    keep = Checkpoints(folder, 1)
    keep.put(1, b"one", best=True)
    keep.put(2, b"two", best=True)
    damage(2, lambda data: b"")

    best = keep.best()

    assert best == (1, b"one")


def test_a_run_that_went_back_behind_a_damaged_checkpoint_keeps_what_it_saves_then(folder, damage):
    keep = Checkpoints(folder, 1)
    keep.put(4, b"four")
    keep.put(8, b"eight", best=True)
    damage(8, lambda data: b"")

    keep.put(6, b"six")

    assert steps(keep) == [(6, False)]
    assert keep.latest() == (6, b"six")


@pytest.mark.parametrize("again", [b"two", b"another two"])
def test_a_step_that_is_saved_again_replaces_itself_and_stays_the_best(folder, damage, again):
    keep = Checkpoints(folder, 1)
    keep.put(1, b"one")
    keep.put(2, b"two", best=True)
    damage(2, lambda data: b"")

    keep.put(2, again)

    assert steps(keep) == [(1, False), (2, True)]
    assert (keep.latest(), keep.best()) == ((2, again), (2, again))


def test_other_files_are_no_checkpoints(folder):
    keep = Checkpoints(folder, 1)
    keep.put(1, b"one")
    for name in ("step-00000009.safetensors", "step-00000009-best-0123.safetensors", "best.json"):
        (folder / name).write_bytes(b"{}")

    keep.put(2, b"two")

    assert [step for step, _ in steps(keep)] == [2]
    assert (folder / "best.json").exists()


def test_a_full_disk_leaves_the_checkpoint_before(folder, monkeypatch):
    keep = Checkpoints(folder, 1)
    keep.put(1, b"one")
    monkeypatch.setattr(durable, "_passages", Counter())
    monkeypatch.setenv("REGRAFT_FAILPOINTS", "checkpoint.flush=ENOSPC")

    with pytest.raises(StorageError, match=r"^The disk has no room for "):
        keep.put(2, b"two")

    assert (keep.latest(), len(list(folder.iterdir()))) == ((1, b"one"), 1)


@pytest.mark.parametrize(("point", "whole"), [("write", 1), ("flush", 1), ("publish", 1), ("published", 2)])
def test_a_process_that_is_killed_while_it_saves_leaves_whole_checkpoints(folder, point, whole):
    environment = {**os.environ, "REGRAFT_FAILPOINTS": f"checkpoint.{point}=kill@2"}
    body = {1: b"one" * 1000, 2: b"two" * 1000}

    ended = subprocess.run([sys.executable, "-c", SCRIPT, folder], env=environment, check=False)
    keep = Checkpoints(folder, 1)
    found = keep.latest(), keep.best()
    keep.put(3, b"three")

    assert ended.returncode == -9
    assert found == ((whole, body[whole]), (whole, body[whole]))
    assert steps(keep) == [(whole, True), (3, False)]
    assert list(folder.glob(".draft-*")) == []


@pytest.mark.parametrize(("keep_best", "left"), [(True, [(1, True), (4, False)]), (False, [(4, False)])])
def test_of_a_run_that_is_done_the_last_and_the_best_stay(folder, keep_best, left):
    keep = Checkpoints(folder, 3)
    for step in (1, 2, 3, 4):
        keep.put(step, b"%d" % step, best=step == 1)

    keep.clear(keep_best=keep_best)

    assert steps(keep) == left


def test_clearing_nothing_is_no_error(folder):
    keep = Checkpoints(folder, 1)

    keep.clear()

    assert keep.list() == []


@pytest.mark.parametrize(
    ("best", "left"), [(1, [(1, True), (3, False)]), (3, [(3, True)]), (None, [(3, False)])]
)
def test_another_run_goes_on_from_the_latest_and_the_best(folder, tmp_path, best, left):
    old, new = Checkpoints(folder, 3), Checkpoints(tmp_path / "new", 1)
    for step in (1, 2, 3):
        old.put(step, b"%d" % step, best=step == best)

    adopted = new.adopt(old)

    assert (adopted, steps(new)) == (True, left)
    assert (new.latest(), new.best()) == ((3, b"3"), best and (best, b"%d" % best))


def test_where_nothing_is_whole_there_is_nothing_to_go_on_from(folder, damage, tmp_path):
    old, new = Checkpoints(folder, 1), Checkpoints(tmp_path / "new", 1)
    old.put(1, b"one")
    damage(1, lambda data: b"")

    adopted = new.adopt(old)

    assert (adopted, new.list()) == (False, [])


def test_the_bytes_of_one_step_can_be_asked_for(folder, damage):
    keep = Checkpoints(folder, 3)
    for step in (1, 2, 3):
        keep.put(step, b"%d" % step)
    damage(2, lambda data: b"")

    found = [keep.at(step) for step in (1, 2, 3, 4)]

    assert found == [b"1", None, b"3", None]


def test_of_the_weights_of_epochs_those_stay_that_are_retained(folder):
    soup = Checkpoints(folder, 1).soup
    for epoch in range(1, 10):
        soup.put(epoch, b"%d" % epoch)
    before = [epoch for epoch, _ in steps(soup)]

    soup.retain([2, 7, 11])

    assert before == list(range(1, 10))
    assert [(epoch, soup.at(epoch)) for epoch, _ in steps(soup)] == [(2, b"2"), (7, b"7")]


def test_the_weights_of_epochs_are_no_checkpoints_and_stay_when_a_run_is_done(folder):
    keep = Checkpoints(folder, 1)
    keep.put(4, b"four")
    keep.soup.put(1, b"one")

    keep.clear(keep_best=False)

    assert (steps(keep), steps(keep.soup)) == ([(4, False)], [(1, False)])


def test_another_run_takes_the_weights_of_epochs_along(folder, tmp_path):
    old, new = Checkpoints(folder, 1), Checkpoints(tmp_path / "new", 1)
    old.put(8, b"eight")
    for epoch in (1, 2):
        old.soup.put(epoch, b"%d" % epoch)

    new.adopt(old)

    assert [(epoch, new.soup.at(epoch)) for epoch, _ in steps(new.soup)] == [(1, b"1"), (2, b"2")]
