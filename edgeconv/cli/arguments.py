"""Types of arguments whose errors a person understands."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable
from pathlib import Path

__all__ = ["duration", "filled", "filled_path", "positive", "whole_number"]

#: Python reads no number of more than 4,300 digits, and nobody means one.
_LONGEST = 20


def filled(text: str) -> str:
    """The ``type`` of an argument that may not be empty, as an unset variable makes it."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def filled_path(text: str) -> Path:
    """The same of a path: an empty one would be this folder."""
    return Path(filled(text))


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """The ``type`` of an argument that is a whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        digits = text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _LONGEST
        if not digits or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"{text[:_LONGEST]!r} is no whole number from {low} to {high}"
            )
        return int(text)

    return parse


_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
#: A month; nobody waits longer, and no clock overflows.
_LONGEST_S = 30 * 24 * 3600.0


def duration(text: str) -> float:
    """The ``type`` of an argument that is a time: ``90``, ``90s``, ``5m`` or ``1.5h``; seconds."""
    match = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,6})?)([a-z]*)", text.strip())
    if match and match[2] in _UNITS and 0 < float(match[1]) * _UNITS[match[2]] <= _LONGEST_S:
        return float(match[1]) * _UNITS[match[2]]
    raise argparse.ArgumentTypeError(f"{text[:_LONGEST]!r} is no time such as 90s or 5m")


def positive(text: str) -> float:
    """The ``type`` of an argument that is a number above 0, and finite."""
    try:
        value = float(text) if len(text) <= _LONGEST else math.nan
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text[:_LONGEST]!r} is no number above 0")
    return value
