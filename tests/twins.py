"""Sabotaged twins: the same function with its channels on very different scales.

Every channel that may be rescaled gets a factor, log-uniform in [1/32, 32]: what writes
it is multiplied, what reads it is divided. Channels that Add, Concatenate, pooling and
ReLU join keep a factor in common. In float nothing changes; an int8 tensor has one
step for all of its channels, so that a tool which doesn't look loses most of them.

It works on the weights of a Keras model, before anything of edgeconv sees it, and shares
no code with the pass that repairs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LARGEST", "sabotage", "save_twin"]

#: Factors lie in [1 / LARGEST, LARGEST].
LARGEST = 32.0
_KERNELS = ("Conv2D", "DepthwiseConv2D", "Dense")
_PASSING = (
    "Dropout",
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    "ZeroPadding2D",
)


def save_twin(state: dict, progress: Any, *, model: str, seed: int, out: str) -> int:
    """In the workshop: write the twin of the file ``model`` to ``out``; how many factors it has."""
    import keras

    original = keras.models.load_model(model, compile=False)
    factors = sabotage(original, seed)
    original.save(Path(out))
    return factors


def sabotage(model: Any, seed: int) -> int:
    """Rescale the channels of a functional Keras model in place.

    Args:
        model: Of Conv2D, DepthwiseConv2D, Dense, BatchNormalization, ReLU, Add,
            Concatenate and pooling; whatever else it has keeps its scale.
        seed: Of the factors.

    Returns:
        How many factors were drawn.
    """
    walk = _Walk(model)
    roots = np.array([walk.root(group) for group in range(len(walk.parents))])
    drawn = np.random.default_rng(seed).uniform(-1.0, 1.0, len(roots))
    factors = LARGEST ** drawn[roots]
    factors[roots == 0] = 1.0
    for layer in model.layers:
        if layer.name in walk.ends:
            layer.set_weights(_rescaled(layer, *(factors[end] for end in walk.ends[layer.name])))
    return len(set(roots.tolist()) - {0})


class _Walk:
    """The group of each channel; group 0 keeps its scale."""

    def __init__(self, model: Any) -> None:
        self.parents = [0]
        self.ends: dict[str, tuple[Any, Any]] = {}
        self._groups: dict[int, Any] = {}
        for layer in model.layers:
            # A layer that is called twice can't be scaled for one call alone.
            once = len(layer._inbound_nodes) == 1
            for node in layer._inbound_nodes:
                read = [self._of(tensor) for tensor in node.input_tensors]
                made = self._step(layer, read, node.outputs[0]) if once else None
                if made is None:
                    for groups in read:
                        self._tie(groups, np.zeros_like(groups))
                else:
                    self._groups[id(node.outputs[0])] = made
        for tensor in model.outputs:
            self._tie(self._of(tensor), np.zeros_like(self._of(tensor)))

    def root(self, group: int) -> int:
        while self.parents[group] != group:
            group = self.parents[group]
        return group

    def _of(self, tensor: Any) -> Any:
        return self._groups.get(id(tensor), np.zeros(tensor.shape[-1] or 1, np.int64))

    def _step(self, layer: Any, read: list[Any], output: Any) -> Any:
        """The groups of a layer's output; None where it lets no factor through."""
        kind = type(layer).__name__
        if kind in _KERNELS and getattr(layer, "groups", 1) == 1:
            free = _homogeneous(layer.activation)
            written = self._found(output.shape[-1]) if free else np.zeros(output.shape[-1], int)
            self.ends[layer.name] = (read[0], written)
            return written
        if kind == "BatchNormalization":
            # Its epsilon is added to a variance, which therefore keeps its scale.
            self._tie(read[0], np.zeros_like(read[0]))
            written = self._found(output.shape[-1])
            self.ends[layer.name] = (np.zeros_like(written), written)
            return written
        if kind == "Add":
            self._tie(read[0], read[1])
            return read[0]
        if kind == "Concatenate":
            return np.concatenate(read)
        if kind == "Flatten":
            return np.tile(read[0], output.shape[-1] // read[0].size)
        unclamped = kind == "ReLU" and layer.max_value is None
        passes = kind == "Activation" and _homogeneous(layer.activation)
        return read[0] if kind in _PASSING or unclamped or passes else None

    def _found(self, count: int) -> Any:
        first = len(self.parents)
        self.parents.extend(range(first, first + count))
        return np.arange(first, first + count)

    def _tie(self, left: Any, right: Any) -> None:
        for a, b in zip(left.tolist(), right.tolist(), strict=True):
            low, high = sorted((self.root(a), self.root(b)))
            self.parents[high] = low


def _homogeneous(activation: Any) -> bool:
    return activation.__name__ in ("linear", "relu")


def _rescaled(layer: Any, read: Any, written: Any) -> list[Any]:
    """The layer's weights between rescaled channels."""
    named: Mapping[str, Any] = {weight.name: weight.numpy() for weight in layer.weights}
    columns = (read, written)
    if type(layer).__name__ == "DepthwiseConv2D":
        kernel = named["kernel"]
        columns = (read[:, np.newaxis], written.reshape(kernel.shape[-2:]))
    elif "kernel" in named:
        columns = (read[:, np.newaxis], written)
    changed = {
        "kernel": lambda value: value * columns[1] / columns[0],
        "bias": lambda value: value * written,
        "gamma": lambda value: value * written,
        "beta": lambda value: value * written,
    }
    return [changed.get(name, lambda value: value)(value) for name, value in named.items()]
