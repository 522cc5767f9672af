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
from pathlib import Path

from edgeconv.errors import Unsupported
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.onnx.model import Model, read, to_bytes
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["fold"]


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
        path = Path(name) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        try:
            with quiet_stderr():
                ort.InferenceSession(
                    to_bytes(model), sess_options=options, providers=["CPUExecutionProvider"]
                )
        # onnxruntime's exceptions share no base class but Exception.
        except Exception as error:
            raise Unsupported(
                f"ONNX Runtime can't load the converted model: {_first_line(error)}",
                "Export with --format tflite.",
            ) from error
        folded = read(path)
    return folded, len(folded.graph.node) != before


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
