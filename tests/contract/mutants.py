"""Damage files in the ways in which disks, networks and attackers do; also a program that reads the damaged.

    python mutants.py CASES COUNT SCRATCH

Below CASES lies a folder for each case: a file called `a.*` that is damaged, and perhaps what it names; or
several files, of which one is damaged at a time. Each case is damaged COUNT times and read in full. What came
of it is printed as JSON. Five seconds with one mutant, or 4 GiB, are the end of the process.
"""

from __future__ import annotations

import gzip
import json
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

_EXTREMES = (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80", b"99999999999")
_WAYS = ("flip", "flip", "byte", "extreme", "cut", "double", "drop", "splice", "zero")


def mutate(data: bytes, chance: random.Random, others: Sequence[bytes] = ()) -> bytes:
    """Return some bytes with one to eight changes; ends and beginnings are hit the most."""
    changed = bytearray(data)
    for _ in range(chance.choice([1, 1, 1, 2, 4, 8])):
        if not changed:
            break
        near = chance.randrange(chance.choice([64, 1024, len(changed)])) % len(changed)
        at = len(changed) - 1 - near if chance.random() < 0.4 else near
        match chance.choice(_WAYS):
            case "flip":
                changed[at] ^= 1 << chance.randrange(8)
            case "byte":
                changed[at] = chance.randrange(256)
            case "extreme":
                extreme = chance.choice(_EXTREMES)
                changed[at : at + len(extreme)] = extreme
            case "cut":
                del changed[at + 1 :]
            case "double":
                changed[at:at] = changed[at : at + chance.randrange(1, 600)]
            case "drop":
                del changed[at + 1 : at + chance.randrange(2, 600)]
            case "splice":
                other = chance.choice([*others, data])
                start = chance.randrange(len(other) or 1)
                changed[at:at] = other[start : start + chance.randrange(1, 600)]
            case "zero":
                length = chance.randrange(1, 64)
                changed[at : at + length] = bytes(len(changed[at : at + length]))
    return bytes(changed)


def mutants(data: bytes, count: int, *, seed: int = 0, others: Sequence[bytes] = ()) -> Iterator[bytes]:
    """Yield damaged copies of some bytes; every other one that gzip packed was damaged before."""
    chance = random.Random(seed)
    inner = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else b""
    for number in range(count):
        if inner and number % 2:
            yield gzip.compress(mutate(inner, chance, others), compresslevel=1)
        else:
            yield mutate(data, chance, others)


def _read(path: Path) -> str:
    """Read a source and all its pictures, and say what came of it."""
    from regraft.data.sources import readers
    from regraft.errors import InvalidPicture, RegraftError

    try:
        listing = readers.read(path)
    except RegraftError:
        return "refused"
    damaged = bool(listing.refused)
    for entry in listing.entries:
        json.dumps([entry.key, entry.label, entry.split, entry.group, entry.metadata]).encode()
        try:
            entry.read()
        except InvalidPicture:
            damaged = True
    return "read in part" if damaged else "read"


def main(cases: Path, count: int, scratch: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (4 * 2**30, 4 * 2**30))
    outcomes: dict[str, Counter[str]] = {}
    escaped = []
    slowest = 0.0
    everything = [path.read_bytes() for path in sorted(cases.rglob("*")) if path.is_file()]
    for case in sorted(cases.iterdir()):
        files = sorted(path for path in case.iterdir() if path.is_file())
        place = scratch / case.name
        place.mkdir(parents=True)
        for file in files:
            (place / file.name).write_bytes(file.read_bytes())
        main_file = next((place / file.name for file in files if file.name.startswith("a.")), None)
        files = [file for file in files if main_file is None or file.name == main_file.name]
        found = outcomes[case.name] = Counter()
        for file in files:
            whole = file.read_bytes()
            damaged = mutants(whole, count // len(files), others=everything)
            for number, data in enumerate(damaged):
                (place / file.name).write_bytes(data)
                signal.alarm(5)
                began = time.perf_counter()
                try:
                    found[_read(main_file or place)] += 1
                except Exception as error:
                    escaped.append(f"{case.name} {file.name} {number}: {error!r}")
                slowest = max(slowest, time.perf_counter() - began)
                signal.alarm(0)
            (place / file.name).write_bytes(whole)
    print(json.dumps({"outcomes": outcomes, "escaped": escaped, "slowest": slowest}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
