"""Flow: how an operator's output answers when the channels of its inputs are scaled.

A pass that rescales channels (``prepare.equalize``) must know which channels of which
tensors get the same factor. Each format's file ``flow.py`` says of its operators which
of these rules they follow; the factors are positive throughout.

    kernel    y = W x + b        a new factor for each output channel, taken into W and b
    mix       y = f(x)           f(s x) = s f(x); what lies along ``axes`` is mixed
    sum       y = a + b          a, b and y have the same factor, element by element
    product   y = a * b          the factors multiply
    concat    y = [a, b]         joined along axis ``axes[0]``
    permute   y = transpose(x)   ``axes`` is the order
    reshape   y = reshape(x)
    fixed     anything else      no factor passes: all of its inputs and outputs keep theirs
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Flow", "Rule", "changed_axes"]

Rule = Literal["kernel", "mix", "sum", "product", "concat", "permute", "reshape", "fixed"]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Flow:
    """One operator of a float graph, as a pass that rescales channels sees it.

    Attributes:
        rule: One of the above.
        layer: ``Layer.name`` of its operator.
        inputs: Names of the activations that it reads, in the operator's order.
        outputs: Names of all the tensors that it writes.
        shapes: Of ``inputs``, the batch axis as 1; empty for ``fixed``.
        shape: Of the one output; empty for ``fixed``.
        axes: See the rules.
        channel_axis: Of the output, and of a kernel's input.
        weight: Of a kernel: the constant's name, so that a shared one is known as such.
        clamped: Of a kernel: something is fused behind it that lets no factor through.
    """

    rule: Rule
    layer: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    shapes: tuple[Shape, ...] = ()
    shape: Shape = ()
    axes: tuple[int, ...] = ()
    channel_axis: int = -1
    weight: str = ""
    clamped: bool = False


def changed_axes(before: Shape, after: Shape) -> tuple[int, ...] | None:
    """The axes whose length differs; None where their number does."""
    if len(before) != len(after):
        return None
    return tuple(axis for axis, (a, b) in enumerate(zip(before, after, strict=True)) if a != b)
