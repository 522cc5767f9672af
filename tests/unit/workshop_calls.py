"""Functions that the workshop's tests call in the child."""

import errno
import os
import signal
from typing import Any

from edgeconv.errors import RefusedInput


def count(state: dict[str, Any], progress: Any, *, upto: int) -> dict[str, int]:
    progress.stage("count", upto)
    for _ in range(upto):
        progress.advance()
    progress.note("done")
    return {"sum": sum(range(upto))}


def remember(state: dict[str, Any], progress: Any, *, value: Any) -> None:
    state["value"] = value


def recall(state: dict[str, Any], progress: Any) -> Any:
    return state.get("value")


def refuse(state: dict[str, Any], progress: Any) -> None:
    raise RefusedInput("cause", "remedy")


def visible_gpus(state: dict[str, Any], progress: Any) -> str | None:
    return os.environ.get("CUDA_VISIBLE_DEVICES")


def divide(state: dict[str, Any], progress: Any) -> float:
    return 1 / 0


def fill_the_disk(state: dict[str, Any], progress: Any, *, kind: str) -> None:
    if kind == "memory":
        raise MemoryError
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "weights.npz")


def shout(state: dict[str, Any], progress: Any) -> str:
    print("from Python")
    os.write(1, b"from C\n")
    os.write(2, b"from C, stderr\n")
    return "still here"


def crash(state: dict[str, Any], progress: Any) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)
