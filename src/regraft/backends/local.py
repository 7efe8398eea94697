"""Execute a run here, in this process, and write down how it ended."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Literal

from regraft import durable
from regraft.errors import RegraftError
from regraft.progress import Progress
from regraft.records import Report, RunRecord
from regraft.refs import parse
from regraft.store.journal import Run
from regraft.store.opening import Store


def submit(store: Store, run: Run, progress: Progress) -> RunRecord:
    """Execute a run to its end; an error is written into the run's record and raised again."""
    from regraft.jobs.execute import execute  # scikit-learn: most of a second that a listing saves

    try:
        outputs = execute(store, run, progress)
        if report := outputs.get("report"):
            _write_report(store, run.path, report)
        return run.end("done", outputs=outputs)
    except KeyboardInterrupt:
        _end(run, "interrupted", "Interrupted.")
        raise
    except RegraftError as error:
        _end(run, "failed", str(error))
        raise
    except Exception as error:
        _end(run, "failed", f"{type(error).__name__}: {error}")
        raise


def _end(run: Run, status: Literal["failed", "interrupted"], error: str) -> None:
    # the disk that fails the run may refuse its last word too; the first error is the one to tell
    with suppress(RegraftError):
        run.end(status, error=error)


def _write_report(store: Store, folder: Path, ref: str) -> None:
    """Lay the report into the run's folder, where a person finds it."""
    version = store.catalog.find("reports", parse(ref))
    page = version.read(Report).page
    durable.put(folder / "report.json", version.data)
    if page is not None:
        durable.put(folder / "report.html", store.blobs.get(page))
