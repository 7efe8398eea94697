"""What a store promises beside durability: each function says how its promise was broken, if it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults import judge
from tests.faults.scenes import Scene

Run = Callable[..., Any]
_COLLECT = ("store", "gc", "--grace", "0", "--workspace")


def what_is_being_written_is_not_collected(scene: Scene, run: Run, mutant: str = "") -> list[str]:
    """Collect garbage in the moment before a version is published."""
    root = scene.begin()
    meanwhile = ("catalog.commit.publish", (*_COLLECT, root))
    return _went_well(run(*scene.words(root), meanwhile=meanwhile, mutant=mutant)) + judge.damage(root)


def what_is_used_again_is_not_collected(scene: Scene, run: Run, mutant: str = "") -> list[str]:
    """Do the same where a writer that was killed has left what the version needs."""
    root = scene.begin()
    run(*scene.words(root), failpoints="catalog.commit.publish=kill")
    time.sleep(0.05)  # what it left is older than the next lease, by the clock of the disk
    meanwhile = ("catalog.commit.publish", (*_COLLECT, root))
    return _went_well(run(*scene.words(root), meanwhile=meanwhile, mutant=mutant)) + judge.damage(root)


def what_was_removed_can_be_recovered_for_a_day(scene: Scene, run: Run, mutant: str = "") -> list[str]:
    """Remove a version, collect garbage with the usual grace, and recover the version."""
    root = scene.begin()
    before = judge.state(root)
    words = ("--workspace", root)
    ends = [run(*scene.words(root)), run("store", "gc", *words, mutant=mutant)]
    ends.append(run("dataset", "recover", "gone", *words))
    kept = [] if judge.state(root) == before else ["it shows something else than before"]
    return [fault for ended in ends for fault in _went_well(ended)] + kept + judge.damage(root)


def a_number_is_never_given_again(scene: Scene, run: Run, mutant: str = "") -> list[str]:
    """Remove the version that a commit gave, commit another one, and recover the first."""
    root = scene.begin()
    words = ("--workspace", root, "--json")
    acks = []
    for step in (scene.words(root), ["dataset", "edit", "photos", "--relabel", "cat/1.png=dog", *words]):
        run(*step)
        info = json.loads(run("dataset", "info", "photos", *words).out)
        name, _, number = info["ref"].rpartition(":v")
        ack = {"step": "committed", "name": name, "version": int(number), "digest": info["digest"]}
        acks.append({**ack, "pictures": []})
        run("dataset", "remove", info["ref"], *words, mutant=mutant)
    return judge.faults(root, acks, since=len(acks))


def a_picture_keeps_its_split(scene: Scene, run: Run, mutant: str = "") -> list[str]:
    """Add pictures to those that are there."""
    root = scene.begin()
    return _went_well(run(*scene.words(root), mutant=mutant)) + judge.damage(root)


def a_damaged_picture_is_not_handed_out(scene: Scene, run: Run, mutant: str = "") -> list[str]:
    """Flip a bit of a pack, and export its pictures."""
    root = scene.begin()
    for pack in (root / "packs").rglob("??*"):
        if pack.is_file():
            _flip(pack, pack.stat().st_size // 2)
    ended = run("dataset", "export", "photos:v1", root / "out.zip", "--workspace", root, mutant=mutant)
    return [] if ended.status == 6 else [f"a damaged picture is handed out: {ended}"]


def a_damaged_version_is_not_shown(scene: Scene, run: Run, mutant: str = "") -> list[str]:
    """Change a digit of a version's file, and ask what the version holds."""
    root = scene.begin()
    for file in (root / "datasets").rglob("v1.json"):
        data = file.read_text()
        file.chmod(0o644)
        file.write_text(data.replace('"count": 5', '"count": 6'))
        assert file.read_text() != data, data[:300]
    ended = run("dataset", "info", "photos:v1", "--workspace", root, mutant=mutant)
    return [] if ended.status == 6 else [f"a damaged version is shown: {ended}"]


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)


def _went_well(ended: Any) -> list[str]:
    return [] if ended.status == 0 else [f"it failed: {ended}"]
