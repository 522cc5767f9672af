"""Depthwise convolutions of 44 channels  ->  of 48, between two convolutions that allow it

    Conv [44] ── Relu ── Conv, group = 44 ── Relu ── Conv
    Conv [48] ── Relu ── Conv, group = 48 ── Relu ── Conv      four channels of zeros

onnxruntime's integer kernel on x86 takes 16 channels at once and what is left one by
one: 5 x 5 on 28 x 28 took 0.115 ms with 44 channels and 0.034 with 48, in float 0.025
and 0.023 (one thread, AVX512). From 64 channels on the rest matters less. The zeros are
zeros in every step, and the last convolution gives them no weight. Tensors between have
another name, ``.../widened``, since they have another shape.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from edgeconv.targets.onnx.model import (
    Model,
    Node,
    Tensor,
    array_of,
    constants,
    drop_unused_constants,
    fresh_name,
    set_constant,
    uses,
)
from edgeconv.types import Array, Ranges

__all__ = ["widen_depthwise"]

_AT_ONCE: Final = 16
_MOST: Final = 64
_CLAMPS: Final = ("Relu", "Clip")


@dataclass(frozen=True)
class _Chain:
    """first -> ... -> depthwise -> ... -> last, and the tensors between."""

    first: Node
    depthwise: Node
    last: Node
    tensors: tuple[str, ...]


def widen_depthwise(model: Model, ranges: Ranges, excluded: Collection[str]) -> Ranges:
    """Widen what can be widened in ``model``, in place.

    Args:
        model: Float.
        ranges: Of its activations.
        excluded: Names of nodes that stay in float.

    Returns:
        The ranges, with those of tensors that have a new name.
    """
    found = dict(ranges)
    held = constants(model)
    taken = {*held, *(name for node in model.graph.node for name in node.output)}
    chains = [c for c in _chains(model, held) if not _names(c) & set(excluded)]
    for chain in chains:
        _widen(model, chain, held, taken)
        for name in chain.tensors:
            renamed = fresh_name(f"{name}/widened", taken)
            _rename(model, name, renamed)
            if name in found:
                found[renamed] = found.pop(name)
    if chains:
        drop_unused_constants(model)
    return found


def _names(chain: _Chain) -> set[str]:
    return {node.name for node in (chain.first, chain.depthwise, chain.last)}


def _chains(model: Model, held: Mapping[str, Tensor]) -> list[_Chain]:
    used = uses(model)
    ends = {value.name for value in model.graph.output}
    writers = {name: node for node in model.graph.node for name in node.output}
    readers = {name: node for node in model.graph.node for name in node.input}
    found = []
    for node in model.graph.node:
        if not _is_narrow(node, held):
            continue
        before, after = [str(node.input[0])], [str(node.output[0])]
        while (step := writers.get(before[-1])) is not None and step.op_type in _CLAMPS:
            before.append(str(step.input[0]))
        while (step := readers.get(after[-1])) is not None and step.op_type in _CLAMPS:
            after.append(str(step.output[0]))
        first, last = writers.get(before[-1]), readers.get(after[-1])
        tensors = (*reversed(before), *after)
        alone = all(used[name] == 1 and name not in ends for name in tensors)
        if not alone or first is None or last is None or last.input[0] != after[-1]:
            continue
        if _is_dense(first, held) and _is_dense(last, held):
            found.append(_Chain(first, node, last, tensors))
    return found


def _group(node: Node) -> int:
    return next((int(a.i) for a in node.attribute if a.name == "group"), 1)


def _has_constants(node: Node, held: Mapping[str, Tensor]) -> bool:
    return node.op_type == "Conv" and all(name in held for name in node.input[1:])


def _is_dense(node: Node, held: Mapping[str, Tensor]) -> bool:
    return _has_constants(node, held) and _group(node) == 1


def _is_narrow(node: Node, held: Mapping[str, Tensor]) -> bool:
    """A depthwise convolution whose channels don't fill the kernel's registers."""
    if not _has_constants(node, held):
        return False
    channels, each, *window = held[node.input[1]].dims
    whole = _group(node) == channels > 1 and each == 1 and len(window) == 2
    return bool(whole and channels % _AT_ONCE and channels < _MOST and max(window) > 1)


def _widen(model: Model, chain: _Chain, held: Mapping[str, Tensor], taken: set[str]) -> None:
    channels = int(held[chain.depthwise.input[1]].dims[0])
    more = -channels % _AT_ONCE
    for node, axis in ((chain.first, 0), (chain.depthwise, 0), (chain.last, 1)):
        # The bias [O] widens where the output does.
        for slot in range(1, len(node.input) if axis == 0 else 2):
            value = array_of(held[node.input[slot]])
            name = fresh_name(f"{node.input[slot]}/widened", taken)
            set_constant(model, name, _with_zeros(value, axis, more))
            node.input[slot] = name
    for attribute in chain.depthwise.attribute:
        if attribute.name == "group":
            attribute.i = channels + more


def _with_zeros(value: Array, axis: int, more: int) -> Array:
    return np.pad(value, [(0, more if at == axis else 0) for at in range(value.ndim)])


def _rename(model: Model, name: str, renamed: str) -> None:
    for node in model.graph.node:
        node.input[:] = [renamed if each == name else each for each in node.input]
        node.output[:] = [renamed if each == name else each for each in node.output]
    for value in model.graph.value_info:
        if value.name == name:
            value.name = renamed
            channels = value.type.tensor_type.shape.dim[1]
            channels.dim_value += -channels.dim_value % _AT_ONCE
