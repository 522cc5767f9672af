"""Lists of names and values, as manifests have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from edgeconv.report.text import MISSING, escape

__all__ = ["definitions", "flat"]

#: A name of more dots than this would be too long to read.
_LONGEST_PREFIX = 80


def flat(facts: Mapping[Any, Any], prefix: str = "") -> Iterable[tuple[str, object]]:
    """(name, value) pairs, tables within tables by dotted names."""
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping) and len(prefix) < _LONGEST_PREFIX:
            yield from flat(value, f"{name}.")
        else:
            yield name, value


def definitions(facts: Iterable[tuple[str, object]]) -> str:
    """A list of names and values; empty where all values are."""
    rows = "\n".join(
        f"<dt>{escape(name)}</dt><dd>{escape(_said(value))}</dd>"
        for name, value in facts
        if value not in (None, "", [], ())
    )
    return f"<dl>\n{rows}\n</dl>" if rows else ""


def _said(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(_said(each) for each in value)
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
