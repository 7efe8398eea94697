"""Labels that are likely wrong: found, listed, and mended where somebody asks for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regraft import durable
from regraft.data import editing, label_lists
from regraft.data.sources.readers import expand
from regraft.errors import InvalidError
from regraft.jobs.fetch import fetch
from regraft.progress import Progress
from regraft.records import Suggestion, Version
from regraft.refs import parse
from regraft.store.opening import Store

#: Suggestions that are less likely are not applied unless somebody asks for them: a wrong one does harm.
SURE = 0.8


@dataclass(frozen=True, kw_only=True)
class SuggestResult:
    """Which labels of a dataset are likely wrong."""

    #: The likeliest first.
    suggestions: tuple[Suggestion, ...]
    #: What a reader should know before the list.
    notes: tuple[str, ...]
    #: The pictures, with what is suggested.
    page: Path
    dataset: Version
    #: What the suggestions were made into; None where they were not applied, or there are none.
    version: Version | None


def suggest_labels(
    store: Store,
    dataset: Version,
    progress: Progress,
    *,
    model: str | None,
    apply: bool,
    least: float | None,
    out: str | Path | None,
) -> SuggestResult:
    """Suggest labels, and write them into a new file or a new version, where that is asked for."""
    if least is not None and not 0 <= least <= 1:
        raise InvalidError(
            f"No probability is at least {least:g}.", hint="Take one between 0 and 1.", where="least"
        )
    from regraft.jobs.suggesting import draw, suggest  # scikit-learn, which a listing does without

    base = fetch(store, parse(model), weights="", progress=progress) if model else None
    sure = least if least is not None else SURE if apply else 0.0
    found = suggest(store, dataset, base, least=sure, progress=progress)
    if out is not None:
        durable.stream(expand(out), [label_lists.write(found.suggestions)], point="export")
    made = None
    if apply:
        with editing.edit(store, dataset, progress=progress) as edit:
            for item in found.suggestions:
                edit.relabel(item.key, item.suggested)
        made = edit.result
    return SuggestResult(
        suggestions=found.suggestions,
        notes=found.notes,
        page=draw(store, dataset, found),
        dataset=dataset,
        version=made,
    )
