"""One of several processes that train a net together: `python -m regraft.backends.worker STORE RUN FOLDER`.

Whoever starts it says in the environment which of them it is, as torch's launchers do. What becomes of it is
told in FOLDER: in `RANK.process` when it begins, in `RANK.outcome` at its end; `progress` is the first one's.
How a process exits says nothing: libraries may abort when all is done.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import FrameType

from regraft import durable
from regraft.errors import RegraftError, Terminated
from regraft.progress import Progress, silent
from regraft.records import Record, encode
from regraft.store.journal import Run
from regraft.store.opening import Store, open_store
from regraft.store.processes import started

#: The endings of the names of what a process tells, and the name of how far the first one is.
PROCESS, OUTCOME, PROGRESS = ".process", ".outcome", "progress"

#: Seconds between two looks whether the process that holds the run is there.
_PAUSE = 0.2


class Process(Record):
    """Where a process is found, so that signals reach it."""

    id: int
    started: str


class Outcome(Record):
    """What became of a process; without an error it came to the end."""

    #: Seconds since 1970: of several errors the first one caused the others.
    time: float
    #: Class of the error.
    error: str = ""
    message: str = ""
    hint: str = ""


def main(address: str, run_id: str, folder: Path) -> int:
    """Train along, tell what came of it, and return what to exit with."""
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what the command prints is not for libraries
    rank = int(os.environ["RANK"])
    store = open_store(address)
    run = store.journal.find(run_id)
    try:
        _end_with(run.record.process)
        _hear(run)
        here = Process(id=os.getpid(), started=started(os.getpid()))
        durable.put(folder / f"{rank}{PROCESS}", encode(here))
        _train(store, run, folder, rank)
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, Exception) and not isinstance(error, RegraftError):
            run.log(f"process {rank}: {traceback.format_exc()}")
        durable.put(folder / f"{rank}{OUTCOME}", encode(_told(error)))
        os._exit(1)  # others may hold what an orderly exit would wait for
    return 0


def _train(store: Store, run: Run, folder: Path, rank: int) -> None:
    from regraft.engine import distributed  # torch: seconds, in which signals are heard already
    from regraft.jobs.execute import train_along

    distributed.join()
    train_along(store, run, silent if rank else _teller(folder / PROGRESS))
    distributed.wait()
    _hear_nothing()
    durable.put(folder / f"{rank}{OUTCOME}", encode(Outcome(time=time.time())))
    distributed.leave()


def _hear(run: Run) -> None:
    """Let the first signal end this process, and no other one but a kill.

    The same one may come from the system and from the process that holds the run.
    """

    def hear(number: int, _: FrameType | None) -> None:
        _hear_nothing()
        if not run.polling:
            raise Terminated if number == signal.SIGTERM else KeyboardInterrupt
        run.signal = number

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, hear)


def _hear_nothing() -> None:
    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, signal.SIG_IGN)


def _end_with(parent: int) -> None:
    """End here and now when the process that holds the run is gone: nobody would take what comes."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(_PAUSE)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def _teller(file: Path) -> Progress:
    """Return what writes how far work is, a few times in a second."""
    spoken: tuple[str, float] = "", 0.0

    def tell(task: str, done: int, total: int) -> None:
        nonlocal spoken
        now = time.monotonic()
        if task != spoken[0] or done == total or now - spoken[1] >= _PAUSE:
            spoken = task, now
            durable.append(file, f"{json.dumps([task, done, total])}\n".encode())

    return tell


def _told(error: BaseException) -> Outcome:
    return Outcome(
        time=time.time(),
        error=type(error).__name__,
        message=str(error),
        hint=getattr(error, "hint", ""),
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
