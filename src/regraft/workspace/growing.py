"""Models that learn a class, or more pictures, in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regraft.data.ingest import Added
from regraft.data.sources import one_class
from regraft.data.sources.readers import expand
from regraft.errors import InvalidError
from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.recipe import Recipe
from regraft.records import Growth, ModelVersion, Report, Version
from regraft.refs import parse
from regraft.store.opening import Store
from regraft.workspace.datasets import split_rule
from regraft.workspace.reports import Reports


@dataclass(frozen=True, kw_only=True)
class GrowResult:
    """What a model has learned upon what it knew."""

    #: The new version, as a ref: `photos:v2`.
    model: str
    growth: Growth
    report: Report
    #: The report as a page.
    page: Path
    #: What the pictures were added to.
    dataset: Version
    added: Added


def grow(
    store: Store,
    model: str,
    source: str | Path,
    progress: Progress,
    *,
    label: str | None,
    new_class: bool,
) -> GrowResult:
    """Let a model learn from the pictures of a folder."""
    if label is not None and not label.strip():
        raise InvalidError("A label cannot be empty.", hint="Say what the pictures show.", where="label")
    base = fetch(store, parse(model), weights="", progress=progress)
    listing = one_class.read(expand(source), (label or "").strip())
    from regraft.jobs import growing  # scikit-learn, which a listing does without

    grown = growing.grow(store, base, listing, split_rule(Recipe()), new_class=new_class, progress=progress)
    record = grown.model.read(ModelVersion)
    if record.growth is None:
        raise RuntimeError("a model that grew does not say so")
    return GrowResult(
        model=str(grown.model),
        growth=record.growth,
        report=grown.report.read(Report),
        page=Reports(store).page(str(grown.report)),
        dataset=grown.dataset,
        added=grown.added,
    )
