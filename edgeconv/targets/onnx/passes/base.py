"""What a graph pass is: (model, context) -> (model, changed)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from edgeconv.targets.onnx.model import Model
from edgeconv.types import Array

__all__ = ["Context", "Pass"]


@dataclass(frozen=True)
class Context:
    """What passes know beside the graph.

    Attributes:
        name: Of the model.
        layers: Keras layer names.
        inputs: The source's inputs, in order, named as the file is to name them.
        outputs: The source's outputs, likewise.
        kernels: What reads the values of constants that the graph has without values,
            until it is folded.
    """

    name: str
    layers: frozenset[str]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    kernels: Mapping[str, Callable[[], Array]] = field(default_factory=dict)


Pass: TypeAlias = Callable[[Model, Context], tuple[Model, bool]]
