"""Let a model learn a class, or more of those that it knows, in seconds and without its old pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version

import numpy as np
from safetensors.numpy import save

from regraft.data import ingest
from regraft.data.assembly import open_rows
from regraft.data.ingest import Added
from regraft.data.sources.listing import Listing, natural
from regraft.engine import probe, statistics_head
from regraft.engine.statistics_head import Statistics
from regraft.errors import InvalidError, listed
from regraft.jobs import evaluate, machine, statistics, trust
from regraft.jobs.features import features_of
from regraft.jobs.precision import fastest_precision
from regraft.jobs.preflight import check_classifier, held_out, training_rows
from regraft.progress import Progress
from regraft.records import Growth, Lineage, ModelVersion, Row, SplitRule, Version, digest
from regraft.refs import make_name
from regraft.store.leases import lease
from regraft.store.opening import Store

_BATCH = 32


@dataclass(frozen=True, kw_only=True)
class Grown:
    """A model that has learned more, and what it learned from."""

    model: Version
    report: Version
    dataset: Version
    added: Added


def grow(
    store: Store, model: Version, listing: Listing, rule: SplitRule, *, new_class: bool, progress: Progress
) -> Grown:
    """Publish a version of a model that has also learned from the pictures of a listing, and measure it.

    The pictures are added to the dataset that the model was made from or, where that is gone, to one of
    their own, where `rule` gives them their splits; those in `train` are learned from. Labels are new ones
    with `new_class`, and else those that the model knows: for others InvalidError is raised, and
    MismatchError for a model that cannot grow.
    """
    with lease(store.storage):
        net = check_classifier(model)
        known = statistics.recall(store, model, net, progress)
        labels = _labels(model, net, listing, new_class=new_class)
        learned = {row.digest for row in training_rows(store, net)}
        added, seen = _add(store, model, net, listing, rule, progress)
        rows = list(open_rows(store, added.record))
        fresh = [row for row in rows if row.split == "train" and row.digest in seen - learned]
        _check(added, rows, fresh, labels=set(labels) - set(net.labels), learned=learned)
        # those that are measured on too, so that the net starts once
        new = fresh + [row for row in rows if row.split != "train" and row.digest in seen - learned]
        features = features_of(
            store,
            net,
            new,
            precision=net.precision or fastest_precision(store, net, progress),
            batch_size=_BATCH,
            progress=progress,
        )
        more = statistics.gather(features[: len(fresh)], fresh, labels)
        places = np.array([labels.index(label) for label in net.labels])
        whole = known.spread_over(places, len(labels)).joined(more)
        head = statistics_head.learn(
            whole, step=lambda done, total: progress("Fitting the head", done, total)
        )
        growth = Growth(
            classes=tuple(label for label in labels if label not in net.labels),
            pictures=len(fresh),
            known=int(known.counts.sum()),
        )
        grown = _with_head(store, model, net, whole, head, added.version, labels, growth)

        def build(parent: Version | None) -> ModelVersion:
            return grown.model_copy(update={"parent": parent.digest if parent else None})

        published, _ = store.catalog.commit("models", model.name, build)
        split = held_out(added.record) or "all"
        report = evaluate.measure(store, published, added.version, split=split, progress=progress)
    return Grown(model=published, report=report, dataset=added.version, added=added)


def _labels(model: Version, net: ModelVersion, listing: Listing, *, new_class: bool) -> tuple[str, ...]:
    """Return the labels that the model will know; raises InvalidError where they are not what was said."""
    given = {entry.label for entry in listing.entries}
    new = sorted(given - set(net.labels), key=natural)
    if new_class and not new:
        raise InvalidError(
            f"The model {str(model)!r} knows {listed(sorted(given, key=natural))} already.",
            hint="More pictures of a class: regraft model add-data. Another name for it: --label NAME.",
        )
    if not new_class and new:
        raise InvalidError(
            f"The model {str(model)!r} knows no class {listed(new)}.",
            hint="Teach it one: regraft model add-class. Or say which it is: --label NAME.",
        )
    return tuple(sorted({*net.labels, *given}, key=natural))


def _add(
    store: Store, model: Version, net: ModelVersion, listing: Listing, rule: SplitRule, progress: Progress
) -> tuple[Added, set[str]]:
    """Add the pictures to a dataset; return what was added, and the digests of all that were read."""
    lineage = net.lineage
    home = store.catalog.find_digest("datasets", lineage.dataset) if lineage else None
    there = home is not None and bool(store.catalog.numbers("datasets", home.name))
    name = home.name if home is not None and there else make_name(f"{model.name}-added")
    seen: set[str] = set()

    def noted(read: Callable[[], bytes]) -> bytes:
        data = read()
        seen.add(digest(data))
        return data

    entries = [replace(entry, read=partial(noted, entry.read)) for entry in listing.entries]
    added = ingest.add(store, name, replace(listing, entries=entries), rule, progress, mode="append")
    return added, seen


def _check(added: Added, rows: list[Row], fresh: list[Row], *, labels: set[str], learned: set[str]) -> None:
    """Refuse to grow where nothing is new, or nothing is left to measure on."""
    refused = f" The first file that cannot be used: {added.refused[0].reason}." if added.refused else ""
    untaught = sorted(labels - {row.label for row in fresh}, key=natural)
    if not fresh or untaught:
        whose = f" of {listed(untaught)}" if untaught else ""
        raise InvalidError(
            f"There is no new picture{whose} to learn from.{refused}",
            hint="Three of a class are the least: some are kept to measure on. See regraft dataset info "
            f"{added.version.name}.",
        )
    taken = learned | {row.digest for row in fresh}
    split = held_out(added.record)
    if not any(row.split == split and row.digest not in taken for row in rows):
        raise InvalidError(
            "There is nothing to measure on: every picture was learned from.",
            hint="Add more pictures, or a folder 'test' beside a folder 'train'.",
        )


def _with_head(
    store: Store,
    base: Version,
    net: ModelVersion,
    known: Statistics,
    head: probe.Head,
    dataset: Version,
    labels: tuple[str, ...],
    growth: Growth,
) -> ModelVersion:
    lineage = net.lineage
    if lineage is None:
        raise ValueError("a model that grows has a lineage")
    weights = save({"weight": np.ascontiguousarray(head.weight), "bias": head.bias})
    return net.model_copy(
        update={
            "head": store.blobs.put(weights),
            "labels": labels,
            "temperature": head.temperature,
            "learning": head.learning,
            "trust": trust.out_of_fold(store, known.sample, known.targets, head.held_out, known.folds),
            "statistics": store.blobs.put(save(known.tensors())),
            "growth": growth,
            "board": None,
            "lineage": Lineage(
                dataset=dataset.digest,
                model=base.digest,
                recipe=lineage.recipe,
                seed=lineage.seed,
                code=version("regraft"),
                environment=machine.environment(),
            ),
        }
    )
