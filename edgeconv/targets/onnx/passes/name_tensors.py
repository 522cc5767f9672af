"""Name every tensor after its node, and inputs and outputs as the source has them.

    Conv1/Conv:  inputs x, Conv1/kernel, Conv1/bias        output Conv1/Conv
    graph:       input:0 -> input,  predictions/BiasAdd:0 -> predictions

Constants come in the order in which nodes read them; onnxruntime writes them in the
order of a hash table.

Requires: nodes named after layers (``name_nodes``), and folded.
Ensures: every tensor's name is unique, tells its layer and is the same in each run.
"""

from __future__ import annotations

from edgeconv.targets.onnx.kernels import FORMS
from edgeconv.targets.onnx.model import Model, Node, constants, fresh_name, replace_constants
from edgeconv.targets.onnx.passes.base import Context
from edgeconv.targets.onnx.passes.name_nodes import layer_of_node, name_nodes

__all__ = ["name_tensors"]


def name_tensors(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    model, _ = name_nodes(model, context)  # folding left nodes of its own
    taken = set(context.inputs)
    renamed = _name_ends(model, context, taken)
    _name_outputs_of_nodes(model, renamed, taken)
    _name_constants(model, context, renamed, taken)
    _apply(model, renamed)
    return model, True


def _name_ends(model: Model, context: Context, taken: set[str]) -> dict[str, str]:
    """The graph's inputs and outputs: old name -> new name."""
    renamed = {v.name: v.name.removesuffix(":0") for v in model.graph.input}
    for value, wanted in zip(model.graph.output, context.outputs, strict=True):
        # An output may be given twice, or be an input as it is.
        renamed.setdefault(value.name, fresh_name(wanted, taken))
    return renamed


def _name_outputs_of_nodes(model: Model, renamed: dict[str, str], taken: set[str]) -> None:
    for node in model.graph.node:
        for number, output in enumerate(node.output):
            if output and output not in renamed:
                wanted = node.name if number == 0 else f"{node.name}:{number}"
                renamed[output] = fresh_name(wanted, taken)


def _name_constants(
    model: Model, context: Context, renamed: dict[str, str], taken: set[str]
) -> None:
    held = constants(model)
    order = []
    for node in model.graph.node:
        for slot, name in enumerate(node.input):
            if name in held and name not in renamed:
                renamed[name] = fresh_name(_constant_name(node, slot, context), taken)
                order.append(held[name])
    replace_constants(model, order)


def _constant_name(node: Node, slot: int, context: Context) -> str:
    form = FORMS.get(node.op_type)
    layer = layer_of_node(node, set(), {}, context.layers) or node.name
    if form is not None and slot == form.weight:
        return f"{layer}/kernel"
    if form is not None and slot == form.bias:
        return f"{layer}/bias"
    return f"{node.name}/{slot}"


def _apply(model: Model, renamed: dict[str, str]) -> None:
    graph = model.graph
    for node in graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.output[:] = [renamed.get(name, name) for name in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = renamed.get(value.name, value.name)
    del graph.value_info[:]
