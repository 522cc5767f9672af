"""benchmarks/accuracy.py: what its page promises is judged by its rows."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def page() -> Any:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        return importlib.import_module("accuracy_page")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))


def result(tflite: float, onnx: float, **changes: Any) -> dict[str, Any]:
    """A model whose best stock tool agrees on 93.6%."""
    seconds = {"seconds": 9.0, "cpu_s": 8.0, "peak_mib": 500, "kept": [], "size_mb": 1.0}
    figures = {"top1": 80.0, "drop": 0.5, "sqnr_db": 21.0}
    rows = [
        {"tool": "T", "by": "stock", "format": "tflite", "agreement": 92.0, **figures, **seconds},
        {"tool": "P", "by": "stock", "format": "onnx", "agreement": 93.6, **figures, **seconds},
        {"tool": "Q", "by": "stock", "error": "does not run"},
    ]
    for format, agreement in (("tflite", tflite), ("onnx", onnx)):
        own = {"tool": "edgeconv --effort best", "by": "edgeconv", "effort": "best"}
        rows.append({**own, "format": format, "agreement": agreement, **figures, **seconds})
    return {"items": 250, "top1_float": 83.2, "above_stock": 2.0, "rows": rows} | changes


@pytest.mark.parametrize(
    ("tflite", "onnx", "verdict"), [(95.6, 96.0, "holds"), (98.0, 95.5, "**missed**")]
)
def test_a_promise_is_held_in_both_formats_or_missed(
    page: Any, tflite: float, onnx: float, verdict: str
) -> None:
    (line,) = [
        each for each in page.tables({"m": result(tflite, onnx)}).splitlines() if "P 93.6" in each
    ]
    assert line == f"| m | agreement, % | P 93.6 | 95.6 | best | {tflite} | {onnx} | {verdict} |"


def test_a_tool_that_failed_leaves_its_reason(page: Any) -> None:
    assert "| Q | failed: does not run |" in page.tables({"m": result(96, 96)})


def test_the_page_holds_the_tables_of_what_was_measured(page: Any) -> None:
    measured = json.loads((ROOT / "docs" / "accuracy.json").read_text())
    assert page.tables(measured) in (ROOT / "docs" / "accuracy.md").read_text()
