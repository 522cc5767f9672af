r"""Shell: a device with a POSIX shell, reached by a program that runs one command there.

    sh -c 'printf "edgeconv:begin\n"; (SCRIPT); printf "\nedgeconv:end:%d\n" "$?"'

A login may print a greeting before the first mark; without the last one the
connection was lost, whatever the program's own exit code says. Every word of a
command is quoted. Of the device ``sh``, ``mktemp``, ``tar``, ``cat`` and ``rm``
are needed.
"""

from __future__ import annotations

import re
import shlex
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from edgeconv.device.transports.names import pack, plain
from edgeconv.device.transports.process import (
    MAX_TEXT_BYTES,
    Completed,
    execute,
    first_line,
    last_line,
)
from edgeconv.errors import EdgeconvError, HostFailure, MissingDependency, RefusedInput

__all__ = ["Shell"]

_BEGIN = b"edgeconv:begin\n"
_END = re.compile(rb"\nedgeconv:end:(\d{1,3})\r?\n\Z")
_GREETING_BYTES = 1 << 16
_SETUP_S = 60.0
_COPY_S = 1800.0
#: What mktemp may answer: it stands in later commands, one of which is rm -rf.
_FOLDER = re.compile(r"/[A-Za-z0-9_./\-]{0,400}/edgeconv-[A-Za-z0-9]{6,20}")


class Shell(ABC):
    """What ssh and adb have in common.

    Args:
        target: As the user wrote it.
        base: The folder in which temporary ones are made, as the shell there reads it.
        python: The interpreter there.
    """

    def __init__(self, target: str, base: str, python: str) -> None:
        self.target = target
        self.leftover = ""
        self._base, self._python = base, python
        self._folder = ""
        self._busy = False

    @abstractmethod
    def argv(self, command: str) -> list[str]:
        """The command here that has a shell there run ``command``."""

    @abstractmethod
    def failure(self, done: Completed) -> EdgeconvError:
        """Why the device was not reached, or was lost, from what the program said."""

    @abstractmethod
    def missing(self) -> MissingDependency:
        """That the program that reaches the device is not installed here."""

    def __enter__(self) -> Shell:
        """Make the folder there."""
        script = f'umask 077; mktemp -d "{self._base}/edgeconv-XXXXXXXX"'
        done = self._call(script, _SETUP_S)
        folder = done.stdout.decode("ascii", "replace").strip()
        if done.code or not _FOLDER.fullmatch(folder) or "/../" in folder:
            raise HostFailure(
                f"{self.target} has no room for a temporary folder: "
                f"{last_line(done.stderr) or 'mktemp gave none'}.",
                "See that its temporary folder exists, can be written and is not full.",
            )
        self._folder = folder
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End what may still run there and remove the folder."""
        quoted = shlex.quote(self._folder)
        script = f"rm -rf -- {quoted}"
        if self._busy:
            script = f'kill -9 "$(cat {quoted}/.pid)" 2>/dev/null; {script}'
        try:
            removed = self._call(script, _SETUP_S).code == 0
        except EdgeconvError:
            removed = False
        if not removed:
            self.leftover = f"{self._folder} could not be removed from {self.target}."

    def put(self, path: Path, name: str) -> None:
        """See ``Transport``."""
        with tempfile.TemporaryDirectory(prefix="edgeconv-") as scratch:
            archive = Path(scratch) / "put.tar"
            pack(path, name, archive)
            script = f"cd {shlex.quote(self._folder)} && tar -xf -"
            done = self._call(script, _COPY_S, archive)
        if done.code:
            full = b"No space left" in done.stderr  # tar says more about its own trouble first
            cause = "No space left" if full else first_line(done.stderr).rstrip(".")
            raise HostFailure(
                f"{self.target} can't take {name}: {cause or f'tar ended with {done.code}'}.",
                "See that its disk is not full (df -h) and that it has tar.",
            )

    def python(self, engine: str | None = None) -> tuple[str, ...]:
        """See ``Transport``."""
        return (self._python,)

    def run(self, command: Sequence[str], timeout_s: float) -> Completed:
        """See ``Transport``."""
        words = " ".join(shlex.quote(word) for word in command)
        # The number is what ends it there, should we be interrupted here.
        script = f"cd {shlex.quote(self._folder)} && echo $$ >.pid && exec {words}"
        self._busy = True
        done = self._call(f"sh -c {shlex.quote(script)} </dev/null", timeout_s)
        self._busy = False
        return done

    def get(self, name: str, limit_bytes: int) -> bytes:
        """See ``Transport``."""
        path = shlex.quote(f"{self._folder}/{plain(name)}")
        done = self._call(f"cat {path}", _COPY_S, limit_bytes=limit_bytes)
        if done.code:
            raise HostFailure(f"{self.target} left no {name}: {last_line(done.stderr)}.")
        if len(done.stdout) > limit_bytes:
            raise RefusedInput(f"{name} has more than {limit_bytes} bytes.")
        return done.stdout

    def _call(
        self,
        script: str,
        timeout_s: float,
        stdin: Path | None = None,
        limit_bytes: int = MAX_TEXT_BYTES,
    ) -> Completed:
        """Run a script of ours there; what it gives is what stands between the marks."""
        marked = f"printf 'edgeconv:begin\\n'; ({script}); printf '\\nedgeconv:end:%d\\n' \"$?\""
        room = limit_bytes + _GREETING_BYTES
        command = self.argv(f"sh -c {shlex.quote(marked)}")
        try:
            done = execute(command, timeout_s, stdin, limit_bytes=room)
        except FileNotFoundError:
            raise self.missing() from None
        end = _END.search(done.stdout[-64:])
        _, begun, body = done.stdout.partition(_BEGIN)
        if not begun or end is None:
            raise self.failure(done)
        return Completed(int(end[1]), body[: len(body) - len(end[0])], done.stderr)
