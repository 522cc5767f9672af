"""Types of arguments whose errors a person understands."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

__all__ = ["filled", "filled_path", "whole_number"]

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
