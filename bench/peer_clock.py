"""What the scripts of the peers share; it needs nothing but Python."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path


def compare(
    ingest: Callable[[list[Path], Path], object],
    iterate: Callable[[object], int],
    access: Callable[[object, int], int],
    *,
    times: int,
) -> None:
    """Time three jobs on the files of a folder, check that all bytes came back, and print the seconds."""
    files = sorted(Path(sys.argv[1]).rglob("*.jpg"))
    size = sum(file.stat().st_size for file in files)
    began = time.process_time()
    made = ingest(files, Path(sys.argv[2]))
    seconds = {"ingest": time.process_time() - began}
    began = time.process_time()
    given = iterate(made)
    seconds["iterate"] = time.process_time() - began
    if given != size:
        sys.exit(f"{given} bytes came back of {size}")
    places = [random.Random(0).randrange(len(files)) for _ in range(times)]
    began = time.perf_counter()
    for place in places:
        access(made, place)
    seconds["access"] = (time.perf_counter() - began) / times
    print(json.dumps(seconds))
