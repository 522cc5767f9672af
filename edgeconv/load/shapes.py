"""The inputs of a model: their names, and shapes with every axis but the batch known.

Runs in the workshop.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgeconv.errors import Unsupported, UsageError

__all__ = ["Input", "inputs_of", "safe", "specs"]


@dataclass(frozen=True)
class Input:
    """One input as the model has it.

    Attributes:
        name: As the model's author called it.
        shape: Without the batch axis; None where an axis is free.
        dtype: A TensorFlow type or its name.
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: Any


def inputs_of(model: Any) -> list[Input]:
    """The inputs of a Keras model.

    Raises:
        Unsupported: It is a class of the user's own that doesn't say.
    """
    if getattr(model, "inputs", None):
        names = [tensor._keras_history.operation.name for tensor in model.inputs]
        return [
            Input(name, tuple(tensor.shape[1:]), tensor.dtype)
            for name, tensor in zip(names, model.inputs, strict=True)
        ]
    # Keras keeps the shape that such a model was built with, but not the type.
    known = (model.get_build_config() or {}).get("input_shape")
    if isinstance(known, (list, tuple)) and all(n is None or isinstance(n, int) for n in known):
        return [Input("input", tuple(known[1:]), "float32")]
    raise Unsupported(
        "The model does not say what its inputs are.",
        "Call it once on real data before saving it, or build it with keras.Input.",
    )


def specs(inputs: Sequence[Input], input_size: int | None) -> list[Any]:
    """A TensorSpec an input, the batch axis free and no other.

    Args:
        inputs: Of the model.
        input_size: Rows and columns of pictures, or the length of a series, where
            these are free.

    Raises:
        UsageError: ``input_size`` contradicts the model.
        Unsupported: An axis stays free.
    """
    import tensorflow as tf

    shapes = [_fixed(each.shape, input_size) for each in inputs]
    if input_size is not None and not any(_sized(shape, input_size) for shape in shapes):
        raise UsageError(
            f"The model's input is fixed at {inputs[0].shape}; --input-size {input_size}"
            " can't change it.",
            "Leave --input-size out.",
        )
    for each, shape in zip(inputs, shapes, strict=True):
        if None in shape:
            raise Unsupported(
                f"The model's input {safe(each.name)!r} has free axes: {(None, *each.shape)}.",
                "Fix them with --input-size N.",
            )
    return [
        tf.TensorSpec([None, *shape], each.dtype, name=name)
        for each, shape, name in zip(inputs, shapes, _names(inputs), strict=True)
    ]


def _fixed(shape: tuple[int | None, ...], size: int | None) -> tuple[int | None, ...]:
    """Free rows and columns, or a free first axis, become ``size``."""
    if size is None:
        return shape
    found = list(shape)
    for axis in _free_able(shape):
        found[axis] = size if found[axis] is None else found[axis]
    return tuple(found)


def _free_able(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    if len(shape) != 3:
        return (0,) if shape else ()
    return (1, 2) if shape[0] in (1, 3) and shape[2] not in (1, 3) else (0, 1)


def _sized(shape: tuple[int | None, ...], size: int) -> bool:
    axes = _free_able(shape)
    return bool(axes) and all(shape[axis] == size for axis in axes)


def _names(inputs: Sequence[Input]) -> list[str]:
    """The author's names; Keras numbers its tensors anew in every process."""
    if len(inputs) == 1:
        return ["input"]
    names = [safe(each.name) for each in inputs]
    return names if len(set(names)) == len(names) else [f"input_{i}" for i in range(len(names))]


def safe(name: str) -> str:
    """``name`` with nothing that a graph keeps for itself."""
    text = "".join(c if (c.isalnum() and c.isascii()) or c == "_" else "_" for c in name)
    return text.lstrip("_") or "input"
