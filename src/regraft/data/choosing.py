"""The rows of a version by split and label, chosen in its tables before any row is made."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pyarrow as pa

from regraft.errors import InvalidError, did_you_mean
from regraft.records import DatasetVersion
from regraft.store.rows import Rows


def choose(rows: Rows, record: DatasetVersion, *, split: str | None, label: str | None) -> Iterator[pa.Table]:
    """Return the tables of the rows of a split, or of a label, or of both, in stored order.

    Raises InvalidError, before any table is read, where the version has no such split or label.
    """
    wanted = {name: value for name, value in (("split", split), ("label", label)) if value is not None}
    for name, value in wanted.items():
        _check(name, value, record.split_sizes() if name == "split" else record.labels)
    return (_only(table, wanted) for table in rows.tables())


def _check(name: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        shown = ", ".join([repr(one) for one in known][:20]) + (", ..." if len(known) > 20 else "")
        raise InvalidError(
            f"The dataset has no {name} {value!r}.",
            hint=did_you_mean(value, known, otherwise=f"It has: {shown}."),
            where=name,
        )


def _only(table: pa.Table, wanted: dict[str, str]) -> pa.Table:
    import pyarrow.compute as pc  # slow to import, and listing rows goes without

    for name, value in wanted.items():
        table = table.filter(pc.equal(table.column(name), value))
    return table
