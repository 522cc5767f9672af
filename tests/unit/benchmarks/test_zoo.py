"""benchmarks/zoo.py: its bounds, its page, and what it takes from an earlier run."""

import contextlib
import json
import sys
import time
from typing import Any

import psutil
import pytest

from edgeconv.errors import UsageError
from edgeconv.load.measured import CELLS, measured
from edgeconv.load.zoo import ZOO, find
from tests.zoo import supervise, zoo, zoo_page, zoo_row

GIGABYTE = 1_000_000_000


def row(**changes: Any) -> dict[str, Any]:
    """A row within all bounds; ``onnx_int8={...}`` changes a cell."""
    cell = {"status": "pass", "latency_ms": 4.0, "size_bytes": 4_000_000, "operators": 64}
    onnx = {"transposes": 1, "extra_inputs": []}
    fp32 = {"relative_difference": 2e-6, "max_difference": 1e-5}
    int8 = {"cosine": 0.99, "latency_ratio": 0.5, "float_operators": {}}
    made: dict[str, Any] = {
        "parameters": 3_538_984, "input_size": 224, "pictures": 16, "seconds": 21.5,
        "peak_memory_bytes": GIGABYTE, "memory_bound_bytes": 2 * GIGABYTE, "transposes_bound": 2,
        "tflite-fp32": cell | fp32, "tflite-int8": cell | int8,
        "onnx-fp32": cell | fp32 | onnx, "onnx-int8": cell | int8 | onnx,
    }  # fmt: skip
    for key, value in changes.items():
        name = key.replace("_", "-")
        made |= {name: made[name] | value} if name in CELLS else {key: value}
    return made


def document(**rows: dict[str, Any]) -> dict[str, Any]:
    return {"machine": "a machine", "versions": {"keras": "3.15.1"}, "models": rows}


BAD = [
    ({"tflite_int8": {"status": "fail", "reason": "the cosine is 0.2"}}, "the cosine is 0.2"),
    ({"onnx_fp32": {"status": "error", "reason": "stopped after 1800 s"}}, "stopped after 1800 s"),
    ({"peak_memory_bytes": 3 * GIGABYTE}, "3.0 GB at the peak"),
    ({"onnx_int8": {"transposes": 3}}, "1, 3 Transposes"),
    ({"onnx_fp32": {"extra_inputs": ["Sub/y:0"]}}, "asks for Sub/y:0"),
    ({"onnx_int8": {"latency_ratio": 1.31}}, "ONNX int8 takes 1.31 times as long"),
    ({"onnx_int8": {"latency_ratio": 2.0, "to_blame": ["HardSwish"]}}, "(HardSwish)"),
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=[said for _, said in BAD])
def test_a_missed_bound_is_red_and_says_how_far(changes, said):
    (text,) = zoo_page.reds(row(**changes))
    assert said in text
    page = zoo_page.page(document(mobilenetv2=row(**changes)))
    assert f"- mobilenetv2: {text}" in page and page.count(zoo_page.RED) >= 2


def test_a_row_within_all_bounds_has_no_red():
    assert zoo_page.reds(row()) == []
    # The mark stands where it is explained and over the empty list.
    assert zoo_page.page(document(mobilenetv2=row())).count(zoo_page.RED) == 2


def test_large_models_may_be_slower_in_int8():
    assert zoo_page.reds(row(parameters=30_000_001, onnx_int8={"latency_ratio": 1.5})) == []


def test_cells_of_a_failed_export_are_shown_without_figures():
    error = {"status": "error", "reason": "a | b"}
    failed = row() | dict.fromkeys(CELLS, error)
    page = zoo_page.page(document(vgg16=failed, mobilenetv2=row()))
    assert "1 of 2 models hold" in page
    tables = [part.splitlines() for part in page.split("\n\n") if part.startswith("| model")]
    assert len(tables) == 3
    for lines in tables:
        assert {line.replace("\\|", "").count("|") for line in lines} == {lines[0].count("|")}


def test_resume_measures_only_what_is_not_there():
    finished = {"vgg16": row(), "alexnet": row()}
    rest = [model.name for model in zoo.chosen([], finished, resume=True)]
    assert rest == [model.name for model in ZOO if model.name not in finished]
    assert zoo.chosen(["vgg16"], finished, resume=True) == []
    assert zoo.chosen(["vgg16"], finished, resume=False) == [find("vgg16")]
    assert zoo.chosen([], finished, resume=False) == list(ZOO)


def test_a_model_that_is_not_in_the_catalogue_is_refused():
    with pytest.raises(UsageError, match="no model named"):
        zoo.chosen(["vgg17"], {}, resume=False)


def test_rows_are_written_whole_in_the_catalogues_order_and_read_again(tmp_path):
    rows = {"alexnet": row(), "vgg16": row(seconds=3.0)}
    zoo.write(rows, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["zoo.json", "zoo.md"]
    found = zoo.read_rows(tmp_path / "zoo.json")
    assert found == rows and list(found) == ["vgg16", "alexnet"]
    assert measured(tmp_path / "zoo.json")["vgg16"] == dict.fromkeys(CELLS, "pass")


def test_a_table_of_another_version_is_not_resumed(tmp_path):
    (tmp_path / "zoo.json").write_text(json.dumps({"schema_version": 99, "models": {}}))
    with pytest.raises(SystemExit, match="another version"):
        zoo.read_rows(tmp_path / "zoo.json")
    assert zoo.read_rows(tmp_path / "none.json") == {}


def test_the_committed_page_is_that_of_the_committed_table():
    committed = json.loads((zoo.DOCS / "zoo.json").read_text())
    assert (zoo.DOCS / "zoo.md").read_text() == zoo_page.page(committed)


def test_the_bound_on_memory_follows_the_weights():
    assert zoo_row.memory_bound(find("vgg16")) == pytest.approx(2.0e9 + 8 * 4 * 138_357_544)


def run(code: str, **bounds: float) -> Any:
    values = {"timeout_s": 60, "limit_bytes": 4 * GIGABYTE} | bounds
    return supervise.supervise([sys.executable, "-c", code], environment={}, **values)


def test_a_command_is_run_to_its_end_and_measured():
    done = run("import sys, time; x = b'x' * 300_000_000; time.sleep(5); print(7); sys.exit(3)")
    assert (done.code, done.stdout, done.stopped) == (3, "7\n", "")
    assert 3e8 < done.peak_bytes < 6e8


@pytest.mark.parametrize(
    ("bounds", "said"),
    [({"timeout_s": 4.0}, "stopped after 4 s"), ({"limit_bytes": 10**8}, "stopped at 0.")],
)
def test_a_command_beyond_its_bound_ends_with_its_children(bounds, said):
    child = "x = b'x' * 300_000_000; import time; time.sleep(600)"
    code = (
        "import subprocess, sys\n"
        f"child = subprocess.Popen([sys.executable, '-c', {child!r}], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "child.wait()"
    )
    done = run(code, **bounds)
    assert done.stopped.startswith(said)
    assert done.code < 0
    ended(int(done.stdout))


def ended(pid: int) -> None:
    """Return once the process is no more; a busy machine takes its time to bury it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.05)
