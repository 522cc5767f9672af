"""Wall clock and peak memory of a command with all its children."""

from __future__ import annotations

import os
import resource
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

__all__ = ["Run", "measure"]

# Often enough for peaks that last; reading the maps of a TensorFlow process takes some
# milliseconds of the machine that is being measured.
SAMPLE_S = 0.1


@dataclass(frozen=True)
class Run:
    """What one run of a command took.

    Attributes:
        wall_s: From start to exit.
        cpu_s: Processor time of all of them, which neighbours on the machine hardly change.
        peak_mib: Highest sum of the process tree's proportional set sizes (PSS):
            a page shared by two of them counts once.
        code: Exit code.
        stdout: All of it.
        stderr: All of it.
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    code: int
    stdout: str
    stderr: str


def measure(command: list[str], **environment: str) -> Run:
    """Run ``command`` to its end and measure it with everything it starts."""
    start, cpu_before_s = time.perf_counter(), _children_cpu_s()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    peaks = [0.0]
    watcher = threading.Thread(target=_watch, args=(process.pid, peaks), daemon=True)
    watcher.start()
    stdout, stderr = process.communicate()
    wall_s, cpu_s = time.perf_counter() - start, _children_cpu_s() - cpu_before_s
    watcher.join()
    return Run(wall_s, cpu_s, peaks[0] / 2**20, process.returncode, stdout, stderr)


def _children_cpu_s() -> float:
    """Of children that ended and were waited for, and theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(pid: int, peaks: list[float]) -> None:
    try:
        root = psutil.Process(pid)
        while root.is_running() and root.status() != psutil.STATUS_ZOMBIE:
            tree = [root, *root.children(recursive=True)]
            peaks[0] = max(peaks[0], sum(_pss_bytes(process.pid) for process in tree))
            time.sleep(SAMPLE_S)
    except psutil.NoSuchProcess:
        return


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)
