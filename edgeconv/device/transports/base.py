"""Transport: what reaching a device comes down to."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol

from edgeconv.device.transports.process import Completed

__all__ = ["Transport"]


class Transport(Protocol):
    """A private folder on a device, from ``with`` to its end; then it is removed.

    Attributes:
        target: The device as the user named it.
        leftover: One sentence where the folder could not be removed, else "".
    """

    target: str
    leftover: str

    def __enter__(self) -> Transport:
        """Reach the device and make the folder.

        Raises:
            MissingDependency: The program that reaches it is not installed.
            HostFailure: It can't be reached.
            Unsupported: It can't do what is needed.
        """

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder, whatever happened."""

    def put(self, path: Path, name: str) -> None:
        """Copy a file, or a folder of plain files, to ``name`` in the device's folder.

        Args:
            path: Here.
            name: One plain name.

        Raises:
            HostFailure: The device can't be reached, or its disk is full.
        """

    def python(self, engine: str | None = None) -> tuple[str, ...]:
        """The beginning of a command that runs Python there, with ``engine`` where it has several.

        Raises:
            Unsupported: The device is known not to have that engine.
        """

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        """Run a command in the device's folder; no shell sees its words.

        Raises:
            HostFailure: The device can't be reached, or it took longer.
            RefusedInput: It wrote more than any answer has.
        """

    def get(self, name: str, limit_bytes: int) -> bytes:
        """The bytes of a file in the device's folder.

        Raises:
            HostFailure: The device can't be reached, or has no such file.
            RefusedInput: It has more bytes than ``limit_bytes``.
        """
