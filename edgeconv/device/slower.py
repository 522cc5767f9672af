"""Where an integer file is slower than its float form: which operators, and what to ship.

ONNX      both files once more under ONNX Runtime's own profile, layer by layer
TFLite    LiteRT tells no times of operators; those that XNNPACK has no integer kernel
          for are run by the interpreter's own, a loop over elements, and break the
          graph into pieces around them
"""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from edgeconv.device.benchmark.operators import layer_of_node
from edgeconv.errors import EdgeconvError
from edgeconv.runtime.affine import quantize
from edgeconv.runtime.engines import open_model
from edgeconv.runtime.operators import operator_rows
from edgeconv.types import Array, Artifact

__all__ = ["advice", "operators_to_blame"]

_CALLS: Final = 10
_NAMED: Final = 3
#: What XNNPACK takes in int8, as LiteRT 2.3 hands it over (a graph of that one operator
#: has a DELEGATE among Interpreter._get_ops_details()).
_DELEGATED: Final = frozenset(
    {
        "ADD", "BATCH_MATMUL", "CONCATENATION", "CONV_2D", "DEPTHWISE_CONV_2D", "DEQUANTIZE",
        "ELU", "EXPAND_DIMS", "FULLY_CONNECTED", "LEAKY_RELU", "LOGISTIC", "MAX_POOL_2D", "MEAN",
        "MUL", "PAD", "QUANTIZE", "RESHAPE", "RESIZE_BILINEAR", "SLICE", "SPLIT",
        "STRIDED_SLICE", "SUB", "SUM", "TANH", "TRANSPOSE", "TRANSPOSE_CONV",
    }
)  # fmt: skip
_BORDER: Final = frozenset({"DEQUANTIZE", "QUANTIZE"})


def operators_to_blame(
    artifact: Artifact, floating: Artifact, x: Sequence[Array], threads: int
) -> list[str]:
    """Which operators make ``artifact`` slower than ``floating``, worst first.

    Args:
        artifact: In integers.
        floating: The same model in float.
        x: One float32 array a model input, [1, ...].
        threads: Of one inference.

    Returns:
        Such as ``conv1 (QLinearConv, 0.5 ms, 0.24 in float)`` or ``9 GELU``; none where
        nothing stands out.
    """
    if artifact.format == "tflite":
        return _without_kernels(artifact)
    try:
        mine, its = (_profile(each, x, threads) for each in (artifact, floating))
    except EdgeconvError:
        return []
    # Where only one of the two has a name, fusion took the other's work elsewhere.
    both = [layer for layer in mine if layer in its]
    worst = sorted(both, key=lambda layer: its[layer][0] - mine[layer][0])[:_NAMED]
    return [
        f"{layer} ({mine[layer][1]}, {mine[layer][0]:.2g} ms, {its[layer][0]:.2g} in float)"
        for layer in worst
        if mine[layer][0] > its[layer][0]
    ]


def advice(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A sentence for each artifact that lost every round against its float form.

    Args:
        rows: Of bench.json.
    """
    times = {
        (row["file"], form): row[key]
        for row in rows
        for form, key in (
            ("", "latency_ms_median"),
            ("the float form of ", "float_latency_ms_median"),
        )
        if key in row
    }
    return [_sentence(row, times) for row in rows if row.get("rounds_faster_than_float") == 0]


def _sentence(row: Mapping[str, Any], times: Mapping[tuple[str, str], float]) -> str:
    blamed = row["operators_to_blame"]
    because = f", because of {', '.join(blamed)}" if blamed else "; no operator stands out"
    file, form = min(times, key=lambda key: times[key])
    fastest = f"{form}{file} ({times[file, form]:.3g} ms)"
    how = f", which --fp32 --format {Path(file).suffix[1:]} exports" if form else ""
    return (
        f"{row['file']} is slower here in {row['precision']} ({row['latency_ms_median']:.3g} ms) "
        f"than in float ({row['float_latency_ms_median']:.3g} ms){because}. "
        f"The fastest of this model here is {fastest}{how}."
    )


def _without_kernels(artifact: Artifact) -> list[str]:
    found = Counter({op: count for op, count in artifact.operators.items() if op not in _DELEGATED})
    floats = {op: n for op, n in artifact.float_operators.items() if n and op not in _BORDER}
    found |= Counter(floats)
    return [
        f"{count} {op}{' in float' if op in floats else ''}" for op, count in found.most_common()
    ]


def _profile(artifact: Artifact, x: Sequence[Array], threads: int) -> dict[str, tuple[float, str]]:
    """Layer -> milliseconds a call of all its operators, and the slowest one's type."""
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as folder:
        model = open_model(
            artifact.path.read_bytes(), artifact.format, artifact.inputs, artifact.outputs,
            threads=threads, profile=str(Path(folder) / "trace"),
        )  # fmt: skip
        arrays = [quantize(each, spec) for each, spec in zip(x, model.inputs, strict=True)]
        for _ in range(_CALLS + 2):
            model.raw(*arrays)
        rows = operator_rows(Path(model.end_profiling()).read_text("utf-8"), _CALLS)
    spent: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for row in rows:
        spent[layer_of_node(row["node"])][row["op"]] += row["ms"]
    return {
        layer: (sum(kinds.values()), max(kinds, key=lambda op: kinds[op]))
        for layer, kinds in spent.items()
    }
