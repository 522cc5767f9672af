"""Blame."""

from edgeconv.verify.blame.layers import blame

__all__ = ["blame"]
