"""Answers under their class names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgeconv.verify.judge import Disagreement

__all__ = ["named"]


def named(found: Disagreement, labels: Sequence[str]) -> dict[str, Any]:
    """A disagreement as a row of a report.

    Args:
        found: With class indices.
        labels: Class names by index; empty to keep the numbers.

    Returns:
        ``file``, ``item``, ``reference``, ``candidate`` and ``expected`` (None
        without a label), as text.
    """

    def name(index: int | None) -> str | None:
        if index is None or not labels:
            return None if index is None else str(index)
        return labels[index] if 0 <= index < len(labels) else f"class {index}"

    return {
        "file": found.file,
        "item": found.item,
        "reference": name(found.reference),
        "candidate": "NaN" if found.candidate < 0 else name(found.candidate),
        "expected": name(found.expected),
    }
