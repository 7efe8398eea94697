"""Commands that make something durable, each with a store to begin with, and faults at their points."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults import judge

from regraft.durable import DRAFT

#: What a command line says when the disk fails at a point, and how it exits.
NO_ROOM = r"The disk has no room for '{root}/[^']+' \(No space left on device\)\."
FAILING = r"'{root}/[^']+' cannot be written \(Input/output error\)\."
FORBIDDEN = r"'{root}/[^']+' cannot be written \(Permission denied\)\."
UNKNOWN = r"'{root}/[^']+' was written, but the disk did not confirm it \([A-Z][a-z/ ]+\)\."
REFUSALS = {
    "ENOSPC": ("StorageError", 1, NO_ROOM),
    "EIO": ("StorageError", 1, FAILING),
    "EACCES": ("NotAllowedError", 7, FORBIDDEN),
}


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One command upon one store."""

    #: The store before, which is copied; None for none.
    before: Path | None
    #: The words of the command, given the folder of the store.
    words: Callable[[Path], list[object]]
    #: The stem of the failpoint behind which the result shows; empty where a store shows the same afterwards.
    visible: str
    #: How the command exits where it has been run already.
    again: int = 0
    place: Path = field(repr=False)

    def begin(self) -> Path:
        """Give the store a new copy of what it was before."""
        case = self.place / "case"
        shutil.rmtree(case, ignore_errors=True)
        if self.before:
            shutil.copytree(self.before, case)
        return case


def make(run: Any, top: Path, picture: Callable[[str], bytes]) -> dict[str, Scene]:
    """Make the stores that the scenes begin with, and the scenes by name."""

    def folder(name: str, **counts: int) -> Path:
        for label, number in counts.items():
            (top / name / label).mkdir(parents=True)
            for index in range(number):
                (top / name / label / f"{index}.png").write_bytes(picture(f"{label}/{index}"))
        return top / name

    def done(*words: object) -> None:
        ended = run(*words)
        assert ended.status == 0, (words, ended)

    photos, more, other = folder("photos", cat=3, dog=2), folder("more", cat=4, dog=3), folder("other", owl=3)
    (more / "cat" / "note.txt").write_text("Buy more film.")
    (top / "rows.jsonl").write_text(json.dumps({"path": str(other / "owl" / "0.png"), "label": "owl"}))
    one, two, three = top / "one", top / "two", top / "three"
    done("dataset", "add", "photos", photos, "--workspace", one)
    shutil.copytree(one, two)
    done("dataset", "add", "photos", more, "--workspace", two)
    done("dataset", "tag", "photos:v1", "best", "--workspace", two)
    done("dataset", "add", "gone", other, "--workspace", two)
    done("dataset", "export", "photos:v2", top / "photos.regraft", "--workspace", two)
    shutil.copytree(two, three)
    done("dataset", "remove", "gone", "--workspace", three)
    stale = three / "packs" / f"{DRAFT}stale"  # of somebody who was killed two hours ago
    stale.write_bytes(b"half a pack")
    os.utime(stale, (time.time() - 7200,) * 2)
    numbers = count()

    def scene(
        before: Path | None, *words: object, visible: str = "catalog.commit", again: int = 0, to: bool = False
    ) -> Scene:
        def command(root: Path) -> list[object]:
            return ["dataset", *words, *([root] if to else ["--workspace", root]), "--json"]

        place = top / f"scene-{next(numbers)}"
        return Scene(before=before, words=command, visible=visible, again=again, place=place)

    gc = Scene(
        before=three,
        words=lambda root: ["store", "gc", "--grace", "0", "--workspace", root, "--json"],
        visible="",
        place=top / "scene-gc",
    )
    return {
        "first version": scene(None, "add", "photos", more),
        "second version": scene(one, "add", "photos", more),
        "another dataset": scene(one, "add", "other", other),
        "append": scene(one, "build", "photos", top / "rows.jsonl", "--mode", "append"),
        "edit": scene(one, "edit", "photos", "--relabel", "cat/0.png=dog"),
        "tag": scene(two, "tag", "photos:v2", "best", visible="catalog.tag"),
        "remove": scene(two, "remove", "gone", visible="catalog.remove", again=3),
        "recover": scene(three, "recover", "gone", visible="catalog.recover", again=3),
        "gc": gc,
        "import": scene(one, "import", top / "photos.regraft"),
        "copy": scene(None, "copy", "photos:v2", "--workspace", two, to=True),
    }


def _known(scene: Scene, run: Any) -> tuple[judge.State, judge.State, list[str], int]:
    """Run a command undisturbed: what the store shows before and after, and its points in order."""
    root = scene.begin()
    old = judge.state(root) if scene.before else {}
    ended = run(*scene.words(root))
    assert ended.status == 0, ended
    points = list(ended.passages)
    shows = points.index(f"{scene.visible}.published") if scene.visible else len(points)
    return old, judge.state(root), points, shows


def _passages(points: list[str]) -> Iterator[tuple[int, str, int]]:
    met: Counter[str] = Counter()
    for index, point in enumerate(points):
        met[point] += 1
        yield index, point, met[point]


def killed(scene: Scene, run: Any, *, mutant: str = "") -> tuple[list[str], set[str]]:
    """Kill a command at each of its points; return what is wrong afterwards, and the points."""
    old, new, points, shows = _known(scene, run)
    found = []
    for index, point, passage in _passages(points):
        root = scene.begin()
        ended = run(*scene.words(root), failpoints=f"{point}=kill@{passage}", mutant=mutant)
        where = f"killed at {point} {passage}: "
        if ended.status != -9:
            found.append(f"{where}it was not: {ended}")
        found += [where + fault for fault in _wrong(root, new if index >= shows else old)]
        again = run(*scene.words(root))
        if again.status not in (0, scene.again) or judge.state(root) != new:
            found.append(f"{where}again it ends differently: {again}")
        found += [where + fault for fault in judge.damage(root)]
        if found:
            break
    return found, set(points)


def refused(scene: Scene, run: Any, *, mutant: str = "") -> list[str]:
    """Let the disk refuse each point of a command, for changing reasons; return what is wrong afterwards."""
    old, new, points, shows = _known(scene, run)
    found = []
    reasons = list(REFUSALS)
    for index, point, passage in _passages(points):
        if "." not in point or (point.startswith("gc.") and point.count(".") == 1):
            continue  # stands before a call that fails by itself
        code = reasons[(index + passage) % len(reasons)]
        root = scene.begin()
        ended = run(*scene.words(root), failpoints=f"{point}={code}@{passage}", mutant=mutant)
        where = f"{code} at {point} {passage}: "
        optional = point.startswith("sidecar.")  # what can be computed again may be missing
        found += [where + fault for fault in _unclear(root, ended, code, point, optional=optional)]
        shown = new if index >= shows or optional else old
        found += [where + fault for fault in _wrong(root, shown)]
        if drafts := [str(path) for path in root.rglob(".draft-*") if "stale" not in path.name]:
            found.append(f"{where}{drafts} stay")
        again = run(*scene.words(root))
        if again.status not in (0, scene.again) or judge.state(root) != new:
            found.append(f"{where}again it ends differently: {again}")
        if found:
            break
    return found


def _wrong(root: Path, expected: judge.State) -> list[str]:
    if not root.exists():
        return ["nothing is there"] if expected else []
    if found := judge.damage(root):
        return found
    return [] if judge.state(root) == expected else ["it shows something else than it should"]


def _unclear(root: Path, ended: Any, code: str, point: str, *, optional: bool) -> list[str]:
    if optional:
        return [] if ended.status == 0 else [f"it matters: {ended}"]
    kind, status, message = REFUSALS[code]
    if point.endswith(".published"):
        kind, status, message = "UnknownOutcomeError", 1, UNKNOWN
    try:
        error: dict[str, str] = json.loads(ended.err)
    except ValueError:
        return [f"no clear error: {ended}"]
    clear = (error["error"], ended.status, ended.out) == (kind, status, "") and error["hint"].endswith(".")
    said = re.fullmatch(message.format(root=re.escape(str(root))), error["message"])
    return [] if clear and said else [f"no clear error: {ended}"]
