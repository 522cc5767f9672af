"""Ctrl-C during a search: the first ends the search, the second ends the program.

first    Stopped is raised where the program is; the search keeps its best
second   what was there before decides: the command ends with exit code 130
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Stopped", "stoppable"]


class Stopped(BaseException):
    """The user has seen enough of the search.

    No ``Exception``, so that nothing between takes it for a failure of its own.
    """


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """While the block runs, the first Ctrl-C raises ``Stopped`` in it.

    Outside the main thread, and where Ctrl-C is ignored, nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before in (signal.SIG_IGN, None):
        yield
        return

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, before)
        raise Stopped

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
