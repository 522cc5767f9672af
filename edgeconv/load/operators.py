"""The operators that a stranger's TensorFlow graph may hold, and the part of it that runs.

An allow-list: whatever TensorFlow adds, and whatever custom libraries register,
is refused until someone has judged it. All of these read their inputs, write
their outputs and touch nothing else; none knows a file, a socket, a process or
Python. Source of the names: tensorflow/core/ops/*.pbtxt of TensorFlow 2.21.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

__all__ = ["PURE", "RESTORING", "runs"]

# fmt: off
PURE: frozenset[str] = frozenset({
    # one element at a time
    "Abs", "Acos", "Acosh", "Add", "AddN", "AddV2", "Asin", "Asinh", "Atan", "Atan2", "Atanh",
    "Cast", "Ceil", "ClipByValue", "Cos", "Cosh", "Div", "DivNoNan", "Elu", "Equal", "Erf", "Erfc",
    "Exp", "Expm1", "Floor", "FloorDiv", "FloorMod", "Greater", "GreaterEqual", "IsFinite",
    "IsInf", "IsNan", "LeakyRelu", "Less", "LessEqual", "Log", "Log1p", "LogicalAnd", "LogicalNot",
    "LogicalOr", "Maximum", "Minimum", "Mod", "Mul", "MulNoNan", "Neg", "NotEqual", "Pow",
    "RealDiv", "Reciprocal", "Relu", "Relu6", "Rint", "Round", "Rsqrt", "Select", "SelectV2",
    "Selu", "Sigmoid", "Sign", "Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Square",
    "SquaredDifference", "Sub", "Tan", "Tanh", "TruncateDiv", "TruncateMod", "Xdivy", "Xlogy",
    # sums of products
    "BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "BiasAdd", "BiasAddV1", "Conv2D",
    "Conv2DBackpropInput", "Conv3D", "Conv3DBackpropInputV2", "DepthwiseConv2dNative",
    "Dilation2D", "Einsum", "MatMul",
    # normalization, pooling, reductions
    "All", "Any", "ArgMax", "ArgMin", "AvgPool", "AvgPool3D", "Cumprod", "Cumsum",
    "FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3", "L2Loss", "LRN", "LogSoftmax",
    "Max", "MaxPool", "MaxPool3D", "MaxPoolV2", "Mean", "Min", "Prod", "Softmax", "Sum", "TopKV2",
    # shapes and places
    "BatchToSpaceND", "BroadcastArgs", "BroadcastTo", "Concat", "ConcatV2", "DepthToSpace",
    "EnsureShape", "ExpandDims", "Fill", "Gather", "GatherNd", "GatherV2", "InvertPermutation",
    "LinSpace", "MatrixBandPart", "MirrorPad", "OneHot", "OnesLike", "Pack", "Pad", "PadV2",
    "Range", "Rank", "Reshape", "ReverseV2", "ScatterNd", "Shape", "ShapeN", "Size", "Slice",
    "SpaceToBatchND", "SpaceToDepth", "Split", "SplitV", "Squeeze", "StridedSlice",
    "TensorScatterUpdate", "Tile", "Transpose", "Unpack", "Where", "ZerosLike",
    # pictures
    "ImageProjectiveTransformV2", "ImageProjectiveTransformV3", "ResizeBicubic",
    "ResizeBilinear", "ResizeNearestNeighbor",
    # training's leftovers: fake quantization, checks, noise
    "Assert", "CheckNumerics", "FakeQuantWithMinMaxArgs", "FakeQuantWithMinMaxVars",
    "FakeQuantWithMinMaxVarsPerChannel", "PreventGradient", "RandomStandardNormal",
    "RandomUniform", "StatelessRandomGetKeyCounter", "StatelessRandomNormalV2",
    "StatelessRandomUniformV2", "StopGradient", "TruncatedNormal",
    # constants, weights, inputs
    "Const", "Identity", "IdentityN", "NoOp", "Placeholder", "PlaceholderWithDefault",
    "ReadVariableOp", "ResourceGather", "VarHandleOp", "Variable", "VariableV2",
    # calls, branches, loops; what they call is looked into
    "Case", "Enter", "Exit", "If", "LoopCond", "Merge", "NextIteration", "PartitionedCall",
    "StatefulPartitionedCall", "StatelessCase", "StatelessIf", "StatelessWhile", "Switch", "While",
    "TensorListElementShape", "TensorListFromTensor", "TensorListGetItem", "TensorListLength",
    "TensorListReserve", "TensorListSetItem", "TensorListStack",
})

#: What TensorFlow's saver adds to read a SavedModel's own variables. Writing them
#: again (SaveV2 and what belongs to it) is in no list: nothing here needs it.
RESTORING: frozenset[str] = frozenset({"Assign", "AssignVariableOp", "RestoreV2"})
# fmt: on


def runs(graph_def: Any, roots: Iterable[str]) -> Any:
    """The part of a graph that TensorFlow runs to answer for ``roots``, and no more.

    Functions may be called by an attribute or by an operator of their name, which
    hides a built-in one; and TensorFlow may put one function in another's place
    where the library says that both implement the same. What is left out here
    can be reached in no way.

    Args:
        graph_def: GraphDef of a stranger.
        roots: Names of nodes, tensors or control inputs.

    Returns:
        A new GraphDef with those nodes and functions alone.
    """
    from tensorflow.core.framework import graph_pb2

    nodes = {node.name: node for node in graph_def.node}
    functions = {function.signature.name: function for function in graph_def.library.function}
    kept: set[str] = set()
    called: set[str] = set()
    waiting = [_node_name(root) for root in roots]
    while waiting:
        name = waiting.pop()
        if name in kept or name not in nodes:
            continue
        kept.add(name)
        waiting += [_node_name(wire) for wire in nodes[name].input]
        _add_calls(nodes[name], functions, called)
    part = graph_pb2.GraphDef(versions=graph_def.versions)
    part.node.extend(node for node in graph_def.node if node.name in kept)
    part.library.function.extend(functions[name] for name in sorted(called))
    return part


def _add_calls(node: Any, functions: dict[str, Any], called: set[str]) -> None:
    """Add to ``called`` every function that ``node`` reaches, however deep."""
    waiting = [node]
    while waiting:
        caller = waiting.pop()
        for name in {caller.op, *_named(caller.attr.values())} & functions.keys() - called:
            called.add(name)
            waiting += functions[name].node_def


def _named(values: Iterable[Any]) -> Iterator[str]:
    """Names of the functions in attribute values, in those of their own attributes too."""
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        for function in (value.func, *value.list.func):
            yield function.name
            waiting += function.attr.values()


def _node_name(wire: str) -> str:
    return wire.removeprefix("^").partition(":")[0]
