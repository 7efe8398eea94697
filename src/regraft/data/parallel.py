"""Call a function over many items in threads, in order, a bounded number ahead."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ordered(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    ahead: int = 16,
    threads: int | None = None,
    prepare: Callable[[], None] | None = None,
) -> Iterator[R]:
    """Yield `function(item)` for every item in order; at most `ahead` results wait in memory.

    There is a thread for each core, or as many as are said; each calls `prepare` first.
    """
    remaining = iter(items)
    pool = ThreadPoolExecutor(threads or os.cpu_count() or 1, initializer=prepare)
    try:
        waiting: deque[Future[R]] = deque(pool.submit(function, item) for item in islice(remaining, ahead))
        while waiting:
            yield waiting.popleft().result()
            waiting.extend(pool.submit(function, item) for item in islice(remaining, 1))
    finally:
        pool.shutdown(cancel_futures=True)
