"""Recover: the search for the recipe that keeps the accuracy of int8, and its account."""

from edgeconv.recover.ladder import Effort, Recovery, Tried, Workbench, climb
from edgeconv.recover.record import recovery_from_text, recovery_to_json, timings
from edgeconv.recover.trial import Score, Trial

__all__ = [
    "Effort",
    "Recovery",
    "Score",
    "Trial",
    "Tried",
    "Workbench",
    "climb",
    "recovery_from_text",
    "recovery_to_json",
    "timings",
]
