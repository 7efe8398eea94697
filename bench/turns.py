"""Arms of a benchmark, each in a process of its own, that stay alive and take turns.

What one arm asks of its process, such as how the C library keeps memory, does not reach the other, and the
most memory that an arm had is its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from measuring import peak

#: What an arm says of one piece of work.
Said = dict[str, Any]


class Arm:
    """A script beside this file, which works whenever it is asked to."""

    def __init__(self, script: str, *arguments: object) -> None:
        self._script = script
        command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)]
        self._child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Arm:
        return self

    def __exit__(self, *error: object) -> None:
        self._child.stdin.close()
        self._child.wait()
        self._child.stdout.close()

    def ask(self, work: str) -> Said:
        """Let it do some work, and return what it says of it; the other arms wait meanwhile."""
        self._child.stdin.write(f"{work}\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise ChildProcessError(f"{self._script} ended with {self._child.wait()}")
        return json.loads(line)


def serve(do: Callable[[str], Mapping[str, Any]]) -> None:
    """Be an arm: do what each line of standard input asks for, and say what it gave, until there is none."""
    for line in sys.stdin:
        print(json.dumps({**do(line.strip()), "peak": peak()}), flush=True)
