"""Keep an engine's own chatter off the user's terminal.

LiteRT writes ``INFO: Created TensorFlow Lite XNNPACK delegate for CPU.`` and
ONNX Runtime its device discovery straight to file descriptor 2, past Python's
``sys.stderr``. No option of theirs turns this off.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

__all__ = ["quiet_stderr"]

_swap_lock = threading.Lock()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Send file descriptor 2 to the null device while the block runs.

    The descriptor belongs to the whole process: what other threads write to
    stderr meanwhile is lost too, so keep the block short.
    """
    with _swap_lock:
        try:
            saved = os.dup(2)
        except OSError:  # a service without a stderr has nothing to protect
            yield
            return
        try:
            if sys.stderr is not None:
                sys.stderr.flush()
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            os.close(null)
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
