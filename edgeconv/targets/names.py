"""Which Keras layer a tensor of a converted file belongs to.

Nodes of the frozen graph begin with the path of their layer
(``conv/convolution``, nested ``inner/conv/...``, a shared layer's second call
``conv/call2/...``). TFLite joins the names of all that it fused into one
tensor with ``;``, the activation first, so the first piece is seldom the layer
that has the kernel.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

__all__ = ["layer_of", "number_repeats"]

#: Node names of the operators that carry a kernel, as Keras 3 and TensorFlow write them.
_COMPUTE = frozenset(
    [
        "convolution",
        "depthwise",
        "matmul",
        "conv2d",
        "conv1d",
        "conv3d",
        "depthwiseconv2d",
        "depthwiseconv2dnative",
        "separable_conv2d",
        "conv_transpose",
        "conv1d_transpose",
        "conv2d_transpose",
        "conv3d_transpose",
        "conv2dbackpropinput",
        "einsum",
        "tensordot",
        "gather",
        "resourcegather",
    ]
)
#: Node names of what a converter fuses into the operator before it.
_FUSED = frozenset(["biasadd", "squeeze", "expanddims", "reshape"])
_ACTIVATIONS = frozenset(
    ["relu", "relu6", "leakyrelu", "elu", "selu", "sigmoid", "tanh", "softmax", "softplus"]
)


def layer_of(tensor_name: str, layers: Collection[str]) -> str | None:
    """The Keras layer that owns the compute behind a tensor.

    Args:
        tensor_name: As the file has it, such as
            ``relu/Relu6;bn/batchnorm/add_1;conv/convolution``; a trailing
            ``:0`` is allowed.
        layers: Keras layer names (paths); give a set where there are many.

    Returns:
        The layer of the convolution, matrix product or other main operator
        among the pieces, or None where no piece begins with a layer's path.
    """
    owners = [(_rank(piece), _prefix(piece, layers)) for piece in tensor_name.split(";")]
    known = [(rank, layer) for rank, layer in owners if layer is not None]
    return min(known, key=lambda pair: pair[0])[1] if known else None


def number_repeats(names: Sequence[str]) -> list[str]:
    """``[sep, sep, conv]`` -> ``[sep, sep#2, conv]``.

    A layer may own several kernels (a separable convolution) or be called more
    than once; in execution order the numbers are the same in every format.
    """
    seen: Counter[str] = Counter()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return numbered


def _rank(piece: str) -> int:
    """0 for the operator that has the kernel, more for what was fused into it."""
    *scope, node = piece.split(":")[0].split("/")
    if _is_a(node, _COMPUTE):
        return 0
    if _is_a(node, _ACTIVATIONS):
        return 4
    if "batchnorm" in scope:
        return 3
    return 2 if _is_a(node, _FUSED) else 1


def _is_a(node: str, kinds: frozenset[str]) -> bool:
    """Whether a node's name is one of ``kinds``, but for a number that made it unique."""
    name = node.lower()
    unnumbered = re.sub(r"_\d+$", "", name)
    return not kinds.isdisjoint((name, unnumbered, re.sub(r"\d+$", "", unnumbered)))


def _prefix(piece: str, layers: Collection[str]) -> str | None:
    path = piece.split(":")[0]
    while path:
        if path in layers:
            return path
        path = path.rpartition("/")[0]
    return None
