"""What a graph pass is: (model, context) -> (model, changed)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from edgeconv.targets.onnx.model import Model

__all__ = ["Context", "Pass"]


@dataclass(frozen=True)
class Context:
    """What passes know beside the graph.

    Attributes:
        name: Of the model.
        layers: Keras layer names.
        inputs: The source's inputs, in order, named as the file is to name them.
        outputs: The source's outputs, likewise.
    """

    name: str
    layers: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


Pass: TypeAlias = Callable[[Model, Context], tuple[Model, bool]]
