"""A report in the formats that people ask for."""

from __future__ import annotations

from collections.abc import Callable

from regraft.errors import InvalidError, NotFoundError, did_you_mean
from regraft.jobs import predictions
from regraft.records import Report, encode
from regraft.reports import card, markdown
from regraft.store.opening import Store


def written(store: Store, report: Report, format: str) -> bytes:  # noqa: A002
    """Return a report as the bytes of a file; raises InvalidError for a format that there is not."""
    formats: dict[str, Callable[[], bytes]] = {
        "html": lambda: _page(store, report),
        "md": lambda: markdown.render(report).encode(),
        "json": lambda: encode(report),
        "png": lambda: card.draw(report),
        "csv": lambda: predictions.as_csv(store, report),
        "parquet": lambda: store.blobs.get(report.predictions),
    }
    if format.lower() not in formats:
        raise InvalidError(
            f"A report cannot be written as {format!r}.",
            hint=did_you_mean(format, formats, otherwise=f"Choose one of {', '.join(formats)}."),
            where="format",
        )
    return formats[format.lower()]()


def _page(store: Store, report: Report) -> bytes:
    if report.page is None:
        raise NotFoundError(f"The report on {report.model_ref!r} has no page.")
    return store.blobs.get(report.page)
