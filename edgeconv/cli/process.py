"""The process around a command: its streams, its signals, its end."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

__all__ = ["Interrupted", "drop_dead_streams", "in_order"]

_SIGNALS = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, or another request to end.

    Not the plain class: once that has passed through an ``exec`` (dataclasses
    have one), CPython kills the process at its end and the exit code is lost
    (``_Py_UnhandledKeyboardInterrupt``).
    """


@contextlib.contextmanager
def in_order() -> Iterator[None]:
    """The block runs with usable streams, and signals end it in order.

    What Ctrl-C does, a closed terminal and ``kill`` do too: temporary files go.
    A second signal doesn't interrupt that. Signals that are ignored or that
    someone else handles are left alone.
    """
    _mend_streams()
    before = _take_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        drop_dead_streams()


def drop_dead_streams() -> None:
    """Point output streams that can't be written to the null device: no complaint at exit."""
    for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, descriptor)
            os.close(null)


def _mend_streams() -> None:
    """A stream that is closed leads to the null device, so that no file takes its number.

    What a stream's encoding lacks is written as an escape, not as an error.
    """
    for descriptor, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            setattr(sys, name, os.fdopen(descriptor, "w" if descriptor else "r"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _take_signals() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    free = (signal.SIG_DFL, signal.default_int_handler)
    taken = {n: signal.getsignal(n) for n in _SIGNALS if signal.getsignal(n) in free}
    for number in taken:
        signal.signal(number, _interrupt)
    return taken


def _interrupt(number: int, frame: FrameType | None) -> None:
    for each in _SIGNALS:
        if signal.getsignal(each) is _interrupt:
            signal.signal(each, signal.SIG_IGN)
    raise Interrupted
