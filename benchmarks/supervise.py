"""A command with bounds: ended, with all that it started, where it takes too long or too much."""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass

import psutil
from measure import _pss_bytes

__all__ = ["Supervised", "supervise"]

SAMPLE_S = 0.25
# Reading the maps of a process with gigabytes takes milliseconds of the machine that is
# being measured: no more than a twentieth of it.
REST = 20


@dataclass(frozen=True)
class Supervised:
    """What one run of a command took.

    Attributes:
        wall_s: From start to exit.
        peak_bytes: Highest sum of the process tree's proportional set sizes (PSS).
        peak_parts: Those of its processes then, largest first.
        peak_after: Last line of stderr before it.
        code: Exit code; negative where a signal ended it.
        stopped: Which bound it broke, in words; "" where none.
        stdout: All of it.
        stderr: All of it.
    """

    wall_s: float
    peak_bytes: int
    peak_parts: list[int]
    peak_after: str
    code: int
    stopped: str
    stdout: str
    stderr: str


def supervise(
    command: list[str], *, timeout_s: float, limit_bytes: int, environment: dict[str, str]
) -> Supervised:
    """Run ``command`` to its end, or to its bound."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        start, stopped = time.perf_counter(), ""
        parts, said = [0], 0
        process = subprocess.Popen(
            command, stdout=out, stderr=err, env={**os.environ, **environment}
        )
        while process.poll() is None:
            looked = time.perf_counter()
            found = sorted((_pss_bytes(each.pid) for each in _tree(process.pid)), reverse=True)
            if sum(found) > sum(parts):
                parts, said = found, os.fstat(err.fileno()).st_size
            if time.perf_counter() - start > timeout_s:
                stopped = f"stopped after {timeout_s:.0f} s"
            elif sum(parts) > limit_bytes:
                stopped = f"stopped at {sum(parts) / 1e9:.1f} GB"
            if stopped:
                _end(process.pid)
                break
            time.sleep(max(SAMPLE_S, REST * (time.perf_counter() - looked)))
        process.wait()
        wall_s = time.perf_counter() - start
        out.seek(0), err.seek(0)
        stdout, stderr = out.read(), err.read()
    before = stderr.encode()[:said].decode(errors="replace").strip().splitlines()
    last = before[-1].strip() if before else ""
    code = process.returncode
    return Supervised(wall_s, sum(parts), parts, last, code, stopped, stdout, stderr)


def _tree(pid: int) -> list[psutil.Process]:
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _end(pid: int) -> None:
    """Halt, then kill: nothing that is halted starts another child meanwhile."""
    halted: set[psutil.Process] = set()
    while new := set(_tree(pid)) - halted:
        for process in new:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.suspend()
        halted |= new
    for process in halted:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
