"""The child process in which TensorFlow works.

The parent never imports TensorFlow: it asks the workshop to call a function
of edgeconv by name, with JSON arguments, and gets a JSON result back. What
stays live between two calls (the Keras model) stands in the child's ``state``
dict, the first argument of every function called. When the workshop closes,
all the memory goes back to the system.

Everything that TensorFlow and the converters print lands in a log file in the
scratch folder, never on the terminal.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from edgeconv import errors
from edgeconv.progress import Progress, Silent

__all__ = ["Workshop"]

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_CPP_MAX_VLOG_LEVEL": "0",
    "KERAS_BACKEND": "tensorflow",
    # The reference is the CPU's answer on every machine.
    "CUDA_VISIBLE_DEVICES": "-1",
    # Converters iterate over sets of names; this makes their order the same every time.
    "PYTHONHASHSEED": "0",
    # A folder of someone else's on PYTHONPATH must not shadow TensorFlow's modules.
    "PYTHONSAFEPATH": "1",
}


class Workshop:
    """The parent's side: start the child, call functions in it, end it.

    Args:
        folder: Scratch folder for the child's log.
    """

    def __init__(self, folder: Path) -> None:
        self._log = folder / "workshop.log"
        self._one_at_a_time = threading.Lock()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "edgeconv.workshop"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **_ENVIRONMENT},
                # Ctrl-C reaches the parent alone, which ends the child in order.
                start_new_session=True,
            )

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, function: str, progress: Progress | None = None, **arguments: Any) -> Any:
        """Call ``module:name`` in the child and wait for its result.

        May be called from several threads; the child answers them in turn.

        Args:
            function: Such as ``edgeconv.load.child:open_model``.
            progress: Receives what the function reports meanwhile.
            arguments: JSON values.

        Returns:
            What the function returned, through JSON.

        Raises:
            EdgeconvError: The one that the function raised; InternalError
                where it raised anything else or the child died.
        """
        watcher = progress or Silent()
        request = json.dumps({"function": function, "arguments": arguments})
        with self._one_at_a_time:
            return self._call(request.encode(), function, watcher)

    def _call(self, request: bytes, function: str, watcher: Progress) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(request + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death(function) from None
        for line in self._process.stdout:
            message = json.loads(line)
            kind = message["kind"]
            if kind == "stage":
                watcher.stage(message["title"], message["total"])
            elif kind == "advance":
                watcher.advance(message["steps"])
            elif kind == "note":
                watcher.note(message["text"])
            elif kind == "result":
                return message["value"]
            else:
                error_class = getattr(errors, message["class"], errors.InternalError)
                error = error_class(message["message"], message["hint"])
                if message["traceback"]:
                    error.add_note("In the TensorFlow process:\n" + message["traceback"])
                raise error
        raise self._death(function)

    @property
    def alive(self) -> bool:
        """Whether the child still runs."""
        return self._process.poll() is None

    def _death(self, function: str) -> errors.EdgeconvError:
        code = self._process.wait()
        if code == -signal.SIGKILL:
            return errors.HostFailure(
                "The TensorFlow process was killed, most likely because memory ran out.",
                "Free some memory or convert on a larger machine.",
            )
        error = errors.InternalError(
            f"The TensorFlow process ended with code {code} during {function.split(':')[-1]}.",
            "Run again with --debug for its log.",
        )
        error.add_note(self._log.read_text(errors="replace")[-8000:])
        return error

    def close(self) -> None:
        """End the child at once; its memory goes back to the system."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


class _Forwarder:
    """The child's Progress: each call becomes a line on the pipe."""

    def __init__(self, pipe: IO[str]) -> None:
        self._pipe = pipe

    def send(self, **message: Any) -> None:
        self._pipe.write(json.dumps(message) + "\n")
        self._pipe.flush()

    def stage(self, title: str, total: int | None = None) -> None:
        self.send(kind="stage", title=title, total=total)

    def advance(self, steps: int = 1) -> None:
        self.send(kind="advance", steps=steps)

    def note(self, text: str) -> None:
        self.send(kind="note", text=text)


def _die_with_parent() -> None:
    """Ask Linux to end this process when the parent is gone, however it went."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1  # linux/prctl.h
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _serve() -> None:
    """The child's side: answer calls until the parent closes the pipe."""
    _die_with_parent()
    pipe = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    forwarder = _Forwarder(pipe)
    state: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        module, _, name = request["function"].partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
            value = function(state, forwarder, **request["arguments"])
            forwarder.send(kind="result", value=value)
        except Exception as error:
            known = isinstance(error, errors.EdgeconvError)
            traceback.print_exc()
            forwarder.send(
                kind="error",
                **{"class": type(error).__name__ if known else "InternalError"},
                message=error.message
                if isinstance(error, errors.EdgeconvError)
                else f"{name} failed: {type(error).__name__}: {str(error)[:300]}",
                hint=error.hint if isinstance(error, errors.EdgeconvError) else "",
                traceback="" if known else traceback.format_exc(),
            )


if __name__ == "__main__":
    _serve()
