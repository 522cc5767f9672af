"""local: a temporary folder on this machine, and Python in a process of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from edgeconv.device.transports.names import plain
from edgeconv.device.transports.process import Completed, execute
from edgeconv.errors import HostFailure, RefusedInput, Unsupported

__all__ = ["Local"]


class Local:
    """A ``Transport`` to this machine itself.

    Args:
        target: As the user wrote it.
        python: Another interpreter than the one that runs here.
    """

    def __init__(self, target: str = "local", python: str | None = None) -> None:
        self.target = target
        self.leftover = ""
        self._python = python or sys.executable
        self._folder = Path()

    def __enter__(self) -> Local:
        """Make the folder."""
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="edgeconv-"))
        except OSError as error:
            raise HostFailure(f"No temporary folder can be made: {error.strerror}.") from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Remove the folder."""
        shutil.rmtree(self._folder, ignore_errors=True)
        if self._folder.exists():
            self.leftover = f"{self._folder} could not be removed."

    def put(self, path: Path, name: str) -> None:
        """See ``Transport``."""
        target = self._folder / plain(name)
        try:
            if path.is_dir():
                shutil.copytree(path, target)
            else:
                shutil.copyfile(path, target)
        except OSError as error:  # shutil.Error, of a whole folder, has no strerror
            cause = error.strerror or str(error)[:200]
            raise HostFailure(f"{path.name} can't be copied: {cause}.") from error

    def python(self, engine: str | None = None) -> tuple[str, ...]:
        """See ``Transport``."""
        return (self._python,)

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        """See ``Transport``."""
        try:
            return execute(command, timeout_s, cwd=self._folder)
        except OSError as error:
            raise Unsupported(
                f"{command[0]} can't be run: {error.strerror}.",
                "Name a Python 3.9 or later that has NumPy, Pillow and an engine: --python PATH",
            ) from error

    def get(self, name: str, limit_bytes: int) -> bytes:
        """See ``Transport``."""
        path = self._folder / plain(name)
        try:
            if path.is_symlink():
                raise RefusedInput(f"{name} is a link.")
            with path.open("rb") as file:
                data = file.read(limit_bytes + 1)
        except OSError as error:
            raise HostFailure(f"{self.target} left no {name}: {error.strerror}.") from error
        if len(data) > limit_bytes:
            raise RefusedInput(f"{name} has more than {limit_bytes} bytes.")
        return data
