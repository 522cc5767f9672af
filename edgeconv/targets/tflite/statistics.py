"""Statistics: our ranges as ai-edge-quantizer takes them, fitted to TFLite's kernels."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any, Final

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.types import Ranges

__all__ = ["Statistics", "statistics"]

#: Tensor name -> its ``min`` and ``max``, arrays of the tensor's own rank.
Statistics = dict[str, dict[str, Any]]

_Bounds = dict[str, tuple[float, float]]

_INT16_STEPS: Final = 32767
#: CheckedLog2 in tensorflow/lite/kernels/internal/quantization_util.cc, with room to spare.
_POWER_OF_TWO: Final = 2e-3
#: More than that, and nothing to 15 bits.
_WIDER: Final = 1.005


def statistics(model: fb.ModelT, ranges: Ranges, int16: Collection[str]) -> Statistics:
    """Ranges for ai-edge-quantizer.

    Args:
        model: The float file.
        ranges: Clipped.
        int16: Names of the tensors that int16x8 operators write.
    """
    bounds = {name: (seen.low, seen.high) for name, seen in ranges.items()}
    _avoid_powers_of_two(model, bounds, int16)
    ranks = {fb.name_of(t): _rank(t) for t in model.subgraphs[0].tensors}
    return {
        name: {"min": _of_rank(low, ranks[name]), "max": _of_rank(high, ranks[name])}
        for name, (low, high) in bounds.items()
        if name in ranks
    }


def _avoid_powers_of_two(model: fb.ModelT, bounds: _Bounds, int16: Collection[str]) -> None:
    """Keep int16 ADD and SUB out of a path that can't always run.

    Where all three scales are powers of two, the kernels take shifts for
    rescaling, and fail unless the output's is the largest (add.cc: ``input1_shift
    <= 0 was not true``).
    """
    for output in _outputs(model, {"ADD", "SUB"}):
        if output in int16 and output in bounds:
            low, high = bounds[output]
            scale = math.log2(max(-low, high) / _INT16_STEPS)
            if abs(scale - round(scale)) < _POWER_OF_TWO:
                bounds[output] = (low * _WIDER, high * _WIDER)


def _outputs(model: fb.ModelT, kinds: Collection[str]) -> Iterator[str]:
    """Names of what operators of some types write."""
    main = model.subgraphs[0]
    types = fb.operator_names(model)
    for operator in main.operators:
        if types[operator.opcodeIndex] in kinds:
            yield fb.name_of(main.tensors[operator.outputs[0]])


def _rank(tensor: Any) -> int:
    return 0 if tensor.shape is None else len(tensor.shape)


def _of_rank(value: float, rank: int) -> Any:
    return np.full((1,) * rank, value, np.float32)
