"""Random ONNX graphs: chains, branches, sums, gates, groups, pooling, flattening."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgeconv.types import Array, FloatGraph, TensorSpec

__all__ = ["answers", "random_graph"]

_SIZE = 6


class _Builder:
    """A graph that grows at random; pictures are [N, C, 6, 6]."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self._pictures = [("x", 4)]
        self._shared: dict[int, str] = {}

    def grow(self, steps: int) -> str:
        """Some steps, then a head; the name of the output."""
        for _ in range(steps):
            name = str(self._rng.choice([n for n in dir(self) if n.startswith("_op_")]))
            self._pictures.append(getattr(self, name)())
        x, channels = self._pictures[-1]
        if self._rng.random() < 0.5:
            x = self._node("GlobalAveragePool", [x])
            features = channels
        else:
            features = channels * _SIZE**2
        flat = self._node("Flatten", [x], axis=1)
        hidden = self._gemm(flat, features, 5)
        return self._gemm(self._node("Relu", [hidden]), 5, 3)

    def _gemm(self, x: str, inputs: int, outputs: int) -> str:
        kernel = self._constant(self._rng.normal(size=(inputs, outputs)) / np.sqrt(inputs))
        return self._node("Gemm", [x, kernel, self._bias(outputs)])

    def _pick(self) -> tuple[str, int]:
        """A tensor; the last one as often as not, so that graphs get deep."""
        newest = self._rng.random() < 0.5
        return self._pictures[-1 if newest else int(self._rng.integers(len(self._pictures)))]

    def _op_conv(self) -> tuple[str, int]:
        x, inputs = self._pick()
        outputs = int(self._rng.choice([4, 6, 8]))
        y = self._conv(x, inputs, outputs, int(self._rng.choice([1, 3])))
        return (self._node("Relu", [y]) if self._rng.random() < 0.5 else y), outputs

    def _op_residual(self) -> tuple[str, int]:
        (x, channels), (inner, inputs) = self._pick(), self._op_relu()
        y = self._conv(inner, inputs, channels, 3)
        return self._node(str(self._rng.choice(["Add", "Sub", "Max"])), [x, y]), channels

    def _op_relu(self) -> tuple[str, int]:
        x, channels = self._pick()
        kind = str(self._rng.choice(["Relu", "LeakyRelu", "Abs", "Neg"]))
        return self._node(kind, [x]), channels

    def _op_depthwise(self) -> tuple[str, int]:
        x, channels = self._pick()
        times = int(self._rng.choice([1, 2]))
        return self._conv(x, channels, channels * times, 3, channels), channels * times

    def _op_grouped(self) -> tuple[str, int]:
        x, channels = self._pick()
        return self._conv(x, channels, 8, 1, 2), 8

    def _op_concat(self) -> tuple[str, int]:
        (x, a), (y, b) = self._pick(), self._pick()
        return self._node("Concat", [x, y], axis=1), a + b

    def _op_pool(self) -> tuple[str, int]:
        x, channels = self._pick()
        kind = str(self._rng.choice(["MaxPool", "AveragePool"]))
        return self._node(kind, [x], kernel_shape=[3, 3], pads=[1, 1, 1, 1]), channels

    def _op_gate(self) -> tuple[str, int]:
        x, channels = self._pick()
        mean = self._node("GlobalAveragePool", [x])
        squeezed = self._node("Relu", [self._conv(mean, channels, 4, 1)])
        gate = self._node("Sigmoid", [self._conv(squeezed, 4, channels, 1)])
        return self._node("Mul", [x, gate]), channels

    def _op_product(self) -> tuple[str, int]:
        x, channels = self._pick()
        return self._node("Mul", [x, self._conv(x, channels, channels, 1)]), channels

    def _op_clamp(self) -> tuple[str, int]:
        x, channels = self._pick()
        ends = self._constant(np.float32(0.0)), self._constant(np.float32(6.0))
        return self._node("Clip", [x, *ends]), channels

    def _op_shift(self) -> tuple[str, int]:
        x, channels = self._pick()
        shift = self._constant(self._rng.normal(size=(1, channels, 1, 1)))
        return self._node(str(self._rng.choice(["Add", "Mul"])), [x, shift]), channels

    def _op_turn(self) -> tuple[str, int]:
        x, channels = self._pick()
        turned = self._node("Transpose", [x], perm=[0, 2, 3, 1])
        turned = self._node("Relu", [turned])
        return self._node("Transpose", [turned], perm=[0, 3, 1, 2]), channels

    def _op_shuffle(self) -> tuple[str, int]:
        x, channels = self._pick()
        parts = self._constant(np.array([0, 2, channels // 2, _SIZE, _SIZE], np.int64))
        whole = self._constant(np.array([0, channels, _SIZE, _SIZE], np.int64))
        x = self._node("Transpose", [self._node("Reshape", [x, parts])], perm=[0, 2, 1, 3, 4])
        return self._node("Reshape", [x, whole]), channels

    def _op_shared(self) -> tuple[str, int]:
        x, channels = self._pick()
        if channels not in self._shared:
            self._shared[channels] = self._kernel(channels, channels, 1, 1)
        kernel = self._shared[channels]
        first = self._node("Conv", [x, kernel, self._bias(channels)])
        return self._node("Conv", [self._node("Relu", [first]), kernel]), channels

    def _conv(self, x: str, inputs: int, outputs: int, size: int, groups: int = 1) -> str:
        kernel = self._kernel(inputs, outputs, size, groups)
        pads = [size // 2] * 4
        return self._node("Conv", [x, kernel, self._bias(outputs)], pads=pads, group=groups)

    def _kernel(self, inputs: int, outputs: int, size: int, groups: int) -> str:
        shape = (outputs, inputs // groups, size, size)
        return self._constant(self._rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))

    def _bias(self, count: int) -> str:
        return self._constant(self._rng.normal(size=count) * 0.3)

    def _constant(self, value: Array) -> str:
        value = np.asarray(value)
        value = value if value.dtype == np.int64 else value.astype(np.float32)
        self.constants.append(numpy_helper.from_array(value, f"c{len(self.constants)}"))
        return self.constants[-1].name

    def _node(self, kind: str, inputs: list[str], **attributes: object) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output


def random_graph(seed: int, path: Path) -> FloatGraph:
    """Write a random graph to ``path``: float32 [N, 4, 6, 6] -> [N, 3], and sometimes more."""
    builder = _Builder(seed)
    rng = np.random.default_rng([seed, 1])
    outputs = {builder.grow(int(rng.integers(2, 10))): (None, 3)}
    values = [helper.make_tensor_value_info(n, 1, ["N", *s[1:]]) for n, s in outputs.items()]
    graph = helper.make_graph(
        builder.nodes,
        "random",
        [helper.make_tensor_value_info("x", 1, ["N", 4, _SIZE, _SIZE])],
        values,
        builder.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    inputs = (TensorSpec("x", (None, 4, _SIZE, _SIZE), "float32"),)
    specs = tuple(TensorSpec(n, shape, "float32") for n, shape in outputs.items())
    return FloatGraph("onnx", path, inputs, specs)


def answers(graph: FloatGraph, x: Array) -> Array:
    """The first output for ``x``: float32 [N, ...]."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(graph.path.read_bytes(), options, ["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])
