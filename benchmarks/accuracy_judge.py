"""Any tool's int8 file, run by one loop: its scores, latencies and figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.types import Array

__all__ = ["Score", "figures", "latencies", "opened"]

LATENCY_ROUNDS = 25

Score = Callable[[Array], Array]


def opened(path: Path) -> Score:
    """What runs any tool's file on one thread: float32 [1, ...] -> float [1, classes]."""
    return _tflite(path) if path.suffix == ".tflite" else _onnx(path)


def _tflite(path: Path) -> Score:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()

    def score(x: Array) -> Array:
        interpreter.set_tensor(given["index"], _quantized(x, given))
        interpreter.invoke()
        y = interpreter.get_tensor(taken["index"])
        scale, zero_point = taken["quantization"]
        return (y.astype(np.float32) - zero_point) * scale if scale else y

    return score


def _quantized(x: Array, given: dict[str, Any]) -> Array:
    scale, zero_point = given["quantization"]
    if given["dtype"] == np.float32:
        return x
    return np.clip(np.round(x / scale + zero_point), -128, 127).astype(given["dtype"])


def _onnx(path: Path) -> Score:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def score(x: Array) -> Array:
        return np.asarray(session.run(None, {name: x})[0])

    return score


def latencies(paths: Mapping[str, Path], x: Array) -> dict[str, float]:
    """Median milliseconds of processor time of one inference, the files in turns."""
    runners = {name: opened(path) for name, path in paths.items()}
    times: dict[str, list[float]] = {name: [] for name in runners}
    for _ in range(LATENCY_ROUNDS):
        for name, score in runners.items():
            start = time.process_time()
            score(x)
            times[name].append((time.process_time() - start) * 1e3)
    return {name: statistics.median(each) for name, each in times.items()}


def figures(reference: Array, scores: Array, y: Array | None) -> dict[str, float]:
    """Percent, points and dB; of logits [N, classes]."""
    answers, original = scores.argmax(1), reference.argmax(1)
    error = np.square(reference - scores, dtype=np.float64).sum()
    signal = np.square(reference, dtype=np.float64).sum()
    found = {
        "agreement": round(100 * float(np.mean(answers == original)), 2),
        "sqnr_db": round(10 * float(np.log10(signal / error)), 2),
    }
    if y is not None:
        top1, top1_reference = (100 * float(np.mean(a == y)) for a in (answers, original))
        found |= {"top1": round(top1, 2), "drop": round(top1_reference - top1, 2)}
    return found
