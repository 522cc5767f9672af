"""What ends a search before its end: Ctrl-C, and the clock.

first Ctrl-C     Stopped is raised where the program is; the search keeps its best
second Ctrl-C    what was there before decides: the command ends with exit code 130
the clock        OutOfTime is raised where the program is, where the system has a
                 timer (not on Windows); between two trials everywhere
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["OutOfTime", "Stopped", "stoppable", "within"]


class Stopped(BaseException):
    """The user has seen enough of the search.

    No ``Exception``, so that nothing between takes it for a failure of its own.
    """


class OutOfTime(BaseException):
    """The search's time is up; no ``Exception`` for the same reason."""


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


@contextlib.contextmanager
def within(seconds: float | None) -> Iterator[None]:
    """After so many seconds ``OutOfTime`` is raised in the block; None for any time."""
    main = threading.current_thread() is threading.main_thread()
    if seconds is None or not main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTime

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, max(seconds, 1e-3))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
