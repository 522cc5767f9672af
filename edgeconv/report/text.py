"""Text and numbers on the page: everything that isn't ours is escaped here."""

from __future__ import annotations

import html
import math
from collections.abc import Callable

from edgeconv.types import MetricValue

__all__ = ["MISSING", "escape", "escape_lines", "megabytes", "number", "plain", "signed"]

MISSING = "–"
_MINUS = "−"
_LONGEST = 2000


def escape(value: object) -> str:
    """Text that can stand in an element or a quoted attribute, on one line.

    Control characters, ANSI escapes and the marks that turn the reading
    direction around become U+FFFD.
    """
    text = str(value)
    if len(text) > _LONGEST:
        text = text[:_LONGEST] + "…"
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in text), quote=True)


def escape_lines(text: str) -> str:
    """Text of several lines, for ``<pre>``."""
    return "\n".join(escape(line) for line in text.splitlines())


def number(value: object, unit: str = "", digits: int = 1) -> str:
    """A number to read, with the exact one in its ``value`` attribute."""
    return _data(value, unit, lambda x: f"{x:,.{digits}f}")


def signed(value: object, unit: str = "", digits: int = 1) -> str:
    """The same with its sign, for differences."""
    return _data(value, unit, lambda x: f"{x:+,.{digits}f}" if round(x, digits) else "0.0")


def megabytes(size: object) -> str:
    """A file's size in MB (10^6 bytes), kB below one."""
    if not isinstance(size, int) or isinstance(size, bool):
        return MISSING
    if size < 1_000_000:
        return _data(size, " kB", lambda x: f"{x / 1e3:.1f}")
    return _data(size, " MB", lambda x: f"{x / 1e6:.2f}")


def _data(value: object, unit: str, write: Callable[[float], str]) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return MISSING
    shown = write(value).replace("-", _MINUS)
    return f'<data value="{value!r}">{shown}{unit}</data>'


def plain(value: MetricValue, digits: int = 1) -> str:
    """A number without markup, for SVG text and labels."""
    if not isinstance(value, float):
        return MISSING
    return f"{value:.{digits}f}".replace("-", _MINUS)
