"""Skew: when parity is bad everywhere, which usual mistake it looks like."""

from edgeconv.verify.skew.search import ITEMS, suspect
from edgeconv.verify.skew.suspicion import Kind, Measure, Suspicion

__all__ = ["ITEMS", "Kind", "Measure", "Suspicion", "suspect"]
