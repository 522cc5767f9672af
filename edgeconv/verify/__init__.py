"""Verify: paired metrics, their intervals, and the gate."""

from edgeconv.metric_names import METRICS, MetricInfo, describe_metric
from edgeconv.verify.blame import blame, opened
from edgeconv.verify.checks import check, checkable
from edgeconv.verify.conversion import check_conversion
from edgeconv.verify.encode import (
    verdict_from_json,
    verdict_from_text,
    verdict_to_json,
    verdict_to_text,
)
from edgeconv.verify.gate import Gate, acceptable, exit_code, holds, parse_max_drop
from edgeconv.verify.heads import ENDED, ended, unlike_heads
from edgeconv.verify.judge import Disagreement, classifies_rows, judge
from edgeconv.verify.meaning import evidence
from edgeconv.verify.naming import named
from edgeconv.verify.policy import OnInconclusive, Policy, Threshold, read_policy
from edgeconv.verify.skew import suspect
from edgeconv.verify.stored import Given, judge_answers, pairing_of
from edgeconv.verify.structure import describe

__all__ = [
    "ENDED",
    "METRICS",
    "Disagreement",
    "Gate",
    "Given",
    "MetricInfo",
    "OnInconclusive",
    "Policy",
    "Threshold",
    "acceptable",
    "blame",
    "check",
    "check_conversion",
    "checkable",
    "classifies_rows",
    "describe",
    "describe_metric",
    "ended",
    "evidence",
    "exit_code",
    "holds",
    "judge",
    "judge_answers",
    "named",
    "opened",
    "pairing_of",
    "parse_max_drop",
    "read_policy",
    "suspect",
    "unlike_heads",
    "verdict_from_json",
    "verdict_from_text",
    "verdict_to_json",
    "verdict_to_text",
]
