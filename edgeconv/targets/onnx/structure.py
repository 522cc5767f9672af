"""Structure: what an ONNX file comes to at run time, and which of it computes in float.

A QDQ file says what it wants; whether onnxruntime takes it shows only in the graph
that it runs. That graph is written out and read back here.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Final

from edgeconv.errors import Unsupported
from edgeconv.runtime.onnx_wire import refuse_outside
from edgeconv.runtime.quiet import quiet_stderr
from edgeconv.targets.onnx.model import Model, Node, constants, element_types, read

__all__ = ["count_operators", "count_runtime_operators"]

#: ONNX's numbers of float32, float16, float64 and bfloat16.
_FLOATS: Final = frozenset({1, 10, 11, 16})
#: They carry values over the border between float and integer, or move them about.
_MOVES: Final = frozenset(
    {
        "Cast",
        "Concat",
        "DequantizeLinear",
        "Flatten",
        "Identity",
        "QuantizeLinear",
        "Reshape",
        "Shape",
        "Slice",
        "Split",
        "Squeeze",
        "Transpose",
        "Unsqueeze",
    }
)
#: Their sums are integer though they give float out.
_INTEGER: Final = frozenset(
    {"DynamicQuantizeLinear", "DynamicQuantizeMatMul", "MatMulIntegerToFloat", "QGemm"}
)

Counts = dict[str, int]


def count_operators(model: Model) -> tuple[Counts, Counts]:
    """Operators by type as the file has them, and those that compute in float."""
    types, held = element_types(model), constants(model)
    every: Counter[str] = Counter()
    floats: Counter[str] = Counter()
    for node in model.graph.node:
        every[node.op_type] += 1
        floats[node.op_type] += _computes_in_float(node, types, held)
    return _sorted(every), _sorted(floats)


def count_runtime_operators(content: bytes) -> tuple[Counts, Counts]:
    """The same of the graph that onnxruntime makes of a file on the CPU.

    Args:
        content: The file.

    Returns:
        All operators, and those that compute in float. QuantizeLinear and
        DequantizeLinear are among the first alone: one each is the model's border.

    Raises:
        Unsupported: onnxruntime can't load the file.
        RefusedInput: It takes weights from another file.
    """
    import onnxruntime as ort

    refuse_outside(content, ())
    options = ort.SessionOptions()
    # What comes after it only changes the layout, not the operators' arithmetic.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as name:
        path = Path(name) / "runtime.onnx"
        options.optimized_model_filepath = str(path)
        try:
            with quiet_stderr():
                ort.InferenceSession(
                    content, sess_options=options, providers=["CPUExecutionProvider"]
                )
        # onnxruntime's exceptions share no base class but Exception.
        except Exception as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
            raise Unsupported(
                f"ONNX Runtime can't load the quantized model: {cause}",
                "Keep the layer in float with a scope in --recipe.",
            ) from error
        return count_operators(read(path))


def _computes_in_float(node: Node, types: Mapping[str, int], held: Container[str]) -> bool:
    if node.op_type in _MOVES or node.op_type in _INTEGER or "QLinear" in node.op_type:
        return False
    names = [n for n in (*node.input, *node.output) if n and n not in held]
    return any(types.get(name) in _FLOATS for name in names)


def _sorted(counts: Counter[str]) -> Counts:
    return {name: counts[name] for name in sorted(counts) if counts[name]}
