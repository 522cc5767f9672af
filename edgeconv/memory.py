"""Memory that is freed goes back to the system, not only to the C library's own store."""

from __future__ import annotations

import contextlib
import ctypes
import gc

__all__ = ["give_memory_back"]


def give_memory_back() -> None:
    """Hand what was freed to the system.

    The C library keeps it for the process (after ConvNeXtTiny was loaded: 0.8 GB), which
    neither the next process nor the next step of another kind can use.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # not the GNU C library
        ctypes.CDLL(None).malloc_trim(0)
