"""Fold constants, BatchNorm and layout changes with onnxruntime's basic optimisation.

    Conv(x, W) * s + t          ->  Conv(x, W * s, t)
    Transpose(Transpose(x))     ->  x
    MatMul(x, W) + b            ->  Gemm(x, W, b)

All of what it does is plain ONNX, so the file stays portable; the extended level
would put in operators of onnxruntime's own. tf2onnx folds no BatchNorm into
depthwise convolutions and leaves 128 Transpose nodes in MobileNetV3.

Requires: only ONNX operators.
Ensures: the same function in fewer nodes. The names of nodes that carry weights are
kept, those of their constants are not.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.onnx import outside
from edgeconv.targets.onnx.model import Model, read, shell, to_bytes
from edgeconv.targets.onnx.outside import data_file, place_outside
from edgeconv.targets.onnx.passes.base import Context
from edgeconv.types import Array

__all__ = ["fold"]

#: Of an element of a kernel.
_BYTES: Final = 4


def fold(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module.

    Raises:
        Unsupported: onnxruntime refuses the graph.
    """
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.log_severity_level = 4
    before = len(model.graph.node)
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as name:
        source, path = Path(name) / "model.onnx", Path(name) / "folded.onnx"
        _write(model, context.kernels, source)
        options.optimized_model_filepath = str(path)
        if _outside(model, context.kernels):
            entry = "session.optimized_model_external_initializers_file_name"
            options.add_session_config_entry(entry, data_file(path).name)
        try:
            with quiet_stderr():
                ort.InferenceSession(
                    str(source), sess_options=options, providers=["CPUExecutionProvider"]
                )
        # onnxruntime's exceptions share no base class but Exception.
        except Exception as error:
            raise Unsupported(
                f"ONNX Runtime can't load the converted model: {_first_line(error)}",
                "Export with --format tflite.",
            ) from error
        folded = read(path)
    return folded, len(folded.graph.node) != before


def _outside(model: Model, kernels: Collection[str]) -> bool:
    """Whether the kernels are too much for one file."""
    elements = sum(int(np.prod(t.dims)) for t in model.graph.initializer if t.name in kernels)
    return elements * _BYTES > outside.LARGEST_BYTES


def _write(model: Model, kernels: Mapping[str, Callable[[], Array]], path: Path) -> None:
    """The model with the values of its kernels, of which one at a time is in memory."""
    from onnx import ModelProto

    light = shell(model)
    graph = light.graph
    graph.node.extend(model.graph.node)
    graph.input.extend(model.graph.input)
    graph.output.extend(model.graph.output)
    graph.initializer.extend(t for t in model.graph.initializer if t.name not in kernels)
    large = _outside(model, kernels)
    with path.open("wb") as file, data_file(path).open("wb") as beside:
        # Messages written behind each other are read as one, and their lists as one list.
        file.write(to_bytes(light))
        for tensor in [t for t in model.graph.initializer if t.name in kernels]:
            part = ModelProto()
            part.graph.initializer.append(tensor)
            values = np.ascontiguousarray(kernels[tensor.name](), "<f4").tobytes()
            if large:
                place_outside(part.graph.initializer[0], beside, values)
            else:
                part.graph.initializer[0].raw_data = values
            file.write(part.SerializeToString())


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
