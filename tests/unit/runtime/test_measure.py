"""Timing: what is told of a run, of one whose arrays stay on the device, and of its operators."""

import json
from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import Unsupported
from edgeconv.runtime import Session
from edgeconv.runtime.measure import Work, measure
from edgeconv.runtime.operators import operator_rows
from tests import bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("measure"))


def test_a_bound_call_gives_the_answers_of_a_plain_one(bundle: Path) -> None:
    model = Session.open(bundle, engine="onnxruntime").model
    x = bundles.golden_inputs()
    call = model.bound(x)
    call()
    call()
    (bound,), (plain,) = call.outputs(), model.raw(x)
    assert bound.tobytes() == plain.tobytes() and bound.shape == (3, bundles.CLASSES)


def test_an_engine_that_can_not_bind_says_so(bundle: Path) -> None:
    session = Session.open(bundle, engine="litert")
    with pytest.raises(Unsupported, match="can't keep inputs and outputs on a device"):
        measure(session, Work(bench=True, repeat=2, bind=True), 1.0, 1)


@pytest.mark.parametrize("bind", [False, True])
def test_a_batch_larger_than_the_inputs_is_filled_up(bundle: Path, bind: bool) -> None:
    session = Session.open(bundle, engine="onnxruntime")
    costs = measure(session, Work(bench=True, batch=8, repeat=4, warmup=2, bind=bind), 1.0, 1)
    assert (costs["batch"], costs["samples"], costs["bound"]) == (8, 3, bind)
    assert costs["latency_ms"]["calls"] == 4 and costs["first_call_ms"] > 0
    assert costs["outputs"] == [] and "operators" not in costs


def test_onnx_runtime_tells_the_time_of_each_operator(bundle: Path) -> None:
    session = Session.open(bundle, engine="onnxruntime")
    costs = measure(session, Work(bench=True, repeat=3, profile=True), 1.0, 1)
    rows = costs["operators"]
    assert costs["operators_note"] is None
    assert [row["op"] for row in rows] == ["Flatten", "MatMul"]
    assert all(row["provider"] == "CPUExecutionProvider" and row["ms"] >= 0 for row in rows)


def test_litert_has_no_profile_and_says_so(bundle: Path) -> None:
    session = Session.open(bundle, engine="litert")
    costs = measure(session, Work(bench=True, repeat=2, profile=True), 1.0, 1)
    assert costs["operators"] is None
    assert costs["operators_note"] == "litert has no profile of operators in its Python interface."


def test_litert_still_has_no_profiler() -> None:
    """What operators.py says of it; when this fails, the profile can be had."""
    from ai_edge_litert.compiled_model import CompiledModel
    from ai_edge_litert.interpreter import Interpreter

    names = {name.lower() for kind in (CompiledModel, Interpreter) for name in dir(kind)}
    assert not any("profil" in name for name in names)


def test_only_the_last_calls_of_a_trace_count() -> None:
    events = [
        {"cat": "Node", "name": f"a/{op}_kernel_time", "dur": dur,
         "args": {"op_name": op, "provider": "CPUExecutionProvider"}}
        for op in ("Conv", "Clip") for dur in (9000, 100, 300)
    ]  # fmt: skip
    events += [{"cat": "Session", "name": "model_run", "dur": 1}]
    rows = operator_rows(json.dumps(events), 2)
    assert [(row["node"], row["ms"]) for row in rows] == [("a/Conv", 0.2), ("a/Clip", 0.2)]


@pytest.mark.parametrize("trace", ["", "{}", "[3]", '[{"cat": "Node", "name": "a_kernel_time"}]'])
def test_a_trace_of_another_form_is_named(trace: str) -> None:
    if trace == "{}":
        assert operator_rows(trace, 2) == []
        return
    with pytest.raises(Unsupported, match="profile can't be read"):
        operator_rows(trace, 2)


def test_measuring_leaves_no_trace_behind(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    session = Session.open(bundle, engine="onnxruntime")
    measure(session, Work(bench=True, repeat=2, profile=True), 1.0, 1)
    assert list(tmp_path.iterdir()) == []
    assert not np.any([p.suffix == ".json" for p in Path.cwd().glob("trace*")])
