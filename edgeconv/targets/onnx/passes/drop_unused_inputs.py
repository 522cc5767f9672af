"""Drop graph inputs that the source model does not have.

    f(x, Normalization/Sub/y)  ->  f(x)        where nothing reads Sub/y

A captured constant (Keras' Normalization keeps its mean so) can end up as a graph
input without a value. ``onnx.checker`` accepts that; the runtime then demands it.

Requires: nothing.
Ensures: the graph's inputs are the source's; one that is read can't be dropped and
is refused.
"""

from __future__ import annotations

from edgeconv.errors import Unsupported
from edgeconv.targets.onnx.model import Model, constants, uses
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["drop_unused_inputs"]


def drop_unused_inputs(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module.

    Raises:
        Unsupported: Something reads an input whose value nobody knows.
    """
    held, used = constants(model), uses(model)
    extra = [
        value.name
        for value in model.graph.input
        if value.name.removesuffix(":0") not in context.inputs and value.name not in held
    ]
    for name in extra:
        if used[name]:
            raise Unsupported(
                f"tf2onnx lost the value of the constant {name.removesuffix(':0')!r}.",
                "Export with --format tflite, or replace the layer by a Rescaling.",
            )
    kept = [value for value in model.graph.input if value.name not in extra]
    if len(kept) == len(model.graph.input):
        return model, False
    copies = [type(value).FromString(value.SerializeToString()) for value in kept]
    del model.graph.input[:]
    model.graph.input.extend(copies)
    return model, True
