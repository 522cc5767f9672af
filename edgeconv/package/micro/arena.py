"""How much memory TensorFlow Lite Micro needs beside the model.

    head    activations, packed by lifetime: the largest tensor first, each at the
            lowest offset that is free for as long as it lives
    tail    what the interpreter keeps: a record a tensor and an operator, and for
            each output channel its multiplier and shift

The head follows TensorFlow Lite Micro's own GreedyMemoryPlanner, so it is exact for its
reference kernels; the tail is an upper estimate from the sizes of its structs on a 64-bit
machine (about two thirds of it on a 32-bit one).

Source: tensorflow/lite/micro/memory_planner/greedy_memory_planner.cc; Pisarchyk and Lee,
Efficient Memory Management for Deep Neural Net Inference, 2020 (greedy by size).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.targets.tflite import flatbuffer

__all__ = ["Arena", "plan_arena"]

#: MicroArenaBufferAlignment().
_ALIGNMENT: Final = 16
#: sizeof on 64-bit machines, rounded up: TfLiteEvalTensor; NodeAndRegistration with the
#: parsed options of the operator; the largest OpData of a kernel; an int32 multiplier
#: and an int32 shift; TfLiteTensor with its quantization, for each input and output.
_TENSOR_BYTES: Final = 24
_NODE_BYTES: Final = 64
_KERNEL_BYTES: Final = 112
_CHANNEL_BYTES: Final = 8
_BORDER_BYTES: Final = 96
#: The interpreter's own tables, and what alignment may cost.
_FIXED_BYTES: Final = 1024
_CONVOLUTIONS: Final = frozenset({"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV"})


@dataclass(frozen=True)
class Arena:
    """A memory plan.

    Attributes:
        head_bytes: Activations at the fullest moment.
        tail_bytes: What the interpreter keeps, at most.
        cmsis_nn_bytes: Scratch that Arm's CMSIS-NN kernels ask for on top, at most.
    """

    head_bytes: int
    tail_bytes: int
    cmsis_nn_bytes: int

    @property
    def bytes(self) -> int:
        """What to reserve, a multiple of 1 KiB."""
        return -(-(self.head_bytes + self.tail_bytes + self.cmsis_nn_bytes) // 1024) * 1024


def plan_arena(content: bytes) -> Arena:
    """Plan the memory of a TFLite file.

    Args:
        content: The file.

    Raises:
        Unsupported: It has several subgraphs or a tensor of free size.
    """
    model = flatbuffer.parse(bytearray(content))
    if len(model.subgraphs) != 1:
        raise Unsupported(
            "The model has control flow, whose memory can't be planned ahead.",
            "Replace the loop or condition in the model.",
        )
    return Arena(_head(model), _tail(model), _cmsis_nn(model))


@dataclass(frozen=True)
class _Buffer:
    index: int
    size: int
    first: int
    last: int

    def meets(self, other: _Buffer) -> bool:
        return self.first <= other.last and other.first <= self.last


def _head(model: Any) -> int:
    """Bytes of the activations, packed; of equal ones the planner takes the last first."""
    placed: list[tuple[int, _Buffer]] = []
    for buffer in sorted(_lifetimes(model), key=lambda b: (-b.size, -b.index)):
        offset = 0
        for start, other in sorted(placed, key=lambda item: item[0]):
            if other.meets(buffer):
                if start - offset >= buffer.size:
                    break
                offset = max(offset, start + other.size)
        placed.append((offset, buffer))
    return max((start + buffer.size for start, buffer in placed), default=0)


def _lifetimes(model: Any) -> list[_Buffer]:
    """Each activation's size and the operators between which it lives."""
    graph = model.subgraphs[0]
    first = {int(index): 0 for index in graph.inputs}
    last: dict[int, int] = {}
    for position, operator in enumerate(graph.operators):
        for index in operator.outputs:
            first.setdefault(int(index), position)
            last.setdefault(int(index), position)
        for index in operator.inputs:
            last[int(index)] = position
    last.update({int(index): len(graph.operators) for index in graph.outputs})
    return [
        _Buffer(index, _size(graph.tensors[index]), begin, last.get(index, begin))
        for index, begin in first.items()
        if not flatbuffer.is_constant(model, graph.tensors[index])
    ]


def _size(tensor: Any) -> int:
    shape = [int(length) for length in tensor.shape]
    if min(shape, default=1) < 1:
        raise Unsupported(
            f"The tensor {flatbuffer.name_of(tensor)!r} has no fixed size.",
            "Export the model again with a fixed input size: --input-size N.",
        )
    item = np.dtype(flatbuffer.dtype_of(tensor)).itemsize
    return -(-math.prod(shape) * item // _ALIGNMENT) * _ALIGNMENT


def _tail(model: Any) -> int:
    graph = model.subgraphs[0]
    border = len(graph.inputs) + len(graph.outputs)
    channels = sum(_channels(model, operator) for operator in graph.operators)
    return (
        _FIXED_BYTES
        + _TENSOR_BYTES * len(graph.tensors)
        + (_NODE_BYTES + _KERNEL_BYTES) * len(graph.operators)
        + _CHANNEL_BYTES * channels
        + _BORDER_BYTES * border
    )


def _channels(model: Any, operator: Any) -> int:
    """Output channels that have a multiplier of their own."""
    tensors, kind = model.subgraphs[0].tensors, _kind(model, operator)
    if kind in _CONVOLUTIONS:
        return int(tensors[operator.outputs[0]].shape[-1])
    if kind != "FULLY_CONNECTED":
        return 0
    quantization = tensors[operator.inputs[1]].quantization
    scales = 0 if quantization is None or quantization.scale is None else len(quantization.scale)
    return scales if scales > 1 else 0


def _cmsis_nn(model: Any) -> int:
    """Two im2col columns of int16 for the widest kernel (arm_convolve_s8_get_buffer_size)."""
    graph = model.subgraphs[0]
    columns = [
        math.prod(int(length) for length in graph.tensors[operator.inputs[1]].shape[1:])
        for operator in graph.operators
        if _kind(model, operator) in _CONVOLUTIONS
    ]
    return 2 * 2 * max(columns, default=0)


def _kind(model: Any, operator: Any) -> str:
    return str(flatbuffer.operator_names(model)[operator.opcodeIndex])
