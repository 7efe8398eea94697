"""How often a split was looked at: the more one chooses by it, the less it says."""

from __future__ import annotations

from contextlib import suppress

from regraft.errors import IntegrityError, InvalidRecord
from regraft.records import Report
from regraft.refs import parse
from regraft.store.opening import Store


def count_looks(store: Store, dataset: str, split: str, weights: str) -> int:
    """Count the models that were measured on a split, with one of these weights, which is measured now.

    The dataset counts by its name, whatever its version. Reports that cannot be read do not count.
    """
    found = {weights}
    for name in store.catalog.names("reports"):
        for number in store.catalog.numbers("reports", name):
            with suppress(IntegrityError, InvalidRecord):
                report = store.catalog.find("reports", parse(f"{name}:v{number}")).read(Report)
                if (report.dataset_ref.partition(":")[0], report.split) == (dataset, split):
                    found.add(report.weights)
    return len(found)
