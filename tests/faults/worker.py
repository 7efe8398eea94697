"""Somebody who works on a store without end, and tells of each step when it is acknowledged."""

from __future__ import annotations

import json
import os
import time
from hashlib import sha256
from io import BytesIO
from itertools import count
from pathlib import Path
from random import Random

from PIL import Image
from tests.faults.judge import label_of

import regraft
from regraft.errors import ConflictError, NotFoundError

#: The dataset to which everybody appends.
SHARED = "shared"


def picture(name: str) -> bytes:
    """Draw a small picture that depends on a name and on nothing else."""
    noise = b"".join(sha256(f"{name}:{part}".encode()).digest() for part in range(6))
    buffer = BytesIO()
    Image.frombytes("RGB", (8, 8), noise).save(buffer, format="PNG")
    return buffer.getvalue()


def work(
    root: Path, number: int, seed: object, pipe: int, *, turns: int | None = None, pause: float = 0
) -> None:
    """Append, begin datasets, tag, remove and recover; say before and after each step what it is.

    `number` tells one worker from the others; each has tags and datasets of its own, and they share one.
    """

    def say(step: str, **facts: object) -> None:
        os.write(pipe, json.dumps({"step": step, "by": number, **facts}).encode() + b"\n")
        if step in ("committed", "tagged", "hidden"):
            time.sleep(pause)

    random = Random(f"{seed}:{number}")
    datasets = regraft.open(root).datasets
    last = 0
    hidden: dict[str, bool] = {}
    for turn in range(turns) if turns else count():
        chance = random.random()
        if last and chance < 0.2:
            say("tagging", tag=f"best-{number}", version=last)
            datasets.tag(f"{SHARED}:v{last}", f"best-{number}")
            say("tagged", tag=f"best-{number}", version=last)
        elif hidden and chance < 0.35:
            name = random.choice(sorted(hidden))
            hide = not hidden[name]
            say("hiding", name=name, hide=hide)
            try:
                _ = datasets.remove(name) if hide else datasets.recover(name)
            except NotFoundError:  # somebody has collected it
                del hidden[name]
                continue
            say("hidden", name=name, hide=hide)
            hidden[name] = hide
        else:
            new = chance < 0.5
            name = f"new-{seed}-{number}-{turn}" if new else SHARED
            found = [
                picture(f"{name}-{seed}-{number}-{turn}-{index}") for index in range(random.randint(1, 3))
            ]
            decode = random.random() < 0.5  # then more is written, and flushed, after the version
            digests = [sha256(data).hexdigest() for data in found]
            try:
                with datasets.build(name, mode="append", decode=decode) as rows:
                    for data, digest in zip(found, digests, strict=True):
                        rows.append(data, label=label_of(digest))
            except ConflictError:
                continue
            version = rows.added.version
            say("committed", name=name, version=version.number, digest=version.digest, pictures=digests)
            if new:
                hidden[name] = False
            else:
                last = version.number
