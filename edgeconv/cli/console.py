"""What a person sees: a line a room on stderr, the result on stdout, no noise.

Libraries print from C++ to the process's file descriptors, past anything that
Python can intercept. A command that runs them calls ``quiet()``: from then on
descriptors 1 and 2 lead to a log, and only this console reaches the terminal.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
import traceback
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

__all__ = ["Console"]


class Console:
    """The terminal, as ``edgeconv.progress.Progress`` and as the place of results.

    Args:
        as_json: Results and errors as one JSON object on stdout.
        debug: Show tracebacks; let libraries print.
    """

    def __init__(self, *, as_json: bool = False, debug: bool = False) -> None:
        self.as_json = as_json
        self.debug = debug
        self._out: TextIO = sys.stdout
        self._err: TextIO = sys.stderr
        self._saved: tuple[int, int] | None = None
        self._bar: RichProgress | None = None
        self._task: TaskID | None = None
        self._title = ""
        self._started = 0.0

    def quiet(self) -> None:
        """Send what libraries print to a log; keep the terminal for ourselves."""
        if self.debug or self._saved is not None:
            return
        sys.stdout.flush()
        sys.stderr.flush()
        self._saved = (os.dup(1), os.dup(2))
        self._out, self._err = _copy_of(sys.stdout, 1), _copy_of(sys.stderr, 2)
        log = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)

    def close(self) -> None:
        """End the current stage and give the descriptors back."""
        self._end_stage(done=False)
        if self._saved is not None:
            sys.stdout.flush()
            sys.stderr.flush()
            for target, saved in zip((1, 2), self._saved, strict=True):
                os.dup2(saved, target)
                os.close(saved)
            self._saved = None
            for stream in (self._out, self._err):
                with contextlib.suppress(OSError):
                    stream.close()
            self._out, self._err = sys.stdout, sys.stderr

    # The Progress protocol.

    def stage(self, title: str, total: int | None = None) -> None:
        """Begin a stage; the one before is done."""
        self._end_stage(done=True)
        self._title, self._started = title, time.monotonic()
        if self._err.isatty():
            from rich import progress

            self._bar = progress.Progress(
                progress.TextColumn(" "),
                progress.SpinnerColumn(finished_text=f"[green]{_tick(self._err)}"),
                progress.TextColumn("{task.description:<34}"),
                progress.BarColumn(bar_width=24),
                progress.MofNCompleteColumn() if total else progress.TextColumn(""),
                progress.TimeElapsedColumn(),
                console=self._rich(self._err),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(title, total=total)

    def advance(self, steps: int = 1) -> None:
        """Move the bar."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, steps)

    def retitle(self, title: str) -> None:
        """What the line of the current stage is to say when it is done."""
        self._title = title

    def note(self, text: str) -> None:
        """A line that a person should read."""
        if self._bar is not None:
            self._bar.console.print(f"  ! {text}", markup=False, highlight=False)
        else:
            self._tell(f"  ! {text}")

    def _end_stage(self, *, done: bool) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
        if self._title and done:
            seconds = time.monotonic() - self._started
            self._tell(f"  {_tick(self._err)} {self._title:<44} {seconds:6.1f} s")
        self._title = ""

    def _tell(self, text: str) -> None:
        """A line on stderr; that nobody can read it is no reason to stop."""
        with contextlib.suppress(OSError):
            print(text, file=self._err, flush=True)

    def done(self) -> None:
        """The last stage is done; results may follow."""
        self._end_stage(done=True)

    # Results.

    def result(self, value: dict[str, Any]) -> None:
        """Print the command's one JSON object."""
        from edgeconv.runtime.text import json_text  # NumPy comes with it, which --help can spare

        print(json_text(value, self._out.encoding, indent=2), file=self._out, flush=True)

    def print(self, *items: Any) -> None:
        """Print a result for people: text or anything that rich renders."""
        if all(isinstance(item, str) for item in items):
            print(*items, file=self._out, flush=True)
        else:
            self._rich(self._out).print(*items)

    def fail(self, code: str, message: str, hint: str, error: BaseException | None = None) -> None:
        """Report an error: one line for the cause, one for the remedy."""
        self._end_stage(done=False)
        if self.debug and error is not None:
            self._tell("".join(traceback.format_exception(error)).rstrip())
        message, hint = _one_line(message), _one_line(hint)
        self._tell(f"edgeconv: {message}")
        if hint:
            self._tell(f"  {hint}")
        if self.as_json:
            problem = {"code": code, "message": message, "hint": hint}
            with contextlib.suppress(OSError):  # the error's exit code says more than this one's
                self.result({"schema_version": 1, "error": problem})

    @property
    def width(self) -> int:
        """Columns that a result may take."""
        return self._rich(self._out).width

    def _rich(self, stream: TextIO) -> RichConsole:
        from rich.console import Console as RichConsole

        # A pipe has no width; a table that is cut is worse than a wide one.
        return RichConsole(file=stream, width=None if stream.isatty() else 120, highlight=False)


def _copy_of(stream: TextIO, descriptor: int) -> TextIO:
    """Leads to where ``descriptor`` led, in the encoding of ``stream``."""
    encoding = stream.encoding or "utf-8"
    return os.fdopen(os.dup(descriptor), "w", encoding=encoding, errors="backslashreplace")


def _tick(stream: TextIO) -> str:
    try:
        "✓".encode(stream.encoding or "ascii")
    except UnicodeEncodeError:
        return "+"
    return "✓"


def _one_line(text: str) -> str:
    """No newline or control character of a hostile name reaches the terminal."""
    return "".join(c if c.isprintable() else " " for c in text)
