"""Policy: what parity has to hold, as a user wrote it down."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from edgeconv.verify.gate import Gate

__all__ = ["OnInconclusive", "Policy"]

OnInconclusive = Literal["estimate", "fail"]


@dataclass(frozen=True)
class Policy:
    """What parity has to hold.

    Attributes:
        gate: The task's own metric and its margin.
        on_inconclusive: Whether an undecided artifact counts by its estimate or
            as lost.
    """

    gate: Gate = field(default_factory=Gate)
    on_inconclusive: OnInconclusive = "fail"
