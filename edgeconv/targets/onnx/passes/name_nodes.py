"""Name every node after its Keras layer: ``Conv__339`` -> ``Conv1/Conv``.

tf2onnx makes up names for what it fuses, but the constants of such a node still bear
the names of the graph's variables (``Conv1/convolution/merged_input``). Folding
renames those and keeps the nodes' names, so this comes first.

    layer(node) = the one that its name, its kernel or bias, or its output says,
                  else that of the node which computes its input

Requires: names as tf2onnx wrote them.
Ensures: names are unique and begin with the path of a layer wherever one is known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from edgeconv.targets.names import layer_of
from edgeconv.targets.onnx.kernels import FORMS
from edgeconv.targets.onnx.model import Model, Node, constants, fresh_name
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["layer_of_node", "name_nodes"]

#: What TensorFlow and tf2onnx hang on the name of an operator for its constants.
_CONSTANT_SUFFIXES = re.compile(r"/(merged_input|ReadVariableOp(_\d+)?|Cast)(?=[:/]|$)")


def name_nodes(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    held = set(constants(model))
    taken: set[str] = set()
    layers: dict[str, str] = {}
    for node in model.graph.node:
        layer = layer_of_node(node, held, layers, context.layers)
        for output in node.output:
            layers[output] = layer
        node.name = fresh_name(f"{layer}/{node.op_type}" if layer else _clean(node.name), taken)
    return model, True


def layer_of_node(
    node: Node, held: set[str], known: Mapping[str, str], layers: frozenset[str]
) -> str:
    """The Keras layer of a node, or "" where none can be told.

    Args:
        node: Any.
        held: Names of constants.
        known: Tensor name -> layer, of what was computed before.
        layers: Keras layer names.
    """
    own = [node.name]
    if node.op_type in FORMS:
        # The bias too: of a depthwise convolution it may be all that kept its name.
        own += [name for name in node.input[1:] if name in held]
    found = layer_of(_joined(own), layers) or layer_of(_joined(node.output), layers)
    if found:
        return found
    before = (known[name] for name in node.input if known.get(name))
    return next(before, "")


def _joined(names: list[str]) -> str:
    return ";".join(_CONSTANT_SUFFIXES.sub("", name) for name in names)


def _clean(name: str) -> str:
    """``dense/MatMul__17`` -> ``dense/MatMul``."""
    return re.sub(r"__\d+$", "", name) or "node"
