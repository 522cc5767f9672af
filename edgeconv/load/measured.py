"""What of the catalogue was measured to convert: docs/zoo.json, where it is there.

{"schema_version": 1, "command", "machine", "versions": {"keras": "3.15.1", ...},
 "models": {"mobilenetv2": {"seconds", "peak_memory_bytes", "memory_bound_bytes", ...,
                            "tflite-fp32": {"status": "pass", "relative_difference", ...},
                            "onnx-int8": {"status": "fail", "reason": "...", ...}}}}

``status`` is ``pass``, ``fail`` (it runs, and misses a bound) or ``error`` (there is none).
Everything else is for docs/zoo.md; both are made by benchmarks/zoo.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

__all__ = ["CELLS", "measured"]

#: A format and a precision each.
CELLS: Final = ("tflite-fp32", "tflite-int8", "onnx-fp32", "onnx-int8")

_PACKAGE = Path(__file__).resolve().parents[1]


def measured(file: Path | None = None) -> Mapping[str, Mapping[str, str]]:
    """Status of each measured cell, by model; empty where nothing was measured.

    Args:
        file: By default the one that came with the wheel or lies in the checkout.
    """
    places = [file] if file else [_PACKAGE / "_zoo.json", _PACKAGE.parent / "docs" / "zoo.json"]
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        return {}
    try:
        rows = json.loads(found.read_text(encoding="utf-8"))["models"]
        return {
            name: {cell: str(row[cell]["status"]) for cell in CELLS if cell in row}
            for name, row in rows.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}  # a table of another version; the list of models works without it
