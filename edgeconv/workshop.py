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
import errno
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from edgeconv import errors
from edgeconv.cache import Cache
from edgeconv.memory import give_memory_back
from edgeconv.progress import Progress, Silent

__all__ = ["Workshop"]

_ENVIRONMENT = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "TF_CPP_MAX_VLOG_LEVEL": "0",
    "KERAS_BACKEND": "tensorflow",
    # Converters iterate over sets of names; this makes their order the same every time.
    "PYTHONHASHSEED": "0",
    # A folder of someone else's on PYTHONPATH must not shadow TensorFlow's modules.
    "PYTHONSAFEPATH": "1",
}
#: The reference is the CPU's answer on every machine.
_NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1"}


#: What the disk says, not our code.
_HOST_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)

#: Looking through all objects for garbage takes half a second, too much after each small batch.
_SHORT_S = 2.0


class Workshop:
    """The parent's side: start the child, call functions in it, end it.

    The child is started by the first call, so that a run in which the cache knows
    all the answers never starts it.

    Args:
        folder: Scratch folder for the child's log.
        cache: Where callers may keep what functions returned; None for nowhere.
        gpu: The child sees the machine's GPUs. For training alone: what models answer is
            asked of the CPU.
    """

    def __init__(self, folder: Path, cache: Cache | None = None, *, gpu: bool = False) -> None:
        self.cache = cache
        hidden = {} if gpu else _NO_GPU
        self._environment = {**os.environ, **_ENVIRONMENT, **hidden}
        self._log = folder / "workshop.log"
        self._one_at_a_time = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._deferred: list[tuple[str, bytes]] = []
        self._closed = False

    def start(self) -> int:
        """Start the child unless it was started before; returns its process id."""
        if self._child is None:
            self._child = self._started()
        return self._child.pid

    def _started(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise errors.InternalError("The TensorFlow process was ended before this call.")
        with self._log.open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "edgeconv.workshop"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=self._environment,
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
        with self._one_at_a_time:
            self.start()
            while self._deferred:
                earlier, request = self._deferred[0]
                self._call(request, earlier, Silent())
                self._deferred.pop(0)
            return self._call(_request(function, arguments), function, watcher)

    def defer(self, function: str, **arguments: Any) -> None:
        """Call ``function`` as ``call`` does, but not before the next call of another."""
        with self._one_at_a_time:
            self._deferred.append((function, _request(function, arguments)))

    def _call(self, request: bytes, function: str, watcher: Progress) -> Any:
        child = self._child
        assert child is not None and child.stdin is not None and child.stdout is not None
        try:
            child.stdin.write(request + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            raise self._death(child, function) from None
        for line in child.stdout:
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
        raise self._death(child, function)

    @property
    def alive(self) -> bool:
        """Whether the child still runs, or may yet be started."""
        return not self._closed if self._child is None else self._child.poll() is None

    def _death(self, child: subprocess.Popen[bytes], function: str) -> errors.EdgeconvError:
        code = child.wait()
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
        self._closed = True
        child = self._child
        if child is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _request(function: str, arguments: dict[str, Any]) -> bytes:
    return json.dumps({"function": function, "arguments": arguments}).encode()


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
        started = time.monotonic()
        try:
            function = getattr(importlib.import_module(module), name)
            value = function(state, forwarder, **request["arguments"])
            if time.monotonic() - started > _SHORT_S:
                give_memory_back()
            forwarder.send(kind="result", value=value)
        except Exception as error:
            traceback.print_exc()
            ours = _as_ours(name, error)
            forwarder.send(
                kind="error",
                **{"class": type(ours).__name__},
                message=ours.message,
                hint=ours.hint,
                traceback="" if ours is error else traceback.format_exc(),
            )


def _as_ours(name: str, error: Exception) -> errors.EdgeconvError:
    """What ``error``, raised by the function ``name``, is to the user."""
    if isinstance(error, errors.EdgeconvError):
        return error
    # TensorFlow says the latter of a GPU's memory.
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return errors.HostFailure(
            f"Memory ran out in {name}.", "Use smaller inputs or batches, or a larger machine."
        )
    if isinstance(error, OSError) and error.errno in _HOST_ERRNOS:
        place = f" {error.filename}" if error.filename else ""
        return errors.HostFailure(
            f"{name} can't write{place}: {os.strerror(error.errno)}.",
            "Free some room there, or write elsewhere.",
        )
    return errors.InternalError(f"{name} failed: {type(error).__name__}: {str(error)[:300]}")


if __name__ == "__main__":
    _serve()
