"""Gates: branches that weigh the channels of a picture by what they see of it as a whole.

    picture ─┬─► average ─► reduce ─► expand ─► sigmoid ─┐
             └───────────────────────────────────────────┴─► product

Squeeze-and-excite (Hu et al., "Squeeze-and-Excitation Networks", CVPR 2018). Its averages
have one int8 step for channels of very different size, and an error in a gate is an
error of its channel's every pixel; on the device it is a handful of values a channel, so
that float costs memory for its weights and hardly any time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from edgeconv.targets.flow import Flow, Shape
from edgeconv.types import Layer

__all__ = ["gates"]


def gates(layers: Sequence[Layer], flows: Sequence[Flow]) -> tuple[str, ...]:
    """The layers from each average to its product, without the product.

    Args:
        layers: Of a float graph, in execution order.
        flows: Of the same graph.

    Returns:
        Keras names, in execution order.
    """
    shapes: dict[str, Shape] = {}
    for flow in flows:
        shapes |= zip(flow.inputs, flow.shapes, strict=bool(flow.shapes))
        shapes |= {name: flow.shape for name in flow.outputs if flow.shape}
    makers = {layer.output: layer for layer in layers}
    found: set[str] = set()
    for flow in flows:
        if flow.rule == "product":
            large = [name for name in flow.inputs if not _is_pooled(shapes[name])]
            small = [name for name in flow.inputs if _is_pooled(shapes[name])]
            if large and small:
                found |= _branch(small, makers, shapes)
    names = (layer.name.partition("#")[0] for layer in layers if layer.output in found)
    return tuple(dict.fromkeys(names))


def _branch(
    ends: Sequence[str], makers: Mapping[str, Layer], shapes: Mapping[str, Shape]
) -> set[str]:
    """The tensors behind ``ends`` back to the average; none where no average is met."""
    found: set[str] = set()
    averaged = False
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        maker = makers.get(name)
        if name in found or maker is None:
            continue
        found.add(name)
        if any(name in shapes and not _is_pooled(shapes[name]) for name in maker.inputs):
            averaged = True
        else:
            waiting += maker.inputs
    return found if averaged else set()


def _is_pooled(shape: Shape) -> bool:
    """Whether there is one value a channel."""
    return math.prod(shape) == max(shape, default=1)
