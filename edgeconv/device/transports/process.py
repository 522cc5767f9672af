"""A command on this machine, bounded in its time and in what it may write."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import IO, NamedTuple

from edgeconv.errors import HostFailure, RefusedInput
from edgeconv.pictures import printable

__all__ = ["MAX_TEXT_BYTES", "Completed", "execute", "first_line", "last_line"]

#: Of what a command may print: a JSON object, a traceback.
MAX_TEXT_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 16
#: A process that outlives its parent may hold a pipe open: ssh's shared connections do.
_DRAIN_S = 2.0


class Completed(NamedTuple):
    """A command that has ended.

    Attributes:
        code: Its exit code.
        stdout: What it wrote.
        stderr: What it complained of.
    """

    code: int
    stdout: bytes
    stderr: bytes


def execute(
    command: Sequence[str],
    timeout_s: float,
    stdin: Path | None = None,
    cwd: Path | None = None,
    limit_bytes: int = MAX_TEXT_BYTES,
    environment: Mapping[str, str] | None = None,
) -> Completed:
    """Run a command to its end, without a shell.

    Args:
        command: Program and arguments.
        timeout_s: Then it is killed, and whatever it started.
        stdin: A file that it reads; nothing by default.
        cwd: Where it runs.
        limit_bytes: Of its output; its complaints may have ``MAX_TEXT_BYTES``.
        environment: Variables beside those of this process.

    Raises:
        FileNotFoundError: There is no such program.
        HostFailure: It took longer than ``timeout_s``.
        RefusedInput: It wrote more than ``limit_bytes``.
    """
    with contextlib.ExitStack() as stack:
        source = subprocess.DEVNULL if stdin is None else stack.enter_context(stdin.open("rb"))
        process = subprocess.Popen(
            list(command),
            stdin=source,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            # Ctrl-C is for us: we end it, then tidy up behind it.
            start_new_session=True,
        )
        stack.callback(_end, process)
        assert process.stdout is not None and process.stderr is not None
        written = _Reader(process.stdout, limit_bytes, partial(_end, process))
        complained = _Reader(process.stderr, MAX_TEXT_BYTES, lambda: None)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            name = Path(command[0]).name
            raise HostFailure(
                f"{name} did not end within {timeout_s:g} seconds.",
                "See that the device answers; fewer --samples take less time.",
            ) from None
        stdout, stderr = written.result(), complained.result()
    if written.overflowed:
        raise RefusedInput(f"{Path(command[0]).name} sent more than {limit_bytes} bytes.")
    return Completed(process.returncode, stdout, stderr)


def first_line(data: bytes) -> str:
    """The first line that says something: what a tool complains of before it gives up."""
    return next(iter(_lines(data)), "")


def last_line(data: bytes) -> str:
    """The last line that says something: what an interpreter ends a traceback with."""
    return next(iter(reversed(_lines(data))), "")


def _lines(data: bytes) -> list[str]:
    """Printable ones, and short, whoever wrote them."""
    lines = (printable(line.strip())[:200] for line in data.decode("utf-8", "replace").splitlines())
    return [line for line in lines if line]


class _Reader:
    """Empties a pipe in a thread, and keeps no more of it than ``limit`` bytes."""

    def __init__(self, pipe: IO[bytes], limit: int, overflow: Callable[[], None]) -> None:
        self.overflowed = False
        self._pipe, self._limit, self._overflow = pipe, limit, overflow
        self._data = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def result(self) -> bytes:
        self._thread.join(_DRAIN_S)
        if not self._thread.is_alive():
            self._pipe.close()
        return bytes(self._data[: self._limit])

    def _read(self) -> None:
        # os.read gives what is there; the pipe's own read would wait for a whole chunk.
        while chunk := os.read(self._pipe.fileno(), _CHUNK_BYTES):
            if len(self._data) <= self._limit:
                self._data += chunk
            if len(self._data) > self._limit and not self.overflowed:
                self.overflowed = True
                self._overflow()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill it and what it started, where it still runs."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if hasattr(os, "killpg"):
                os.killpg(process.pid, signal.SIGKILL)
            else:  # Windows, which has no groups
                process.kill()
    process.wait()
