"""Execute a run here, in this process, and write down how it ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

from regraft import durable
from regraft.backends import elastic
from regraft.backends.signals import heard
from regraft.errors import RegraftError, RunDiverged, RunStopped, Terminated
from regraft.progress import Progress
from regraft.records import Report, RunRecord
from regraft.refs import parse
from regraft.store.journal import Run
from regraft.store.opening import Store


def submit(store: Store, run: Run, progress: Progress) -> RunRecord:
    """Execute a new run to its end; an error is written into the run's record and raised again."""
    with run.held():
        return _execute(store, run, progress)


def resume(store: Store, run: Run, progress: Progress, *, force: bool = False) -> RunRecord:
    """Execute a run again that ended before it was done; it goes on from its latest checkpoint.

    `force` takes a run over that is said to be at work on another machine. Raises ConflictError where the
    run is done or at work.
    """
    with run.held():
        run.reopen(force=force)
        return _execute(store, run, progress)


def _execute(store: Store, run: Run, progress: Progress) -> RunRecord:
    try:
        from regraft.jobs.execute import execute  # scikit-learn: most of a second that a listing saves

        with heard(run):
            outputs = execute(store, run, _stoppable(run, progress), _launch(store, run, progress))
        if report := outputs.get("report"):
            _write_report(store, run.path, report)
        return run.end("done", outputs=outputs)
    except KeyboardInterrupt as error:
        words = "Terminated." if isinstance(error, Terminated) else "Interrupted."
        _end(run, "interrupted", error, words)
        raise
    except RegraftError as error:
        _end(run, "stopped" if isinstance(error, RunStopped) else "failed", error, str(error))
        raise
    except Exception as error:
        _end(run, "failed", error, f"{type(error).__name__}: {error}")
        raise


def _launch(store: Store, run: Run, progress: Progress) -> Callable[[], None] | None:
    """Return what trains in several processes, where the run asks for them."""
    devices = int(run.record.inputs.get("devices", "1"))
    return partial(elastic.launch, store, run, devices, progress) if devices > 1 else None


def _stoppable(run: Run, progress: Progress) -> Progress:
    """Let a request to stop be heard wherever work tells how far it is, unless it looks for itself."""

    def tell(task: str, done: int, total: int) -> None:
        progress(task, done, total)
        if not run.polling:
            run.check()

    return tell


def _end(
    run: Run, status: Literal["failed", "interrupted", "stopped"], error: BaseException, words: str
) -> None:
    # the disk that fails the run may refuse its last word too; the first error is the one to tell
    with suppress(RegraftError):
        record = run.record
        if record.kind == "finetune" and not isinstance(error, RunDiverged):  # it would do so again
            error.add_note(f"Resume it with: regraft run resume {run.id}")
        if record.status == "running":  # and not ended in the moment in which it was interrupted
            run.end(status, error=words)


def _write_report(store: Store, folder: Path, ref: str) -> None:
    """Lay the report into the run's folder, where a person finds it; one from before a resume is replaced."""
    version = store.catalog.find("reports", parse(ref))
    page = version.read(Report).page
    durable.swap(folder / "report.json", version.data)
    if page is not None:
        durable.swap(folder / "report.html", store.blobs.get(page))
