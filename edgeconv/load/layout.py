"""Biases of models whose channels come first, in a way that no converter misreads.

    BiasAdd(x [N, C, H, W], b [C])  ->  AddV2(x, Reshape(b, [C, 1, 1]))

Where there are as many columns as channels, Keras 3.15 asks for a bias along the
columns (``keras.src.backend.tensorflow.numpy.add``). TensorFlow, fusing it with the
convolution, adds it to the channels all the same; TFLite's converter takes it at its
word. Runs in the workshop.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

__all__ = ["bias_by_channel"]

_FIRST: Final = b"NCHW"
_CONVOLUTIONS: Final = frozenset({"Conv2D", "Conv2DBackpropInput", "DepthwiseConv2dNative"})


def bias_by_channel(graph_def: Any, graph: Any) -> None:
    """Rewrite every BiasAdd along the second axis; in place.

    Args:
        graph_def: Frozen.
        graph: The TensorFlow graph that it was frozen from, which knows the ranks.
    """
    import tensorflow as tf

    nodes = {node.name: node for node in graph_def.node}
    added = []
    for node in graph_def.node:
        if node.op != "BiasAdd" or not _channels_first(node, nodes):
            continue
        shape, reshape = type(node)(), type(node)()
        shape.name, shape.op = f"{node.name}/by_channel/shape", "Const"
        sizes = np.array([-1, *[1] * (_rank(graph, node.name) - 2)], np.int32)
        shape.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(sizes))
        shape.attr["dtype"].type = 3
        reshape.name, reshape.op = f"{node.name}/by_channel", "Reshape"
        reshape.input.extend([node.input[1], shape.name])
        reshape.attr["T"].CopyFrom(node.attr["T"])
        reshape.attr["Tshape"].type = 3
        node.op = "AddV2"
        del node.attr["data_format"]
        node.input[1] = reshape.name
        added += [shape, reshape]
    graph_def.node.extend(added)


def _channels_first(node: Any, nodes: Mapping[str, Any]) -> bool:
    before = nodes[node.input[0].partition(":")[0]]
    convolves = before.op in _CONVOLUTIONS and before.attr["data_format"].s == _FIRST
    return convolves or bool(node.attr["data_format"].s == _FIRST)


def _rank(graph: Any, name: str) -> int:
    try:
        rank = graph.get_operation_by_name(name).outputs[0].shape.rank
    except KeyError:  # it stood in a function that was inlined
        rank = None
    return rank or 4
