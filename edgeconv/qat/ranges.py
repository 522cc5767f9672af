"""Ranges of activations while they are learned: one factor for all tensors of one grid.

    x' = s t (clamp(round(x / (s t)) + z, -128, 127) - z)       t = 1 at first

Calibration chose s; training may take it further, since what a range cuts off and what it
rounds cost the answer, not the tensor. A step of t follows

    dx'/dt = s (clamp(round(x / s t) + z) - z)  -  x / t  where nothing is cut

and z stays, so that a factor on the range is all that a quantizer has to be told. What the
formats fix (sigmoids, inputs) or what must not be cut (outputs) has no factor.

Source: Esser et al., "Learned Step Size Quantization", ICLR 2020, section 2.1.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from edgeconv.qat.plan import Grid, Plan, Step

__all__ = ["Width", "groups", "on_grid"]

#: Moves values about, so that what it reads and what it writes are on one grid.
_MOVES: Final = frozenset(
    {"CONCATENATION", "EXPAND_DIMS", "MAX_POOL_2D", "MIRROR_PAD", "PAD", "PADV2", "RESHAPE"}
    | {"RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SQUEEZE", "TRANSPOSE"}
)
#: Their grids are TFLite's own.
_FIXED: Final = frozenset({"LOGISTIC", "SOFTMAX", "TANH"})
#: A range is one number for all that it holds: it may go faster than a weight.
_PACE: Final = 100.0


class Width:
    """The factor of one grid."""

    def __init__(self) -> None:
        import tensorflow as tf

        self.variable: Any = tf.Variable(0.0)

    @property
    def factor(self) -> Any:
        """Above 0."""
        import tensorflow as tf

        return tf.exp(_PACE * self.variable)


def on_grid(value: Any, grid: Grid, width: Width | None) -> Any:
    """Real numbers, each on the nearest number that an int8 tensor can hold.

    Gradients pass the rounding as if it weren't there, and stop where a value is cut.
    """
    import tensorflow as tf

    low, high = float(-128 - grid.zero_point), float(127 - grid.zero_point)
    if width is None:
        fake = tf.quantization.fake_quant_with_min_max_args
        return fake(value, low * grid.scale, high * grid.scale)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def rounded(x: Any, scale: Any) -> Any:
        made = tf.quantization.fake_quant_with_min_max_vars(x, low * scale, high * scale)

        def back(upstream: Any) -> tuple[Any, Any]:
            inside = tf.cast((x >= low * scale) & (x <= high * scale), x.dtype)
            return upstream * inside, tf.reduce_sum(upstream * (made - x * inside)) / scale

        return made, back

    return rounded(value, grid.scale * width.factor)


def groups(plan: Plan, known: Collection[str]) -> list[tuple[int, ...]]:
    """Tensors of an int8 file whose range may be learned, those of one grid together.

    Args:
        plan: Of the int8 file.
        known: Names of the float file's tensors: those alone have ranges to be told.
    """
    parents = list(range(len(plan.tensors)))

    def root(index: int) -> int:
        while parents[index] != index:
            index = parents[index]
        return index

    for step in plan.steps:
        for index in _of_one_grid(plan, step, known):
            parents[root(index)] = root(step.outputs[0])
    fixed = {root(index) for index in _fixed(plan)}
    found: dict[int, list[int]] = {}
    for index, tensor in enumerate(plan.tensors):
        if tensor.grid is not None and tensor.constant is None and root(index) not in fixed:
            found.setdefault(root(index), []).append(index)
    named = (each for each in found.values() if any(plan.tensors[i].name in known for i in each))
    return [tuple(each) for each in named]


def _of_one_grid(plan: Plan, step: Step, known: Collection[str]) -> list[int]:
    """What a step reads on the grid of what it writes, and has to."""
    (output,) = step.outputs
    ends = [i for i in step.inputs if i >= 0 and plan.tensors[i].constant is None]
    # What a rewrite put in has the grid of a neighbour: it goes with it.
    inner = [i for i in ends if not {plan.tensors[j].name for j in (i, output)} <= set(known)]
    bound = ends if step.kind in _MOVES else inner
    return [i for i in bound if _same(plan.tensors[i].grid, plan.tensors[output].grid)]


def _same(one: Grid | None, other: Grid | None) -> bool:
    if one is None or other is None:
        return False
    return one.scale == other.scale and one.zero_point == other.zero_point


def _fixed(plan: Plan) -> set[int]:
    fixed = {*plan.inputs, *plan.outputs}
    for step in plan.steps:
        # A square's range says how far the difference goes that it is made of.
        squares = step.kind == "MUL" and len(set(step.inputs)) == 1
        if step.kind in _FIXED or squares:
            fixed |= {*step.outputs, *(step.inputs if squares else ())}
    return fixed
