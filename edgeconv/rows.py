"""Answers on disk, a row an item: written once in order, read by slices, never wholly in memory.

Not a memory map: its pages count as the process's own once they were touched, so
that peak memory would grow with the number of items.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import overload

import numpy as np

from edgeconv.errors import InternalError
from edgeconv.types import Array

__all__ = ["Rows"]


class Rows:
    """A float32 array [N, ...] in a file, which grows by ``append``.

    Args:
        path: The file; made anew.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("w+b")
        self._lock = threading.Lock()
        self._item: tuple[int, ...] | None = None
        self._count = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, ...); (0,) before the first row."""
        return (self._count, *(self._item or ()))

    def __len__(self) -> int:
        return self._count

    def append(self, rows: Array) -> None:
        """Write ``rows`` [M, ...] behind the others.

        Raises:
            InternalError: They have another shape than those before.
        """
        if self._item is None:
            self._item = rows.shape[1:]
        if rows.shape[1:] != self._item:
            raise InternalError(f"Rows of {rows.shape[1:]} among rows of {self._item}.")
        with self._lock:
            self._file.seek(self._count * self._row_bytes)
            self._file.write(np.ascontiguousarray(rows, np.float32).tobytes())
            self._count += len(rows)

    @overload
    def __getitem__(self, key: slice) -> Array: ...
    @overload
    def __getitem__(self, key: int) -> Array: ...
    def __getitem__(self, key: slice | int) -> Array:
        """Rows ``key.start`` to ``key.stop`` as float32 [M, ...], or one of them."""
        if isinstance(key, int):
            return np.asarray(self[key : key + 1][0])
        start, stop, step = key.indices(self._count)
        if step != 1:
            raise InternalError("Rows are read one after the other.")
        with self._lock:
            self._file.seek(start * self._row_bytes)
            data = self._file.read(max(0, stop - start) * self._row_bytes)
        return np.frombuffer(data, np.float32).reshape(-1, *(self._item or ()))

    def close(self) -> None:
        """Let the file go."""
        self._file.close()

    @property
    def _row_bytes(self) -> int:
        return 4 * int(np.prod(self._item or (0,), dtype=np.int64))
