"""Train in several processes of this machine, through torch's elastic launcher.

The process that holds the run starts them, passes signals and progress on, and takes up what they left in
the run's checkpoints. None of them is started again: what was cut off is resumed, exactly, from there.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TypeVar

from regraft import durable, errors
from regraft.backends.worker import OUTCOME, PROCESS, PROGRESS, Outcome, Process
from regraft.errors import InvalidError, InvalidRecipe, RegraftError, RunError, RunStopped
from regraft.progress import Progress
from regraft.recipe import Recipe, recorded
from regraft.records import Record, decode
from regraft.store.journal import Run
from regraft.store.opening import Store
from regraft.store.processes import alive

T = TypeVar("T", bound=Record)

#: What torch's launcher and gloo read. The launcher would share a store of addresses with the processes in
#: which some have been seen that were out of date; and nothing has to be reached from another machine.
_ENVIRONMENT = {
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    "GLOO_SOCKET_IFNAME": "lo0" if sys.platform == "darwin" else "lo",
}
#: Seconds between two looks at the processes.
_PAUSE = 0.1
#: Seconds that the others have to end when one has failed.
_GRACE = 10
#: How the names of the folders begin in which processes tell what becomes of them.
_FOLDER = "workers-"


def check(devices: int, recipe: Recipe) -> None:
    """Refuse a number of processes that the recipe or this machine does not suit.

    Raises InvalidError or InvalidRecipe.
    """
    train = recipe.train
    if devices == 1:
        return
    if devices < 1:
        raise InvalidError(f"A net cannot be trained on {devices} devices.", hint="Give 1 or more.")
    if train.strategy == "auto":
        raise InvalidError(
            "The strategy 'auto' works in one process: there is nothing for several devices to share.",
            hint="Leave devices out, or say what is to be trained: --set train.strategy=lp-ft",
            where="devices",
        )
    if not train.tunes:
        raise InvalidError(
            "A probe does not train the net, so that there is nothing for several devices to share.",
            hint="Leave devices out, or fine-tune more of the net: --set train.strategy=full",
            where="devices",
        )
    if devices > train.batch_size:
        raise InvalidError(
            f"{devices} devices cannot share batches of {train.batch_size}.",
            hint=f"Take fewer devices, or set train.batch_size to {devices} or more: it counts the pictures "
            "of all devices together.",
            where="devices",
        )
    from regraft.engine import distributed  # torch, for this question only

    most = distributed.most()
    if most is not None and devices > most:
        raise InvalidError(
            f"This machine has {most} {'GPU' if most == 1 else 'GPUs'}, and {devices} devices are asked for.",
            hint=f"Take {most}, or train on the processor, without GPUs: CUDA_VISIBLE_DEVICES= regraft ...",
            where="devices",
        )
    if train.sync_batchnorm and most is None:
        raise InvalidRecipe(
            "Batch-norm statistics can be shared between GPUs only, and this machine has none.",
            hint="Leave train.sync_batchnorm out: running statistics are averaged in any case.",
            where="train.sync_batchnorm",
        )
    if train.sync_batchnorm and train.micro_batch:
        raise InvalidRecipe(
            "Batch-norm statistics cannot be shared while each device takes some pictures at a time.",
            hint="Leave train.micro_batch out, or train.sync_batchnorm.",
            where="train.sync_batchnorm",
        )


def launch(store: Store, run: Run, devices: int, progress: Progress) -> None:
    """Train a run that has been begun in several processes, to its end.

    Raises what the first of them raised that failed, and RunError where one was killed.
    """
    check(devices, recorded(run.record))
    for left in run.path.glob(f"{_FOLDER}*"):  # by a process that was killed
        durable.remove_folder(left)
    team = _Team(store, run, devices)
    try:
        with run.polls():
            team.train(progress)
    finally:
        with suppress(RegraftError):  # it harms nobody, and the next launch tries again
            durable.remove_folder(team.folder)


class _Team:
    """The processes that train together."""

    def __init__(self, store: Store, run: Run, devices: int) -> None:
        self.folder = durable.folder(run.path / f"{_FOLDER}{secrets.token_hex(4)}")
        self._store = store
        self._run = run
        self._log = str(run.path / "log.txt")
        self._devices = devices
        #: How far the file of the progress has been read, in bytes.
        self._read_to = 0
        #: Which processes have had the signal that ends the run.
        self._told: set[str] = set()
        #: How processes exited, by rank, where one did not come to its end.
        self._exits: dict[int, int] = {}
        self._error: Exception | None = None
        self._ended = threading.Event()

    def train(self, progress: Progress) -> None:
        """Start the processes and wait for their end; raises what one of them raised."""
        # in the main thread torch would take the handlers of signals, and not give them back
        threading.Thread(target=self._start, daemon=True).start()
        try:
            while not self._ended.wait(_PAUSE):
                self._pass_on(progress)
                if self._run.signal is not None:
                    self._told |= self._send(self._run.signal, but=self._told)
            self._pass_on(progress)
        finally:
            while not self._ended.wait(_PAUSE):  # after a second signal nobody waits any more
                self._send(signal.SIGKILL, but=frozenset())
        outcomes = self._read(OUTCOME, Outcome)
        if len(outcomes) < self._devices or any(outcome.error for outcome in outcomes.values()):
            self._run.check()  # what was asked of the run comes before what it did to the processes
            raise self._reason(outcomes)

    def _start(self) -> None:
        try:
            with _quiet():
                self._launch()
        except Exception as error:  # raised again where somebody hears it
            self._error = error
        finally:
            self._ended.set()

    def _launch(self) -> None:
        from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

        for name, value in _ENVIRONMENT.items():
            os.environ.setdefault(name, value)
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=self._devices,
            run_id=self.folder.name,
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            shutdown_timeout=_GRACE,
            logs_specs=DefaultLogsSpecs(log_dir=str(self.folder)),
        )
        words = ("-m", "regraft.backends.worker", self._store.address, self._run.id, str(self.folder))
        try:
            # -P: no module of the current folder is imported in place of an installed one
            elastic_launch(config, sys.executable)("-P", *words)
        except ChildFailedError as error:
            self._exits = {rank: failure.exitcode for rank, failure in error.failures.items()}

    def _pass_on(self, progress: Progress) -> None:
        """Tell what the first process has told since the last time."""
        with suppress(FileNotFoundError), (self.folder / PROGRESS).open("rb") as file:
            file.seek(self._read_to)
            for line in file:
                if line.endswith(b"\n"):
                    self._read_to += len(line)
                    progress(*json.loads(line))

    def _send(self, number: int, *, but: frozenset[str] | set[str]) -> set[str]:
        """Send a signal to the processes that are at work; return which they are."""
        there = {name: found for name, found in self._read(PROCESS, Process).items() if name not in but}
        for found in there.values():
            if alive(found.id, found.started):
                with suppress(ProcessLookupError):
                    os.kill(found.id, number)
        return set(there)

    def _read(self, suffix: str, kind: type[T]) -> dict[str, T]:
        files = sorted(self.folder.glob(f"*{suffix}"))
        return {file.stem: decode(kind, file.read_bytes(), where=file.name) for file in files}

    def _reason(self, outcomes: Mapping[str, Outcome]) -> BaseException:
        """Return why not all processes came to the end: the first error, which the others follow from."""
        if self._error is not None:
            return self._error
        for rank, code in self._exits.items():
            if str(rank) not in outcomes:
                words = f"was killed ({signal.Signals(-code).name})" if code < 0 else f"exited with {code}"
                return RunError(
                    f"Process {rank} of {self._devices} {words}.",
                    hint="If memory ran out, take fewer pictures at once: --set train.micro_batch=8"
                    if code == -signal.SIGKILL
                    else f"What it said last is above, or in {self._log!r}.",
                )
        failed = [outcome for outcome in outcomes.values() if outcome.error]
        if not failed:
            return RunError("The processes that train ended too early.")
        # those who stop because another one was asked to end say less than that one
        return self._revived(min(failed, key=lambda item: (item.error == RunStopped.__name__, item.time)))

    def _revived(self, outcome: Outcome) -> BaseException:
        if outcome.error == KeyboardInterrupt.__name__:
            return KeyboardInterrupt()
        kind = getattr(errors, outcome.error, None)
        if kind is errors.Terminated:
            return errors.Terminated()
        if isinstance(kind, type) and issubclass(kind, RegraftError):
            return kind(outcome.message, hint=outcome.hint)
        return RunError(
            f"One of {self._devices} processes failed: {outcome.error}: {outcome.message}",
            hint=f"Its traceback is in {self._log!r}.",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep torch's launcher from talking: what a person has to know is raised."""
    log = logging.getLogger("torch.distributed.elastic")
    nobody = logging.NullHandler()
    log.addHandler(nobody)
    log.propagate = False
    try:
        yield
    finally:
        log.propagate = True
        log.removeHandler(nobody)
