"""Folds side by side: each on one thread, so that the result is the same on any number of cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from threadpoolctl import threadpool_limits

#: More would hold too many copies of the features at once.
_MOST = 4

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(work: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """Return what some work gives of each item, in their order.

    It is worth it for work that lets other threads run: products, and decompositions by numpy (not scipy).
    """
    with threadpool_limits(1), ThreadPoolExecutor(min(_MOST, os.cpu_count() or 1)) as pool:
        return list(pool.map(work, items))
