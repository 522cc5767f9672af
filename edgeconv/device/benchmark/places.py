"""Where a measurement runs: a fresh process here, or one on a device.

Here it is the runtime of this edgeconv, there the bundle's own ``infer.py``: the same
code, and in a process of its own, so that memory and load time are one model's.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from edgeconv import errors
from edgeconv.device.benchmark.request import Subject
from edgeconv.device.transports.base import Transport
from edgeconv.device.transports.process import Completed, execute, last_line
from edgeconv.device.transports.targets import open_transport
from edgeconv.errors import EdgeconvError, HostFailure
from edgeconv.pictures import printable

__all__ = ["Place", "enter"]

#: An emulated device takes seconds a call, and TensorRT minutes to build an engine.
_TIMEOUT_S = 1800.0
_CHILD = (
    "import sys; from pathlib import Path; from edgeconv.runtime.script import main; "
    "sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))"
)
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
def enter(on: str | None, python: str | None, subjects: Sequence[Subject]) -> Iterator[Place]:
    """The place, with the bundles on it; on a device they are removed at the end.

    Args:
        on: The target; None for this machine as it is.
        python: The interpreter there.
        subjects: Copied to the target.

    Raises:
        EdgeconvError: It can't be reached.
    """
    if on is None:
        yield _Here()
        return
    with open_transport(on, python) as transport:
        for number, subject in enumerate(subjects):
            transport.put(subject.path, _folder(number))
        yield _There(transport, subjects)


class _Here:
    def run(self, subject: Subject, engine: str | None, arguments: Sequence[str]) -> dict[str, Any]:
        command = [sys.executable, "-c", _CHILD, str(subject.path), *arguments]
        done = execute(command, _TIMEOUT_S, environment=_ENVIRONMENT)
        return _answer(done, "the runtime")


class _There:
    def __init__(self, transport: Transport, subjects: Sequence[Subject]) -> None:
        self._transport = transport
        self._folders = {subject.path: _folder(n) for n, subject in enumerate(subjects)}

    def run(self, subject: Subject, engine: str | None, arguments: Sequence[str]) -> dict[str, Any]:
        script = f"{self._folders[subject.path]}/infer.py"
        command = [*self._transport.python(engine), script, *arguments]
        return _answer(self._transport.run(command, _TIMEOUT_S), self._transport.target)


def _folder(number: int) -> str:
    return f"bundle{number}"


def _answer(done: Completed, who: str) -> dict[str, Any]:
    try:
        answer = json.loads(done.stdout.decode("utf-8"))
    except (ValueError, RecursionError):
        answer = None
    if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
        raise _reported(answer["error"], done.code, who)
    if done.code or not isinstance(answer, dict):
        said = printable(last_line(done.stderr)) or f"exit code {done.code}, and not a word"
        raise HostFailure(f"infer.py gave no answer on {printable(who)}: {said}")
    return answer


def _reported(error: dict[str, Any], code: int, who: str) -> EdgeconvError:
    """The exception that the process ended with, raised again here."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
    known = (
        kind for kind in kinds if issubclass(kind, EdgeconvError) and kind is not EdgeconvError
    )
    kind = next((kind for kind in known if kind.exit_code == code), HostFailure)
    message, hint = (printable(str(error.get(key) or ""))[:400] for key in ("message", "hint"))
    return kind(message or f"infer.py failed on {printable(who)}.", hint)
