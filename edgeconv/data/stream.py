"""A map that works ahead on several threads and keeps the order.

Pillow lets go of the interpreter's lock while it decodes and resizes, so the
next pictures get ready while the model works on these.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

__all__ = ["ordered_map"]

T = TypeVar("T")
R = TypeVar("R")

#: More threads than this wait for the disk and for each other; each may hold
#: a picture of 40 megapixels.
_MAX_WORKERS = 8
#: Results held ready for each thread: enough that none waits, few in memory.
_AHEAD = 4


def ordered_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Yield ``function(item)`` for each item in order, a bounded number ahead.

    Raises:
        Exception: What ``function`` raised, when its turn comes.
    """
    workers = min(_MAX_WORKERS, os.cpu_count() or 1)
    pending: deque[Future[R]] = deque()
    executor = ThreadPoolExecutor(workers, thread_name_prefix="edgeconv-data")
    try:
        for item in items:
            pending.append(executor.submit(function, item))
            if len(pending) >= workers * _AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        executor.shutdown(cancel_futures=True)
