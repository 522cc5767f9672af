"""A TFLite file as a list of steps: what each reads, and what its tensors' integers stand for.

Needs no TensorFlow; ``network`` makes a differentiable function of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.graph import to_keras
from edgeconv.types import Array

__all__ = ["Grid", "Plan", "Step", "Tensor", "read_plan"]


@dataclass(frozen=True)
class Grid:
    """The numbers that a tensor of integers can stand for: ``scale * (q - zero_point)``.

    Attributes:
        dtype: ``int8`` or ``int16``; ``int32`` for biases.
        scales: float32, one, or one a channel.
        zero_point: The integer that stands for 0.0.
        axis: Of the channels.
    """

    dtype: str
    scales: Array
    zero_point: int
    axis: int

    @property
    def scale(self) -> float:
        """Of an activation, which has one."""
        return float(self.scales[0])

    def real(self, value: Array) -> Array:
        """What integers stand for, float32."""
        shape = [1] * value.ndim
        if self.scales.size > 1:
            shape[self.axis] = self.scales.size
        scales = self.scales.reshape(shape) if value.ndim else self.scales[0]
        real: Array = ((value.astype(np.float32) - self.zero_point) * scales).astype(np.float32)
        return real


@dataclass(frozen=True)
class Tensor:
    """A tensor of the file.

    Attributes:
        name: In the file.
        shape: With the file's batch of 1.
        constant: Its value (real numbers where the file has a grid), or None.
        grid: None where it holds real numbers itself.
    """

    name: str
    shape: tuple[int, ...]
    constant: Array | None
    grid: Grid | None


@dataclass(frozen=True)
class Step:
    """An operator.

    Attributes:
        kind: Such as ``CONV_2D``.
        inputs: Tensor indices; -1 where one is left out.
        outputs: Tensor indices.
        options: The schema's object, or None.
        kernel: A constant kernel in the Keras layout, real numbers; else None.
    """

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    options: Any
    kernel: Array | None


@dataclass(frozen=True)
class Plan:
    """A whole file.

    Attributes:
        tensors: By index.
        steps: In execution order.
        inputs: Tensor indices.
        outputs: Tensor indices.
    """

    tensors: tuple[Tensor, ...]
    steps: tuple[Step, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]

    @property
    def by_output(self) -> Mapping[str, Step]:
        """The step that writes the tensor of a name."""
        return {self.tensors[step.outputs[0]].name: step for step in self.steps}


def read_plan(path: Path) -> Plan:
    """Read one of our own files, float or quantized."""
    model = fb.read(path)
    graph, names = model.subgraphs[0], fb.operator_names(model)
    tensors = tuple(_tensor(model, tensor) for tensor in graph.tensors)
    steps = tuple(_step(names[each.opcodeIndex], each, tensors) for each in graph.operators)
    ends = (tuple(int(i) for i in side) for side in (graph.inputs, graph.outputs))
    return Plan(tensors, steps, *ends)


def _tensor(model: fb.ModelT, tensor: Any) -> Tensor:
    shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
    grid = _grid(tensor)
    constant = fb.array_of(model, tensor) if fb.is_constant(model, tensor) else None
    if constant is not None and grid is not None:
        constant = grid.real(constant)
    return Tensor(fb.name_of(tensor), shape, constant, grid)


def _grid(tensor: Any) -> Grid | None:
    found = tensor.quantization
    if found is None or found.scale is None or not len(found.scale):
        return None
    scales = np.asarray(found.scale, np.float32)
    zero_point = 0 if found.zeroPoint is None else int(found.zeroPoint[0])
    return Grid(fb.dtype_of(tensor), scales, zero_point, int(found.quantizedDimension))


def _step(kind: str, operator: Any, tensors: tuple[Tensor, ...]) -> Step:
    inputs = tuple(int(i) for i in operator.inputs)
    outputs = tuple(int(i) for i in operator.outputs)
    kernel = None
    if len(inputs) > 1 and inputs[1] >= 0:
        constant = tensors[inputs[1]].constant
        channels = tensors[inputs[0]].shape[-1:] or (1,)
        kernel = None if constant is None else to_keras(kind, constant, channels[0])
    return Step(kind, inputs, outputs, operator.builtinOptions, kernel)
