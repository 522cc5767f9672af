"""Where a candidate is to run, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgeconv.device.transports import check_target
from edgeconv.errors import UsageError
from edgeconv.pictures import printable
from edgeconv.runtime.engines import ENGINES

__all__ = ["DeviceOrder", "check_order"]


@dataclass(frozen=True)
class DeviceOrder:
    """Where to run, and how much.

    Attributes:
        target: See ``device.transports.TARGETS``.
        python: The interpreter there; None for the transport's own choice.
        engine: A key of ``runtime.ENGINES``; None for the first that is there.
        samples: At most this many items travel, evenly spread.
        threads: Of one inference there.
        timeout_s: For all of them.
    """

    target: str
    python: str | None = None
    engine: str | None = None
    samples: int = 100
    threads: int = 1
    timeout_s: float = 1800.0


def check_order(order: DeviceOrder, candidate: Path) -> None:
    """Refuse before anything slow what can't come to an answer.

    Raises:
        UsageError: The target or the engine is none, or the candidate is no bundle.
    """
    check_target(order.target)
    if order.engine is not None and order.engine not in ENGINES:
        raise UsageError(
            f"There is no engine {printable(order.engine)!r}.", f"Known: {', '.join(ENGINES)}."
        )
    if not candidate.is_dir():
        raise UsageError(
            f"{candidate} is no bundle; a device runs its infer.py.",
            "Give the folder that export made, or leave --on away.",
        )
