"""Text and numbers on the page: everything that isn't ours is escaped here.

A number carries its exact value and the place that it was taken from, as a JSON
pointer into a file of the bundle (Source: RFC 6901), so that a program can hold
every figure of the page against its source:

    <data value="83.6" data-from="verdict.json#/artifacts/0/metrics/top1">83.6%</data>
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable

__all__ = [
    "MISSING",
    "escape",
    "escape_lines",
    "megabytes",
    "milliseconds",
    "number",
    "plain",
    "real",
    "signed",
]

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


def real(value: object) -> float | None:
    """A finite number; None for anything else that a file may hold."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
        return None
    return float(value)


def number(value: object, unit: str = "", digits: int = 1, at: str = "") -> str:
    """A number to read, with the exact one in its ``value`` attribute.

    Args:
        value: Anything; what is no finite number becomes a dash.
        unit: Written right after it.
        digits: Decimals.
        at: Where it stands, as a JSON pointer behind a file name.
    """
    return _data(value, at, lambda x: plain(x, digits) + unit)


def signed(value: object, unit: str = "", digits: int = 1, at: str = "") -> str:
    """The same with its sign, for differences."""
    return _data(
        value,
        at,
        lambda x: ("+" if round(x, digits) > 0 else "") + plain(x, digits) + unit,
    )


def milliseconds(value: object, at: str = "") -> str:
    """A time in ms, with more digits where one would be 0.0."""
    return _data(value, at, lambda x: plain(x, 1 if x >= 1 else 2 if x >= 0.1 else 3) + " ms")


def megabytes(size: object, at: str = "") -> str:
    """A file's size in MB (10^6 bytes), kB below one."""
    if not isinstance(size, int) or isinstance(size, bool):
        return MISSING
    if size < 1_000_000:
        return _data(size, at, lambda x: f"{x / 1e3:.1f} kB")
    return _data(size, at, lambda x: f"{x / 1e6:.2f} MB")


def _data(value: object, at: str, write: Callable[[float], str]) -> str:
    known = real(value)
    if known is None:
        return MISSING
    source = f' data-from="{escape(at)}"' if at else ""
    return f'<data value="{value!r}"{source}>{write(known)}</data>'


def plain(value: object, digits: int = 1) -> str:
    """A number without markup, for SVG text and labels; zero has no sign."""
    known = real(value)
    if known is None:
        return MISSING
    # More digits than anyone reads say less than the exponent does.
    if abs(known) >= 1e9 or not math.isfinite(known):
        return f"{known:.3g}".replace("-", _MINUS)
    return f"{round(known, digits) + 0.0:,.{digits}f}".replace("-", _MINUS)
