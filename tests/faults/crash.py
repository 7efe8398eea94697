"""Let workers work on stores, end them at a random moment, and judge what is left.

    python -m tests.faults.crash '{"root": ..., "rounds": 100, "writers": 1, "seed": 0, ...}'

Each worker is a process of its own that is killed with SIGKILL. With an `image`, the root lies on a file
system of its own in that file, and its power is cut before: whatever was not flushed is gone. Then this needs
root, and a mount namespace of its own: `unshare --mount python -m tests.faults.crash ...`. A line of JSON for
each round tells how many steps were acknowledged and what is wrong; the first fault ends it.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import signal
import struct
import subprocess
import sys
import time
import traceback
from pathlib import Path
from random import Random
from typing import Any

import numpy.ma  # noqa: F401 (here, so that no child has to import it)
import pyarrow.compute
import pyarrow.parquet  # noqa: F401
from PIL import Image
from tests.faults import judge, mutants, worker

import regraft.data.building
import regraft.data.diff
import regraft.workspace.main  # noqa: F401

Acks = list[dict[str, Any]]
#: EXT4_IOC_SHUTDOWN: the file system forgets what has not reached the disk, its own log included.
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
#: So many rounds use one store.
_STORE = 10


def fork(function: Any, *arguments: Any) -> tuple[int, int]:
    """Run a function with the writing end of a pipe in a new process; return its id and the reading end."""
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        return child, reading
    status = 1
    try:
        os.close(reading)
        signal.alarm(60)
        function(*arguments, writing)
        status = 0
    except BaseException:
        traceback.print_exc()
    os._exit(status)


def drain(child: int, pipe: int) -> tuple[int, bytes]:
    """Wait for a child and return its status and what it has written."""
    with os.fdopen(pipe, "rb") as stream:
        data = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), data


def lines(data: bytes) -> list[dict[str, Any]]:
    """Return the whole lines of what a child wrote."""
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


def start(plan: dict[str, Any], root: Path, number: int, seed: str) -> tuple[int, int]:
    def run(pipe: int) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # a cut disk makes it fail, loudly
        mutants.plant(plan["mutant"])
        worker.work(root, number, seed, pipe, pause=plan["pause"])

    return fork(run)


def cut(mount: Path) -> None:
    handle = os.open(mount, os.O_RDONLY)
    fcntl.ioctl(handle, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    os.close(handle)


def main(plan: dict[str, Any]) -> None:
    Image.init()
    random = Random(plan["seed"])
    top = Path(plan["root"])
    image = plan["image"]
    if image:
        subprocess.run(["mount", "-o", "loop", image, top], check=True)
    try:
        acks: Acks = []
        for number in range(plan["rounds"]):
            root = top / f"store-{number // _STORE}"
            if number % _STORE == 0:
                acks = []
                shutil.rmtree(top / f"store-{number // _STORE - 1}", ignore_errors=True)
            delay = random.uniform(*plan["delays"])
            children = [start(plan, root, one, f"{plan['seed']}-{number}") for one in range(plan["writers"])]
            if random.random() < 0.75:  # also a slow machine has something to lose; the rest meets beginnings
                select.select([pipe for _, pipe in children], [], [], 10)
            time.sleep(delay)
            if image:
                cut(top)
                time.sleep(0.005)  # whoever acknowledges something now, lies
            for child, _ in children:
                os.kill(child, signal.SIGKILL)
            said = [drain(*child) for child in children]
            if image:
                subprocess.run(["umount", top], check=True)
                subprocess.run(["mount", "-o", "loop", image, top], check=True)
            before = len(acks)
            acks += [ack for _, data in said for ack in lines(data)]

            def verdict(pipe: int, root: Path = root, acks: Acks = acks, before: int = before) -> None:
                os.write(pipe, json.dumps(judge.faults(root, acks, since=before)).encode() + b"\n")

            _, data = drain(*fork(verdict))
            found = (lines(data) or [["the judge died"]])[0]
            ended = [status for status, _ in said]
            print(json.dumps({"acks": len(acks) - before, "ended": ended, "faults": found}), flush=True)
            if found:
                break
    finally:
        if image:
            subprocess.run(["umount", "--lazy", top], check=True)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
