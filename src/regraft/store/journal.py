"""The journal: a folder for each run, with its record, its metrics line by line, and its log."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from regraft import durable
from regraft.errors import NotFoundError, did_you_mean
from regraft.records import RunRecord, decode, encode
from regraft.store.processes import alive, started


class Run:
    """The folder of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def record(self) -> RunRecord:
        """What is known of the run now; a run whose process has gone without a word is `lost`."""
        file = self.path / "run.json"
        record = decode(RunRecord, file.read_bytes(), where=f"runs/{self.path.name}/run.json")
        here = record.host == socket.gethostname()
        if record.status == "running" and here and not alive(record.process, record.process_started):
            return record.model_copy(update={"status": "lost"})
        return record

    def log(self, text: str) -> None:
        """Write a line into the log, with the time."""
        durable.append(self.path / "log.txt", f"{_now()} {text}\n".encode(), point="journal.log")

    def metric(self, **values: float | int | str) -> None:
        """Write one line of metrics."""
        line = json.dumps({"time": _now(), **values}, ensure_ascii=False)
        durable.append(self.path / "metrics.jsonl", f"{line}\n".encode(), point="journal.metric")

    def metrics(self, *, skip: int = 0) -> Iterator[dict[str, Any]]:
        """Yield the whole lines of metrics that have been written, after the first `skip`."""
        file = self.path / "metrics.jsonl"
        if file.exists():
            # as bytes: text would also be cut at the line separators of Unicode
            for line in file.read_bytes().splitlines(keepends=True)[skip:]:
                if line.endswith(b"\n"):
                    yield json.loads(line)

    def end(
        self,
        status: Literal["done", "failed", "interrupted"],
        *,
        outputs: Mapping[str, str] | None = None,
        error: str | None = None,
    ) -> RunRecord:
        """Write down how the run ended."""
        update = {"status": status, "outputs": dict(outputs or {}), "error": error, "ended": _now()}
        record = self.record.model_copy(update=update)
        durable.swap(self.path / "run.json", encode(record), point="journal.end")
        return record


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
    ) -> Run:
        """Begin a run."""
        moment = datetime.now(UTC)
        # milliseconds, so that runs sort by their beginning, and a few letters of chance
        run_id = f"{moment:%Y%m%d-%H%M%S}-{moment.microsecond // 1000:03}{secrets.token_hex(2)}"
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
            host=socket.gethostname(),
            process=os.getpid(),
            process_started=started(os.getpid()),
        )
        durable.put(self._root / run_id / "run.json", encode(record), point="journal.create")
        return Run(self._root / run_id)

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
        return sorted(path.parent.name for path in self._root.glob("*/run.json"))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
