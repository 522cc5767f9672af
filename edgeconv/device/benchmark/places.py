"""Where a measurement runs: a fresh process here, or one on a device.

Here it is the runtime of this edgeconv, there the ``infer.py`` that is made of it: the
same code, and in a process of its own, so that memory and load time are one model's.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from edgeconv import errors
from edgeconv.device import remote
from edgeconv.device.benchmark.request import BenchRequest, Subject
from edgeconv.device.replies import failure_of
from edgeconv.device.transports import Completed, Transport, open_transport
from edgeconv.device.transports.process import execute, last_line
from edgeconv.errors import EdgeconvError, HostFailure, RefusedInput
from edgeconv.pictures import printable
from edgeconv.runtime.checksums import SealedFolder

__all__ = ["Place", "enter"]

#: An emulated device takes seconds a call, and TensorRT minutes to build an engine.
_TIMEOUT_S = 1800.0
_CHILD = (
    "import sys; from pathlib import Path; from edgeconv.runtime.script import main; "
    "sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))"
)
#: Where ``remote.install`` puts it.
_SCRIPT = "bundle/infer.py"
#: A folder of someone else's must not shadow NumPy.
_ENVIRONMENT = {"PYTHONSAFEPATH": "1"}


class Place(Protocol):
    """Runs one measurement in a process of its own."""

    def run(self, subject: Subject, engine: str | None, arguments: Sequence[str]) -> dict[str, Any]:
        """Call ``infer.py`` with ``arguments``.

        Returns:
            Its JSON object.

        Raises:
            EdgeconvError: What it reported; or it can't be reached, or answered nonsense.
        """


@contextlib.contextmanager
def enter(request: BenchRequest, subjects: Sequence[Subject]) -> Iterator[Place]:
    """The place, with the bundles on it; on a device they are removed at the end.

    Args:
        request: Its ``on``, ``python``, ``engines`` and ``script``.
        subjects: Copied to the target, each into a folder of its own.

    Raises:
        EdgeconvError: It can't be reached, or lacks Python, NumPy, Pillow or an engine.
    """
    if request.on is None:
        yield _Here()
        return
    with contextlib.ExitStack() as stack:
        devices = {}
        for subject in subjects:
            device = stack.enter_context(open_transport(request.on, request.python))
            remote.install(device, SealedFolder(subject.path), request.script)
            for engine in request.engines or (None,):
                remote.check(device, subject.manifest, engine)
            devices[subject.path] = device
        yield _There(devices)


class _Here:
    def run(self, subject: Subject, engine: str | None, arguments: Sequence[str]) -> dict[str, Any]:
        command = [sys.executable, "-c", _CHILD, str(subject.path), *arguments]
        done = execute(command, _TIMEOUT_S, environment=_ENVIRONMENT)
        if done.code:
            raise _failed(done)
        return _object(done, "The runtime")


class _There:
    def __init__(self, devices: Mapping[Path, Transport]) -> None:
        self._devices = devices

    def run(self, subject: Subject, engine: str | None, arguments: Sequence[str]) -> dict[str, Any]:
        device = self._devices[subject.path]
        done = device.run([*device.python(engine), _SCRIPT, *arguments], _TIMEOUT_S)
        if done.code:
            raise failure_of(device.target, done)
        return _object(done, device.target)


def _object(done: Completed, who: str) -> dict[str, Any]:
    """The object in the last line; engines may have printed above it."""
    lines = done.stdout.strip().splitlines()
    try:
        answer = json.loads(lines[-1]) if lines else None
    except (ValueError, RecursionError):
        answer = None
    if not isinstance(answer, dict):
        raise RefusedInput(f"{printable(who)} answers with something else than measurements.")
    return answer


def _failed(done: Completed) -> EdgeconvError:
    """The exception that the process ended with, raised again here."""
    try:
        error = _object(done, "").get("error")
    except RefusedInput:
        error = None
    if not isinstance(error, dict):
        said = printable(last_line(done.stderr)) or f"exit code {done.code}, and not a word"
        return HostFailure(f"The measurement failed: {said}")
    every = [each for each in vars(errors).values() if isinstance(each, type)]
    known = [each for each in every if issubclass(each, EdgeconvError)]
    kind = next((each for each in known if each.code == error.get("code")), HostFailure)
    return kind(str(error.get("message")), str(error.get("hint") or ""))
