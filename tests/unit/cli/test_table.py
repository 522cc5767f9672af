import io
from pathlib import Path

import pytest
from rich.console import Console

from edgeconv.cli.table import export_table, size_text, verdict_table
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
