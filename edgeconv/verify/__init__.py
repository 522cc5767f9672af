"""Verify: paired metrics, their intervals, and the gate."""

from edgeconv.verify.encode import (
    verdict_from_json,
    verdict_from_text,
    verdict_to_json,
    verdict_to_text,
)
from edgeconv.verify.gate import Gate, exit_code, parse_max_drop
from edgeconv.verify.judge import Disagreement, judge
from edgeconv.verify.structure import describe

__all__ = [
    "Disagreement",
    "Gate",
    "describe",
    "exit_code",
    "judge",
    "parse_max_drop",
    "verdict_from_json",
    "verdict_from_text",
    "verdict_to_json",
    "verdict_to_text",
]
