"""Verify: paired metrics, their intervals, and the gate."""
