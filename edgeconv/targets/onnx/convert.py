"""Convert: a frozen TensorFlow graph -> ONNX as tf2onnx writes it.

Runs in the workshop. Of tf2onnx's optimizers only those run that onnxruntime has
nothing as good for, and in place: as called by ``from_graph_def``, each of twelve
works on a deep copy of the graph, weights included (MobileNetV2, 14 MB: 3.8 s and
1.1 GB more, against 0.8 s and 0.3 GB).
"""

from __future__ import annotations

import contextlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from edgeconv.progress import Progress
from edgeconv.targets.onnx.take_out import Place, take_out

__all__ = ["OPSET", "convert"]

#: The last opset before Reduce operators take their axes as inputs, and the one
#: that devices' runtimes of the last four years all read.
OPSET: Final = 17
#: What tf2onnx appends to make a name its own.
_NUMBER: Final = re.compile(r"__\d+$")

State = dict[str, Any]


def convert(
    state: State, progress: Progress, *, graph: str, inputs: list[str], outputs: list[str], out: str
) -> list[Place]:
    """Write the GraphDef at ``graph`` to ``out`` as ONNX.

    What tf2onnx has no operator for is left in the file under TensorFlow's name,
    without an exception: the caller has to look.

    Args:
        state: Not used.
        progress: Not used.
        graph: Frozen GraphDef, a free batch axis first.
        inputs: Node names; each has one tensor.
        outputs: Likewise.
        out: Where the file goes. Its kernels are inputs, without values.

    Returns:
        Where the kernels' values lie in ``graph``.
    """
    import tensorflow as tf
    from tf2onnx import tf_loader

    graph_def, kernels = take_out(Path(graph), outputs)
    _allow_inlining(graph_def)
    feeds = [f"{name}:0" for name in (*inputs, *(kernel.name for kernel in kernels))]
    fetches = [f"{name}:0" for name in outputs]
    with tf.Graph().as_default():
        graph_def = tf_loader.tf_optimize(feeds, fetches, graph_def)
    graph_def.node.sort(key=lambda node: node.name)  # they come out in any order
    try:
        model = _convert(graph_def, feeds, fetches, careful=False)
    except Exception:
        # An optimizer that fails leaves the graph in an unknown state: once more,
        # with a copy to fall back on before each.
        model = _convert(graph_def, feeds, fetches, careful=True)
    Path(out).write_bytes(model.SerializeToString(deterministic=True))
    return kernels


def _convert(graph_def: Any, feeds: list[str], fetches: list[str], *, careful: bool) -> Any:
    import tensorflow as tf
    from tf2onnx import optimizer, tfonnx

    with tf.Graph().as_default() as graph, _nodes_in_order(), _batch_norms_apart(), _folds_named():
        tf.import_graph_def(graph_def, name="")
        converted = tfonnx.process_tf_graph(
            graph,
            opset=OPSET,
            input_names=feeds,
            output_names=fetches,
            continue_on_error=True,
        )
        converted = optimizer.optimize_graph(
            converted, catch_errors=careful, optimizers=_optimizers()
        )
        return converted.make_model("edgeconv")


@contextlib.contextmanager
def _nodes_in_order() -> Iterator[None]:
    """Let tf2onnx's sets of nodes have the same order in every run.

    They are ordered by the nodes' hashes, which are addresses in memory: of 30
    conversions of one MobileNetV3, six came out with other Reshape nodes.
    """
    from tf2onnx.graph import Node

    original, serial = Node.__init__, itertools.count()

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        self.edgeconv_serial = next(serial)
        original(self, *args, **kwargs)

    Node.__init__, Node.__hash__ = init, lambda self: self.edgeconv_serial
    try:
        yield
    finally:
        Node.__init__ = original
        del Node.__hash__


@contextlib.contextmanager
def _batch_norms_apart() -> Iterator[None]:
    """Keep tf2onnx from folding BatchNorm into convolutions.

    It gives the new constants names that tell no layer; onnxruntime folds the same
    later, when the layers are known.
    """
    from tf2onnx.optimizer import back_to_back_optimizer

    rules = back_to_back_optimizer._func_map
    fusion = {key: rules.pop(key) for key in [("Conv", "BatchNormalization")] if key in rules}
    try:
        yield
    finally:
        rules.update(fusion)


@contextlib.contextmanager
def _folds_named() -> Iterator[None]:
    """Name a folded constant after what it was folded from.

    tf2onnx names it ``const_fold_opt__363``, which for the reshaped kernel of a
    depthwise convolution is all that told its layer.
    """
    from tf2onnx import utils
    from tf2onnx.optimizer.const_fold_optimizer import ConstFoldOptimizer

    replace = ConstFoldOptimizer._replace_node_with_const

    def keep_name(node: Any, graph: Any, values: Any) -> None:
        name = next((part.name for part in node.inputs if part), node.name)
        make = graph.make_const
        graph.make_const = lambda _, value: make(utils.make_name(_NUMBER.sub("", name)), value)
        try:
            replace(node, graph, values)
        finally:
            del graph.make_const

    ConstFoldOptimizer._replace_node_with_const = staticmethod(keep_name)
    try:
        yield
    finally:
        ConstFoldOptimizer._replace_node_with_const = staticmethod(replace)


def _allow_inlining(graph_def: Any) -> None:
    """Let TensorFlow's optimizer inline every function.

    Keras wraps grouped convolutions in ``tf.function(jit_compile=True)``; marked
    for XLA they would stay calls, which ONNX has no operator for.
    """
    marks = ("_XlaMustCompile", "_noinline")
    holders = [*graph_def.node, *graph_def.library.function]
    for holder in holders:
        for mark in marks:
            if mark in holder.attr:
                del holder.attr[mark]


def _optimizers() -> dict[str, Any]:
    """tf2onnx's optimizers that are wanted, in the order in which they run.

    Left out: ``merge_duplication`` compares weights as lists of Python floats,
    32 bytes each; loops, upsampling and dequantization don't come from Keras.
    """
    from tf2onnx import optimizer

    return {
        # Kernels reach their final layout; shapes become constants.
        "fold_constants": optimizer.ConstFoldOptimizer,
        # Shape -> Slice -> Concat -> Reshape becomes one Reshape with a constant, which is
        # seen only as long as no layout change came between its ends.
        "reshape_optimizer": optimizer.ReshapeOptimizer,
        # Pairs every convolution's layout changes off against its neighbours'.
        "optimize_transpose": optimizer.TransposeOptimizer,
        # ReduceMean over the picture becomes GlobalAveragePool, which has an int8 kernel.
        "global_pool_optimizer": optimizer.GlobalPoolOptimizer,
        "remove_identity": optimizer.IdentityOptimizer,
        # Reshapes, Transposes and Casts behind each other become one.
        "remove_back_to_back": optimizer.BackToBackOptimizer,
    }
