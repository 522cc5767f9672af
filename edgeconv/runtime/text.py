"""Text out of a bundle that goes to a terminal must not steer it."""

from __future__ import annotations

import re

__all__ = ["UNSAFE_TEXT"]

#: Control characters, line and paragraph separators, what turns the writing
#: direction, and halves of surrogate pairs. A list of our own: what
#: ``str.isprintable`` knows depends on the age of the device's Python.
UNSAFE_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
