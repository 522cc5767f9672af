"""Targets: the formats, each behind the same protocol."""
