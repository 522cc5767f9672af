"""Integers beside float: measured in turn, and what is said where they are slower."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeconv.device.bench import bench
from edgeconv.device.latency import measure_in_turn
from edgeconv.device.slower import advice, operators_to_blame
from edgeconv.runtime.engines import open_model
from edgeconv.types import Artifact, Recipe, TensorSpec


class Counting:
    """A model that only counts its calls."""

    engine, version = "none", "1"
    inputs = (TensorSpec("x", (1, 2), "float32"),)

    def __init__(self, name, calls):
        self.name, self.calls = name, calls

    def raw(self, *x):
        self.calls.append(self.name)


def test_models_are_measured_in_turn_there_and_back():
    calls = []
    models = [Counting("a", calls), Counting("b", calls)]

    first, second = measure_in_turn(models, [np.zeros((1, 2), np.float32)])

    turns = [name for at, name in enumerate(calls) if at == 0 or calls[at - 1] != name]
    # Warm-up, then a b | b a | a b | b a | a b, of which neighbours melt into one.
    assert turns == ["a", "b", "a", "b", "a", "b", "a", "b"]
    assert len(first.rounds_ms) == len(second.rounds_ms) == 5
    assert first.runs >= 10


def row(file, ms, floating, faster, blamed=None):
    found = {
        "file": file, "precision": "int8", "latency_ms_median": ms,
        "float_latency_ms_median": floating, "rounds": 5, "rounds_faster_than_float": faster,
    }  # fmt: skip
    return found if blamed is None else {**found, "operators_to_blame": blamed}


def test_the_sentence_names_the_operators_and_the_fastest_file():
    rows = [
        row("model.tflite", 2.0, 5.0, 5),
        row("model.onnx", 9.0, 6.0, 0, ["conv (QLinearConv, 5 ms, 2 in float)"]),
    ]

    (sentence,) = advice(rows)

    assert "model.onnx is slower here in int8 (9 ms) than in float (6 ms)" in sentence
    assert "because of conv (QLinearConv, 5 ms, 2 in float)" in sentence
    assert sentence.endswith("The fastest of this model here is model.tflite (2 ms).")


def test_a_float_form_that_is_fastest_is_told_with_how_to_make_it():
    (sentence,) = advice([row("model.tflite", 9.0, 6.0, 0, [])])

    assert "no operator stands out" in sentence
    assert "the float form of model.tflite (6 ms), which --fp32 --format tflite exports" in sentence


@pytest.mark.parametrize("faster", [1, 4, 5])
def test_nothing_is_said_where_rounds_disagree_or_integers_win(faster):
    assert advice([row("model.onnx", 9.0, 6.0, faster)]) == []


def test_nothing_is_said_of_float():
    assert advice([{"file": "model.onnx", "precision": "fp32", "latency_ms_median": 1.0}]) == []


def artifact(path, format, operators=None, floats=None, precision="int8"):
    specs = (TensorSpec("x", (None, 8, 32, 32), "float32"),)
    return Artifact(
        format, precision, path, "", 0, specs, (TensorSpec("y", specs[0].shape, "float32"),),
        Recipe(), operators or {}, floats or {},
    )  # fmt: skip


def test_operators_without_a_fast_kernel_are_to_blame_in_tflite(tmp_path):
    operators = {"CONV_2D": 20, "GELU": 9, "NEG": 3, "DEQUANTIZE": 3, "QUANTIZE": 3}
    made = artifact(tmp_path / "m.tflite", "tflite", operators, {"NEG": 3, "DEQUANTIZE": 3})

    assert operators_to_blame(made, made, [], 1) == ["9 GELU", "3 NEG in float"]


def onnx_file(path, repeats, precision):
    """``slow`` is as many convolutions one after the other as ``repeats``."""
    kernel = np.full((8, 8, 3, 3), 0.01, np.float32)
    names = ["x", *(f"slow/Conv_{i}" for i in range(repeats))]
    nodes = [
        helper.make_node("Conv", [a, "k"], [b], b, pads=[1, 1, 1, 1]) for a, b in pairwise(names)
    ] + [helper.make_node("Sin", names[-1:], ["y"], "end/Sin")]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, 8, 32, 32]) for n in ("x", "y")
    ]
    graph = helper.make_graph(
        nodes, "g", ends[:1], ends[1:], [numpy_helper.from_array(kernel, "k")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, path)
    return artifact(path, "onnx", precision=precision)


def test_the_slower_layer_is_found_by_its_time_in_onnx(tmp_path):
    slow = onnx_file(tmp_path / "slow.onnx", 24, "int8")
    fast = onnx_file(tmp_path / "fast.onnx", 1, "fp32")
    x = [np.ones((1, 8, 32, 32), np.float32)]

    blamed = operators_to_blame(slow, fast, x, 1)

    assert blamed[0].startswith("slow (Conv, ")


def test_bench_has_both_times_and_the_advice(tmp_path):
    slow = onnx_file(tmp_path / "slow.onnx", 24, "int8")
    fast = onnx_file(tmp_path / "fast.onnx", 1, "fp32")
    opened = [
        (a, open_model(a.path.read_bytes(), "onnx", a.inputs, a.outputs)) for a in (slow, fast)
    ]

    found = bench(opened[:1], opened[1:], [np.ones((1, 8, 32, 32), np.float32)])

    (only,) = found["artifacts"]
    assert {"latency_ms_median", "float_latency_ms_median", "rounds"} <= only.keys()
    # Whichever won on this machine: a loser of all rounds is spoken of, nobody else.
    assert len(found["advice"]) == (only["rounds_faster_than_float"] == 0)
