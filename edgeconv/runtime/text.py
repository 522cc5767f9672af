"""Text on its way out: to a terminal, which it must not steer, and as JSON."""

from __future__ import annotations

import json
import re
from typing import Any, Optional

__all__ = ["UNSAFE_TEXT", "json_text"]

#: Control characters, line and paragraph separators, what turns the writing
#: direction, and halves of surrogate pairs. A list of our own: what
#: ``str.isprintable`` knows depends on the age of the device's Python.
UNSAFE_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def json_text(value: Any, encoding: Optional[str], indent: Optional[int] = None) -> str:
    """``value`` as JSON that a stream of this encoding can carry.

    Readable where it can be; escapes where the encoding, or a file's name that
    is no text, leaves no other way.
    """
    text = json.dumps(value, indent=indent, ensure_ascii=False)
    try:
        text.encode(encoding or "ascii")
    except UnicodeEncodeError:
        return json.dumps(value, indent=indent)
    return text
