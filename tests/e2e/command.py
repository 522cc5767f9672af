"""Runs the real command line as a user does."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Outcome:
    """What a command left behind."""

    code: int
    stdout: str
    stderr: str

    def error_lines(self) -> list[str]:
        """The lines of stderr that report the error, without progress."""
        lines = self.stderr.splitlines()
        return [line for line in lines if not line.startswith(("  ✓", "  !"))]


def edgeconv(
    *arguments: object,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
    timeout_s: float = 300,
) -> Outcome:
    """Run ``edgeconv ARGUMENTS`` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "edgeconv", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
