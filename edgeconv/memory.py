"""Memory that is freed goes back to the system, not only to the C library's own store."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from collections.abc import Iterator
from typing import Final

__all__ = ["blocks_apart", "give_memory_back"]

#: malloc.h.
_M_MMAP_THRESHOLD: Final = -3
#: Where the C library itself ends up after some large blocks were freed.
_USUAL_BYTES: Final = 32 << 20
_APART_BYTES: Final = 1 << 20


def give_memory_back() -> None:
    """Hand what was freed to the system.

    The C library keeps it for the process (after ConvNeXtTiny was loaded: 0.8 GB), which
    neither the next process nor the next step of another kind can use.
    """
    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # not the GNU C library
        ctypes.CDLL(None).malloc_trim(0)


@contextlib.contextmanager
def blocks_apart() -> Iterator[None]:
    """Meanwhile let every block of a megabyte go back to the system once it is freed.

    Tensors of many sizes, up to 32 MB each, leave holes between them that the next ones
    don't fit in: EfficientNetB7's came to 1.6 GB in place of 1.1. It takes the system some
    time to hand out pages anew, so this is for large models alone.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # not the GNU C library
        yield
        return
    mallopt(_M_MMAP_THRESHOLD, _APART_BYTES)
    try:
        yield
    finally:
        mallopt(_M_MMAP_THRESHOLD, _USUAL_BYTES)
