"""Give damaged bytes to the doors through which strangers' files come, in processes that may die.

Each batch is a process of its own, forked from this one, with little memory, and an alarm for each mutant. It
says which mutant it is at, so that one that ends the process is known, and the rest of the batch goes on.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

#: For so long one mutant may be worked on, in seconds of the processor, and with so much more
#: memory than there was, in bytes.
PATIENCE = 5
MEMORY = 2 * 2**30

#: Read a mutant, by its number, and say in a word what came of it; what it raises has escaped.
Look = Callable[[int], str]

#: What Python says before it writes a name somewhere, besides opening a file, or starts something.
_WRITES = (
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.rename",
    "os.remove",
    "os.truncate",
    "os.chmod",
    "os.utime",
)
_STARTS = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "subprocess.Popen",
    "socket.connect",
    "pickle.find_class",
)


@dataclass(kw_only=True)
class Outcome:
    """What came of all mutants."""

    words: Counter[str] = field(default_factory=Counter)
    #: How mutants ended their process, and what they let out, by number.
    deaths: dict[int, str] = field(default_factory=dict)
    escaped: dict[int, str] = field(default_factory=dict)
    #: Seconds that the slowest took.
    slowest: float = 0.0


def survey(
    look: Look,
    numbers: Sequence[int],
    *,
    prepare: Callable[[int], object] = id,
    writes_below: str = "",
    batch: int = 500,
    processes: int = 2,
) -> Outcome:
    """Look at many mutants, a few processes at a time, each when it is prepared.

    Who looks may write nothing, or only below one folder, and start nothing.
    """
    outcome = Outcome()
    waiting = [numbers[start : start + batch] for start in range(0, len(numbers), batch)]
    running: list[_Child] = []
    while waiting or running:
        while waiting and len(running) < processes:
            running.append(_Child(look, waiting.pop(), prepare, writes_below))
        time.sleep(0.002)
        for child in list(running):
            process, status = os.waitpid(child.process, os.WNOHANG)
            if process:
                running.remove(child)
                if rest := child.end(os.waitstatus_to_exitcode(status), outcome):
                    waiting.append(rest)
    return outcome


class _Child:
    """A process that looks at some mutants, and what it says of them."""

    def __init__(
        self, look: Look, numbers: Sequence[int], prepare: Callable[[int], object], writes_below: str
    ) -> None:
        self._numbers = numbers
        self._said = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 (closed in `end`)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # no thread of ours is at work
            self.process = os.fork()
        if not self.process:
            try:
                self._work(look, prepare, writes_below)
            finally:
                os._exit(1)

    def end(self, status: int, outcome: Outcome) -> Sequence[int]:
        """Add what was said; return the mutants that the child did not come to."""
        with self._said as said:
            said.seek(0)
            for line in said:
                number, word, error, seconds = json.loads(line)
                outcome.words[word] += 1
                outcome.slowest = max(outcome.slowest, seconds)
                if error:
                    outcome.escaped[number] = error
                self._numbers = self._numbers[1:]
        if self._numbers:
            outcome.deaths[self._numbers[0]] = (
                "hangs" if -status in (signal.SIGALRM, signal.SIGPROF) else f"status {status}"
            )
        return self._numbers[1:]

    def _work(self, look: Look, prepare: Callable[[int], object], writes_below: str) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff says what it thinks
        held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        for alarm in (signal.SIGALRM, signal.SIGPROF):
            signal.signal(alarm, signal.SIG_DFL)
        warnings.simplefilter("error")
        written: list[str] = []
        sys.addaudithook(_listener(written, writes_below))
        for number in self._numbers:
            prepare(number)
            written.clear()
            signal.setitimer(signal.ITIMER_PROF, PATIENCE)
            signal.alarm(20 * PATIENCE)  # where it waits and does not work
            began = time.process_time()
            word, error = "escaped", ""
            try:
                word = look(number)
            except BaseException:
                error = traceback.format_exc()
            seconds = time.process_time() - began
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            if written:
                error += f"\nit did: {written}"
            self._said.write(json.dumps([number, word, error, seconds]) + "\n")
            self._said.flush()
        os._exit(0)


def _listener(done: list[str], below: str) -> Callable[[str, tuple[object, ...]], None]:
    def listen(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and not _writes(arguments[2]):
            return
        if event == "open" or event in _WRITES:
            places = [os.fsdecode(one) for one in arguments[:2] if isinstance(one, str | bytes | os.PathLike)]
            if below and all(
                os.path.realpath(place).startswith(below) for place in places[: 1 + (event != "open")]
            ):
                return
        elif event not in _STARTS:
            return
        done.append(f"{event} {arguments}")

    return listen


def _writes(flags: object) -> bool:
    return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
