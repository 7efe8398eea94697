"""Reports: what evaluations gave."""

from __future__ import annotations

from pathlib import Path

from regraft import durable
from regraft.errors import NotFoundError
from regraft.records import Report, Version
from regraft.refs import parse
from regraft.store.opening import Store


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

    def page(self, ref: str) -> Path:
        """Return a report as a page that a browser can open."""
        report = self.get(ref)
        if report.page is None:
            raise NotFoundError(f"Report {ref!r} has no page.")
        path = self._store.cache / "pages" / f"{report.page}.html"
        if not path.exists():
            durable.swap(path, self._store.blobs.get(report.page))
        return path
