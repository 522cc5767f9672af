"""TFLite operators one at a time: LiteRT's Python interface has no profile of them."""

from __future__ import annotations

import copy
import time
from collections import Counter
from typing import Any, TextIO

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite import integer
from edgeconv.targets.tflite.integer import edit

BEST_OF = 7
LONG_ENOUGH_S = 2e-4
MILLION = (1, 64, 64, 256)


def one_by_one(content: bytes) -> Counter[str]:
    """Type of operator -> milliseconds of all of them, each as a model of its own."""
    model = fb.parse(content)
    names = fb.operator_names(model)
    spent: Counter[str] = Counter()
    for operator in model.subgraphs[0].operators:
        spent[names[operator.opcodeIndex]] += milliseconds(_alone(model, operator))
    return spent


def replaced(out: TextIO) -> None:
    """A million int8 elements by the operators that ``integer.rewrite`` replaces."""
    print("| operator | ms | in its place | ms |\n|---|---|---|---|", file=out)
    pool = schema.Pool2DOptionsT()
    pool.filterHeight = pool.filterWidth = 3
    pool.strideH = pool.strideW = 1
    for kind, options in (
        ("RELU", None), ("HARD_SWISH", None), ("AVERAGE_POOL_2D", pool),
        ("SQUARED_DIFFERENCE", None),
    ):  # fmt: skip
        model = _model_of(kind, options)
        before = milliseconds(model)
        integer.rewrite(model)
        names = fb.operator_names(model)
        made = ", ".join(names[found.opcodeIndex] for found in model.subgraphs[0].operators)
        print(f"| {kind} | {before:.2f} | {made} | {milliseconds(model):.2f} |", file=out)


def milliseconds(model: Any) -> float:
    """The best of some runs on random input, one thread."""
    interpreter = Interpreter(model_content=bytes(fb.to_bytes(model)), num_threads=1)
    interpreter.allocate_tensors()
    rng = np.random.default_rng(0)
    for about in interpreter.get_input_details():
        x = rng.integers(-100, 100, about["shape"])
        interpreter.set_tensor(about["index"], x.astype(about["dtype"]))
    interpreter.invoke()
    start = time.thread_time()
    interpreter.invoke()
    calls = max(1, int(LONG_ENOUGH_S / max(1e-6, time.thread_time() - start)))
    times = []
    for _ in range(BEST_OF):
        start = time.thread_time()
        for _ in range(calls):
            interpreter.invoke()
        times.append((time.thread_time() - start) / calls)
    return min(times) * 1e3


def _alone(model: Any, operator: Any) -> Any:
    """A model of this one operator, its constants inside."""
    graph = model.subgraphs[0]
    used = list(dict.fromkeys(int(i) for i in (*operator.inputs, *operator.outputs) if i >= 0))
    place = {index: number for number, index in enumerate(used)}
    made, only = _empty(), copy.copy(operator)
    made.operatorCodes = [model.operatorCodes[operator.opcodeIndex]]
    for index in used:
        tensor = copy.copy(graph.tensors[index])
        held = fb.is_constant(model, tensor)
        if held:
            made.buffers.append(model.buffers[tensor.buffer])
        tensor.buffer = len(made.buffers) - 1 if held else 0
        made.subgraphs[0].tensors.append(tensor)
    only.opcodeIndex = 0
    only.inputs = np.array([place.get(int(i), -1) for i in operator.inputs], np.int32)
    only.outputs = np.array([place[int(i)] for i in operator.outputs], np.int32)
    fed = [i for i in used if not fb.is_constant(model, graph.tensors[i])]
    inputs = [place[i] for i in fed if i in set(map(int, operator.inputs))]
    made.subgraphs[0].operators = [only]
    made.subgraphs[0].inputs = np.array(inputs, np.int32)
    made.subgraphs[0].outputs = only.outputs
    return made


def _model_of(kind: str, options: Any) -> Any:
    model = _empty()
    graph = model.subgraphs[0]
    ends = [edit.activation(model, "x", MILLION, 0.05, 0)]
    if kind == "SQUARED_DIFFERENCE":
        ends.append(edit.activation(model, "z", MILLION, 0.05, 0))
    steps = (0.05, 0) if kind == "AVERAGE_POOL_2D" else (0.05, -128)
    y = edit.activation(model, "y", MILLION, *steps)
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, kind)
    code.deprecatedBuiltinCode, code.version = code.builtinCode, 1
    model.operatorCodes.append(code)
    graph.operators.append(edit.operator(model, kind, ends, y, options))
    graph.inputs, graph.outputs = np.array(ends, np.int32), np.array([y], np.int32)
    return model


def _empty() -> Any:
    model = schema.ModelT()
    model.version, model.operatorCodes, model.buffers = 3, [], [schema.BufferT()]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators, graph.name = [], [], b"main"
    model.subgraphs = [graph]
    return model
