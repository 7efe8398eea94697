"""The journal: a folder for each run, with its record, its metrics line by line, and its log."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from regraft import durable
from regraft.errors import ConflictError, NotFoundError, did_you_mean
from regraft.records import RunRecord, decode, encode
from regraft.store.checkpoints import Checkpoints
from regraft.store.processes import alive, started
from regraft.store.stopping import STOP, Stoppable

_RECORD = "run.json"
_METRICS = "metrics.jsonl"
_LOG = "log.txt"
#: Is locked by the process that executes the run.
_HELD = "lock"


class Run(Stoppable):
    """The folder of one run."""

    @property
    def record(self) -> RunRecord:
        """What is known of the run now; a run whose process has gone without a word is `lost`."""
        file = self.path / _RECORD
        record = decode(RunRecord, file.read_bytes(), where=f"runs/{self.id}/run.json")
        here = record.host == socket.gethostname()
        if record.status == "running" and here and not alive(record.process, record.process_started):
            return record.model_copy(update={"status": "lost"})
        return record

    def log(self, text: str) -> None:
        """Write a line into the log, with the time."""
        durable.append(self.path / _LOG, f"{_now()} {text}\n".encode(), point="journal.log")

    def metric(self, **values: float | int | str | Mapping[str, float] | None) -> None:
        """Write one line of metrics."""
        line = json.dumps({"time": _now(), **values}, ensure_ascii=False)
        durable.append(self.path / _METRICS, f"{line}\n".encode(), point="journal.metric")

    def metrics(self, *, skip: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the whole lines of metrics that have been written, after the first `skip`."""
        file = self.path / _METRICS
        if file.exists():
            # as bytes: text would also be cut at the line separators of Unicode
            for line in file.read_bytes().splitlines(keepends=True)[skip:]:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def curve(self) -> list[dict[str, Any]]:
        """Return the metrics of steps and epochs, in order, each once.

        A run that was resumed goes back to its checkpoint: what had been written of later steps is void.
        """
        lines: dict[tuple[int, bool], dict[str, Any]] = {}
        for line in self.metrics():
            step = line.get("step")
            if step is None:
                continue
            if line.get("event") == "resumed":
                lines = {key: kept for key, kept in lines.items() if key[0] <= step}
            elif "event" not in line:
                lines[step, "epoch" in line] = line
        return [lines[key] for key in sorted(lines)]

    def checkpoints(self, keep: int = 1) -> Checkpoints:
        """Return the run's checkpoints, of which `keep` stay besides the best."""
        return Checkpoints(self.path / "checkpoints", keep)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep everybody else from executing the run; raises ConflictError where somebody does."""
        if not (self.path / _RECORD).exists():
            raise NotFoundError(f"Run {self.id} was removed.", hint="See `regraft run list`.")
        with durable.hold(self.path / _HELD, busy=self._refuse):
            yield

    def reopen(self, *, force: bool = False) -> RunRecord:
        """Say that this process executes a run that has ended before it was done; to be called while held.

        `force` takes a run over that is said to be at work on another machine. Raises ConflictError.
        """
        record = self.record
        if record.status == "done":
            raise ConflictError(
                f"Run {self.id} is done.",
                hint=f"To train longer: regraft run extend {self.id} --epochs +10",
            )
        if record.status == "running" and (not force or record.host == socket.gethostname()):
            self._refuse()
        durable.remove(self.path / STOP)
        self._drop_half_a_line()
        update = {"status": "running", "error": None, "ended": None, **_here()}
        record = record.model_copy(update=update)
        durable.swap(self.path / _RECORD, encode(record), point="journal.reopen")
        return record

    def end(
        self,
        status: Literal["done", "failed", "interrupted", "stopped"],
        *,
        outputs: Mapping[str, str] | None = None,
        error: str | None = None,
    ) -> RunRecord:
        """Write down how the run ended."""
        update = {"status": status, "outputs": dict(outputs or {}), "error": error, "ended": _now()}
        record = self.record.model_copy(update=update)
        durable.swap(self.path / _RECORD, encode(record), point="journal.end")
        return record

    def remove(self) -> None:
        """Take the folder away; raises ConflictError where the run is at work."""
        with self.held():
            if self.record.status == "running":
                self._refuse()
            # the record goes last, so that a removal that was cut off can be made again
            durable.remove_folder(self.path, last=(_RECORD, _HELD))

    def _refuse(self) -> None:
        record = self.record
        elsewhere = record.host != socket.gethostname()
        raise ConflictError(
            f"Run {self.id} is being executed by process {record.process} of {record.host!r}.",
            hint=f"If it does not run there any more: regraft run resume {self.id} --force"
            if elsewhere
            else f"Watch it with `regraft run watch {self.id}`, or end it with `regraft run stop {self.id}`.",
        )

    def _drop_half_a_line(self) -> None:
        """Cut off what a process that was killed had begun to write, so that the next line stays whole."""
        for name in (_METRICS, _LOG):
            file = self.path / name
            if file.exists() and not (data := file.read_bytes()).endswith(b"\n"):
                with durable.grow(file, keep=data.rfind(b"\n") + 1):
                    pass


class Journal:
    """The runs of a store."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def create(
        self,
        kind: Literal["finetune", "evaluate", "check"],
        *,
        inputs: Mapping[str, str],
        recipe: Mapping[str, Any],
        begin: Checkpoints | None = None,
    ) -> Run:
        """Begin a run; `begin` is what it goes on from. Raises NotFoundError where that is nothing."""
        moment = datetime.now(UTC)
        # milliseconds, so that runs sort by their beginning, and a few letters of chance
        run_id = f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03}{secrets.token_hex(2)}"
        run = Run(self._root / run_id)
        if begin is not None and not run.checkpoints().adopt(begin):
            raise NotFoundError("There is no checkpoint to go on from.", hint="Fine-tune from the beginning.")
        record = RunRecord(
            id=run_id,
            kind=kind,
            status="running",
            inputs=dict(inputs),
            recipe=dict(recipe),
            outputs={},
            started=_now(),
            ended=None,
            error=None,
            **_here(),
        )
        durable.put(run.path / _RECORD, encode(record), point="journal.create")
        return run

    def find(self, run_id: str) -> Run:
        """Return a run by its id, by a beginning of it that is unique, or `latest`; raises NotFoundError."""
        known = self.ids()
        if run_id == "latest":
            if not known:
                raise NotFoundError("There are no runs yet.", hint="Make one: regraft finetune FOLDER.")
            return Run(self._root / known[-1])
        matches = [name for name in known if name == run_id] or [
            name for name in known if name.startswith(run_id)
        ]
        if len(matches) != 1:
            raise NotFoundError(
                f"No run is named {run_id!r}."
                if not matches
                else f"{len(matches)} runs begin with {run_id!r}.",
                hint=did_you_mean(run_id, known, otherwise="See `regraft run list`."),
            )
        return Run(self._root / matches[0])

    def ids(self) -> list[str]:
        """List the ids of all runs, the oldest first."""
        return sorted(path.parent.name for path in self._root.glob(f"*/{_RECORD}"))

    def runs(self) -> list[Run]:
        """List all runs, the oldest first."""
        return [Run(self._root / run_id) for run_id in self.ids()]


def _here() -> dict[str, Any]:
    """Return what a record says of the process that executes it."""
    process = os.getpid()
    return {"host": socket.gethostname(), "process": process, "process_started": started(process)}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
