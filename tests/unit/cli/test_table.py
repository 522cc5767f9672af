import io
from pathlib import Path

import pytest
from rich.console import Console

from edgeconv.cli.table import export_table, search_table, size_text, verdict_table
from edgeconv.pipeline import Export
from edgeconv.types import ArtifactVerdict, Interval, Verdict
from tests import bundles


@pytest.fixture
def result(tmp_path: Path) -> Export:
    bundle = bundles.make_bundle(tmp_path)
    metrics = {"top1": 82.4, "top1_drop": Interval(0.8, (-1.2, 2.8), -0.9, 2.4), "agreement": 93.6}
    rows = tuple(
        ArtifactVerdict(
            file=file, format=format, precision="int8", status="inconclusive", equivalent=False,
            reason="", metrics=metrics,
        )
        for file, format in (("model.tflite", "tflite"), ("model.onnx", "onnx"))
    )  # fmt: skip
    timings = [{"file": row.file, "latency_ms_median": 7.5, "float_latency_ms_median": 13.3}
               for row in rows]  # fmt: skip
    return Export(
        bundle,
        Verdict(status="inconclusive", samples=250, gate="", artifacts=rows),
        {"artifacts": timings},
    )


@pytest.mark.parametrize("width", [66, 80, 100, 120])
def test_the_table_is_whole_in_terminals_of_any_usual_width(result: Export, width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(export_table(result, width))
    text = console.export_text()
    for cell in ("model.tflite int8", "model.onnx int8", "82.4%", "+0.8 (-1.2 to +2.8)", "93.6%",
                 "7.5 (13.3)", "inconclusive", "drop, points (95%)"):  # fmt: skip
        assert cell in text, f"{cell!r} is cut at {width} columns:\n{text}"


def test_sizes_are_read_in_the_unit_that_fits():
    assert size_text(13_400) == "13.4 kB"
    assert size_text(3_650_000) == "3.65 MB"


def test_what_only_some_tasks_have_gets_a_column() -> None:
    metrics = {"cosine_mean": 0.99, "relative_error": 1.5, "auc": 92.4}
    metrics |= {"recall_at_1": Interval(97.5, (96.0, 99.0), 96.2, 98.8)}
    row = ArtifactVerdict("m.tflite", "tflite", "int8", "pass", False, "", metrics)
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(verdict_table(Verdict("pass", 100, "", (row,)), 120))
    text = console.export_text()
    assert all(word in text for word in ("recall@1", "97.5%", "AUC", "92.4%", "1.5%"))


SEARCH = {
    "rungs": [
        {
            "name": "plain int8", "kept": True,
            "artifacts": [
                {"format": "tflite", "bytes": 4_010_000,
                 "metrics": {"agreement": 93.8, "sqnr_db": 19.94,
                             "top1_drop": {"estimate": 2.0, "ci95": [-1.5, 5.0]}}},
                {"format": "onnx", "bytes": 3_900_000, "metrics": {"agreement": 94.0}},
            ],
        },
        {"name": "equalization", "kept": False, "artifacts": []},
    ],
}  # fmt: skip
TIMES = {"search": [{"seconds": 12.25, "latency_ms": {"tflite": 7.5, "onnx": 6.5}}]}


@pytest.mark.parametrize("width", [66, 80, 120])
def test_the_table_of_the_search_tells_each_rung(width: int) -> None:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(search_table(SEARCH, TIMES, width))
    text = console.export_text()
    cells = ["plain int8", "tflite", "+2.0 (-1.5 to +5.0)", "93.8%", "kept", "onnx", "94.0%",
             "equalization", "failed"]  # fmt: skip
    # What can best be spared goes first where there is little room.
    for cell in cells + (["19.9", "4.01 MB", "7.5", "12.2"] if width > 100 else []):
        assert cell in text, f"{cell!r} is missing at {width} columns:\n{text}"


@pytest.mark.parametrize("metrics", [None, [], {"top1_drop": {"estimate": "a", "ci95": [1]}}, 3])
@pytest.mark.parametrize("times", [{}, {"search": [1]}, {"search": [{"latency_ms": [2]}]}])
def test_an_account_that_anyone_may_have_written_breaks_no_table(
    metrics: object, times: dict[str, object]
) -> None:
    each = {"format": "[red]\x1b[2J", "bytes": "many", "metrics": metrics}
    found = {"rungs": [{"name": ["[bold]"], "artifacts": [each]}]}
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(search_table(found, times, 120))

    assert "\x1b[2J" not in console.export_text()
