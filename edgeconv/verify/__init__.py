"""Verify: paired metrics, their intervals, and the gate."""

from edgeconv.verify.catalogue import METRICS, MetricInfo, describe_metric
from edgeconv.verify.checks import check, checkable
from edgeconv.verify.conversion import check_conversion
from edgeconv.verify.encode import (
    verdict_from_json,
    verdict_from_text,
    verdict_to_json,
    verdict_to_text,
)
from edgeconv.verify.gate import Gate, exit_code, parse_max_drop
from edgeconv.verify.judge import Disagreement, judge
from edgeconv.verify.naming import named
from edgeconv.verify.policy import Policy
from edgeconv.verify.stored import Given, judge_answers
from edgeconv.verify.structure import describe

__all__ = [
    "METRICS",
    "Disagreement",
    "Gate",
    "Given",
    "MetricInfo",
    "Policy",
    "check",
    "check_conversion",
    "checkable",
    "describe",
    "describe_metric",
    "exit_code",
    "judge",
    "judge_answers",
    "named",
    "parse_max_drop",
    "verdict_from_json",
    "verdict_from_text",
    "verdict_to_json",
    "verdict_to_text",
]
