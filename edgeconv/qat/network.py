"""A TFLite file as a function that gradients pass through (TensorFlow; in the workshop only).

    float file   real numbers, as the interpreter computes them
    int8 file    real numbers too, but every int8 tensor's are put on its grid where they
                 are written:  x' = s (clamp(round(x / s) + z, -128, 127) - z),  s, z the file's

The graph that is walked is the int8 file's own, so what is simulated is what the device
runs: fused activations, changes of scale, hard-swish in three products. Gradients pass
the rounding as if it weren't there, and stop where the clamp cuts (straight-through).

Source: Jacob et al., "Quantization and Training of Neural Networks for Efficient
Integer-Arithmetic-Only Inference", CVPR 2018, section 3.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from edgeconv.errors import Unsupported
from edgeconv.qat.learned import Learned
from edgeconv.qat.operators import operators
from edgeconv.qat.plan import Plan, Step
from edgeconv.qat.ranges import Width, on_grid

__all__ = ["Network", "trainable"]

#: Operator -> where its bias is, of those with a kernel.
_BIAS: Final = {"CONV_2D": 2, "DEPTHWISE_CONV_2D": 2, "FULLY_CONNECTED": 2, "TRANSPOSE_CONV": 3}
_HINT: Final = "Leave --qat out."


class Network:
    """A plan that runs.

    Args:
        plan: Of a float or an int8 file.
        learned: Name of a step's output -> weights in place of the file's.
        widths: Tensor index -> what its range is widened by.

    Raises:
        Unsupported: It has an operator or a type of integers that isn't known here.
    """

    def __init__(
        self,
        plan: Plan,
        learned: Mapping[str, Learned] | None = None,
        widths: Mapping[int, Width] | None = None,
    ) -> None:
        _refuse_unknown(plan)
        self._plan, self._learned, self._widths = plan, learned or {}, widths or {}

    def __call__(self, inputs: Sequence[Any]) -> list[Any]:
        """The outputs, real numbers [N, ...], for inputs [N, ...]."""
        values = self.run(inputs)
        return [values[index] for index in self._plan.outputs]

    def run(self, inputs: Sequence[Any]) -> dict[int, Any]:
        """What every activation holds, by tensor index."""
        ends = zip(self._plan.inputs, inputs, strict=True)
        values = {index: self._on_grid(index, value) for index, value in ends}
        for step in self._plan.steps:
            values[step.outputs[0]] = self.step(step, values)
        return values

    def step(self, step: Step, values: Mapping[int, Any]) -> Any:
        """What one operator writes, given what activations hold, by tensor index."""
        read = [self._read(step, slot, values) for slot in range(len(step.inputs))]
        made, tensor = operators()[step.kind](read, step), self._plan.tensors[step.outputs[0]]
        if tuple(made.shape[1:]) != tensor.shape[1:]:
            raise Unsupported(
                f"{step.kind} of {tensor.name!r} mixes the items of a batch, which can't be"
                " trained here.",
                _HINT,
            )
        return self._on_grid(step.outputs[0], made)

    def _read(self, step: Step, slot: int, values: Mapping[int, Any]) -> Any:
        index = step.inputs[slot]
        if index < 0:
            return None
        learned = self._learned.get(self._plan.tensors[step.outputs[0]].name)
        if slot == 1 and step.kernel is not None:
            return step.kernel if learned is None else learned.rounded_kernel()
        if slot == _BIAS.get(step.kind) and learned is not None and learned.bias is not None:
            return learned.rounded_bias()
        constant = self._plan.tensors[index].constant
        return values[index] if constant is None else constant

    def _on_grid(self, index: int, value: Any) -> Any:
        grid = self._plan.tensors[index].grid
        return value if grid is None else on_grid(value, grid, self._widths.get(index))


def trainable(plan: Plan) -> list[Step]:
    """The operators between int8 tensors with a kernel that no other reads, in order."""
    uses = Counter(i for step in plan.steps for i in step.inputs)
    return [
        step
        for step in plan.steps
        if step.kernel is not None
        and uses[step.inputs[1]] == 1
        and all(plan.tensors[i].grid is not None for i in (*step.inputs[:2], *step.outputs))
    ]


def _refuse_unknown(plan: Plan) -> None:
    for step in plan.steps:
        name = plan.tensors[step.outputs[0]].name if step.outputs else ""
        if step.kind not in operators() or len(step.outputs) != 1:
            raise Unsupported(f"{step.kind} of {name!r} can't be trained here.", _HINT)
        grid = plan.tensors[step.outputs[0]].grid
        if grid is not None and grid.dtype != "int8":
            raise Unsupported(f"{name!r} is {grid.dtype}; only int8 can be trained here.", _HINT)
