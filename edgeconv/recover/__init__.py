"""Recover: the search for the recipe that keeps the accuracy of int8, and its account."""

from edgeconv.recover.account import Effort, Recovery, Tried, Workbench
from edgeconv.recover.expected import expected_drop
from edgeconv.recover.ladder import climb
from edgeconv.recover.record import recovery_to_json, timings
from edgeconv.recover.trial import Score, Trial
from edgeconv.recover.typical import typical_error

__all__ = [
    "Effort",
    "Recovery",
    "Score",
    "Trial",
    "Tried",
    "Workbench",
    "climb",
    "expected_drop",
    "recovery_to_json",
    "timings",
    "typical_error",
]
