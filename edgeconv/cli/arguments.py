"""Types of arguments whose errors a person understands."""

from __future__ import annotations

import argparse
from collections.abc import Callable

__all__ = ["whole_number"]


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """The ``type`` of an argument that is a whole number from ``low`` to ``high``."""

    def parse(text: str) -> int:
        digits = text.isascii() and text.removeprefix("-").isdigit()
        if not digits or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return parse
