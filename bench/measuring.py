"""Time and memory of work in this process and in children, and ratios of paired rounds."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

REGRAFT = [sys.executable, "-m", "regraft"]
ROUNDS = 3
#: (CPU, wall) seconds.
Seconds = tuple[float, float]


def timed(work: Callable[[], object]) -> tuple[object, Seconds]:
    """Return what some work gives, and its (CPU, wall) seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    result = work()
    return result, (time.process_time() - cpu, time.perf_counter() - wall)


def timed_child(command: list[str]) -> Seconds:
    """Run a command and return its (CPU, wall) seconds, its children included."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - wall


def ratios(theirs: list[Seconds], ours: list[Seconds]) -> Seconds:
    """Return the medians of the paired (CPU, wall) ratios."""
    pairs = list(zip(theirs, ours, strict=True))
    return tuple(statistics.median(a[i] / b[i] for a, b in pairs) for i in (0, 1))


def report(name: str, seconds: list[Seconds], words: str = "") -> None:
    """Print the medians of one arm."""
    cpu, wall = (statistics.median(s[i] for s in seconds) for i in (0, 1))
    say(f"  {name:8} {cpu:8.3f} s CPU {wall:8.3f} s wall  {words}")


def say(text: str) -> None:
    """Print at once."""
    print(text, flush=True)


def child(code: str, *arguments: object) -> dict[str, float]:
    """Run some Python beside these files in a process of its own; it prints what it found as JSON."""
    command = [sys.executable, "-c", code, *map(str, arguments)]
    run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent)
    return json.loads(run.stdout.splitlines()[-1])


def forget(paths: list[Path]) -> None:
    """Ask the system to drop files from its memory; the disk may have a memory of its own."""
    for path in paths:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(handle)


def peak() -> float:
    """Return the most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
