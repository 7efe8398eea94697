"""Faults at each system call of a command that makes something durable; nothing in the program marks them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.faults import judge
from tests.faults.scenes import Scene

_TRACED = (
    "-e",
    "trace=write,pwrite64,fsync,fdatasync,link,linkat,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,truncate,ftruncate,chmod,fchmod,utimensat",
)
#: More points than this are met in steps.
_POINTS = 150
_NAME = re.compile(r"^\d+ +(\w+)\(")
_FLUSH = re.compile(r" fsync\(\d+<(.+)>\) +=")


def killed(scene: Scene, run: Callable[..., Any]) -> tuple[list[str], int]:
    """Kill a command at its system calls, one by one; return what is wrong afterwards, and how many."""
    old = judge.state(scene.begin())
    root = scene.begin()
    calls = [_NAME.search(line)[1] for line in _lines(run(*scene.words(root), strace=_TRACED).trace)]
    new = judge.state(root)
    found = []
    points = [(name, number) for name, times in Counter(calls).items() for number in range(1, times + 1)]
    points = points[:: len(points) // _POINTS + 1]
    for name, number in points:
        root = scene.begin()
        ended = run(*scene.words(root), strace=[*_TRACED, "-e", f"inject={name}:signal=KILL:when={number}"])
        where = f"killed at {name} {number}: "
        if ended.status != -9:
            found.append(f"{where}it was not: {ended.status}")
        state = judge.state(root)
        if state not in (old, new) or (ended.out and state != new):
            found.append(f"{where}it shows something else than it should")
        found += [where + fault for fault in judge.damage(root)]
        again = run(*scene.words(root))
        if again.status != 0 or judge.state(root) != new:
            found.append(f"{where}again it ends differently: {again}")
        if found:
            break
    return found, len(points)


def unflushed(scene: Scene, run: Callable[..., Any], *, mutant: str = "") -> tuple[list[str], int]:
    """Let each flush of a command fail; return what is wrong afterwards and how many mattered.

    A flush that failed is never tried again, and nothing is acknowledged after it.
    """
    old = judge.state(scene.begin())
    root = scene.begin()
    paths = flushed(run(*scene.words(root), strace=["-y", "-e", "trace=fsync"]).trace)
    new = judge.state(root)
    flushes = len(paths)
    found, mattered = [], 0
    for number in range(1, flushes + 1):
        root = scene.begin()
        options = ["-y", "-e", "trace=fsync", "-e", f"inject=fsync:error=EIO:when={number}"]
        ended = run(*scene.words(root), strace=options, mutant=mutant)
        where = f"flush {number} of {flushes} failed: "
        paths = flushed(ended.trace)
        state = judge.state(root)
        optional = paths[number - 1].startswith(f"{root}/cache")  # can be computed again
        mattered += not optional
        if optional:
            expected = ended.status == 0 and state == new
        elif state == old:
            expected = ended.status == 1 and not ended.out
        else:  # the version shows, but whether it stays is not known
            expected = ended.status == 1 and state == new and '"UnknownOutcomeError"' in ended.err
        if not expected:
            found.append(f"{where}{paths[number - 1]}: {ended}")
        if not optional and paths[number - 1] in paths[number:]:
            found.append(f"{where}{paths[number - 1]} is flushed again")
        found += [where + fault for fault in judge.damage(root)]
        again = run(*scene.words(root))
        if again.status != 0 or judge.state(root) != new:
            found.append(f"{where}again it ends differently: {again}")
        if found:
            break
    return found, mattered


def flushed(trace: str) -> list[str]:
    """Return the paths of what was flushed, in order."""
    return [match[1] for match in map(_FLUSH.search, _lines(trace)) if match]


def _lines(trace: str) -> list[str]:
    """Return the calls, without signals and exits."""
    return [
        line for line in trace.splitlines() if "(" in line and "+++" not in line and "resumed" not in line
    ]
