"""Reports: what evaluations gave."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from regraft import durable
from regraft.errors import InvalidError, NotFoundError
from regraft.records import Report, Version
from regraft.refs import parse
from regraft.store.opening import Store

if TYPE_CHECKING:
    from regraft.jobs.comparing import Comparison


class Reports:
    """The reports of a workspace; each is named like the model that it measures."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def list(self) -> list[Version]:
        """List every version of every report."""
        catalog = self._store.catalog
        return [
            catalog.find("reports", parse(f"{name}:v{number}"))
            for name in catalog.names("reports")
            for number in catalog.numbers("reports", name)
        ]

    def find(self, ref: str) -> Version:
        """Return a version of a report."""
        return self._store.catalog.find("reports", parse(ref))

    def get(self, ref: str) -> Report:
        """Return a report."""
        return self.find(ref).read(Report)

    def compare(self, *refs: str, require: Sequence[str] = ()) -> Comparison:
        """Compare two reports or more with the first of them, on the pictures that both have measured.

        `require` names what the last has to reach: `accuracy >= 0.9`, `no class drops > 2 points`. Raises
        MismatchError where two cannot be compared, InvalidError for a requirement that is none.
        """
        if len(refs) < 2:
            raise InvalidError("There is nothing to compare.", hint="Name two reports or more.")
        from regraft.jobs.comparing import compare  # scipy, which a listing does without

        return compare(self._store, [self.find(ref) for ref in refs], require)

    def export(self, ref: str, path: Path, *, format: str | None = None) -> Path:  # noqa: A002
        """Write a report into a new file: `html`, `md`, `png` or `json`; `csv` or `parquet` of each picture.

        Without a format, the file's ending says which. Raises InvalidError for another one.
        """
        from regraft.jobs import writing  # pyarrow and Pillow, which a listing does without

        data = writing.written(self._store, self.get(ref), format or path.suffix.removeprefix("."))
        durable.put(path, data, point="export")
        return path

    def page(self, ref: str) -> Path:
        """Return a report as a page that a browser can open."""
        report = self.get(ref)
        if report.page is None:
            raise NotFoundError(f"Report {ref!r} has no page.")
        path = self._store.cache / "pages" / f"{report.page}.html"
        if not path.exists():
            durable.swap(path, self._store.blobs.get(report.page))
        return path
