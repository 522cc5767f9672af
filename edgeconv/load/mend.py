"""Keras models as users have them, made fit to be traced (runs in the workshop).

Nothing here changes what a model computes: loops over few steps are written out,
names that a graph can't bear are replaced, and Keras 2's habits are understood.
"""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from edgeconv.errors import UsageError

__all__ = ["first_line", "import_custom", "legacy_objects", "rename_layers", "unroll"]

#: Longer loops stay loops: written out, a step of an LSTM is 28 operators.
MAX_STEPS: Final = 128
#: Source: tensorflow/python/framework/ops.py, _VALID_SCOPE_NAME_REGEX, without "/".
_SCOPE_NAME: Final = re.compile(r"[A-Za-z0-9_.\\>-]*")
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")


def first_line(error: BaseException) -> str:
    """The cause that a Keras error tells, without its advice and whole configurations."""
    text = _COLOURS.sub("", str(error)).strip()
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    # "Exception encountered when calling Conv2D.call()." stands before the cause.
    line = lines[1] if lines[0].startswith("Exception encountered") and lines[1:] else lines[0]
    return line.partition(". ")[0][:200]


def legacy_objects() -> dict[str, Any]:
    """Layers that read what Keras 2 wrote and Keras 3 doesn't."""
    import keras

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        """Keras 2 wrote ``groups=1``, which Keras 3 does not know."""

        def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
            if groups != 1:
                raise ValueError(f"DepthwiseConv2D with groups={groups}")
            super().__init__(*args, **kwargs)

    return {"DepthwiseConv2D": DepthwiseConv2D}


def import_custom(name: str) -> dict[str, Any]:
    """Import the user's module; its layers and functions by name, registered or not.

    Raises:
        UsageError: It can't be imported.
    """
    sys.path.insert(0, str(Path.cwd()))
    try:
        module = importlib.import_module(name)
    except Exception as error:
        raise UsageError(
            f"--custom {name} can't be imported: {type(error).__name__}: {first_line(error)}",
            "Give the name of a module in the current folder or on PYTHONPATH, without .py.",
        ) from error
    return dict(_own_objects(module))


def _own_objects(module: ModuleType) -> Iterator[tuple[str, Any]]:
    for name, value in vars(module).items():
        ours = getattr(value, "__module__", None) == module.__name__
        if ours and (inspect.isclass(value) or inspect.isfunction(value)):
            yield name, value


def rename_layers(model: Any) -> list[str]:
    """Give layers whose names can't be a graph's scope names that can.

    Returns:
        The old names of those that were renamed.
    """
    layers = model._flatten_layers(include_self=False)
    taken = {layer.name for layer in layers}
    renamed = []
    for layer in layers:
        # TensorFlow begins the scope of a whole graph with a letter or a digit.
        if _SCOPE_NAME.fullmatch(layer.name):
            continue
        renamed.append(layer.name)
        name = re.sub(r"[^A-Za-z0-9_.-]", "_", layer.name).lstrip("_.-") or "layer"
        while name in taken:
            name += "_"
        taken.add(name)
        layer.name = name
    return renamed


def unroll(model: Any) -> list[str]:
    """Have recurrent layers write their steps out when traced, where they are few.

    TFLite has no built-in operator for the lists that Keras's loops are made of.

    Returns:
        Filled while the model is traced: the layers that were written out.
    """
    import keras

    unrolled: list[str] = []
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.RNN):
            _unroll_when_short(layer, unrolled)
    return unrolled


def _unroll_when_short(layer: Any, unrolled: list[str]) -> None:
    import keras

    original = layer.inner_loop

    def inner_loop(sequences: Any, *args: Any, **kwargs: Any) -> Any:
        steps = sequences.shape[1]
        layer.unroll = steps is not None and steps <= MAX_STEPS
        if layer.unroll and layer.name not in unrolled:
            unrolled.append(layer.name)
            # A gate that multiplies the first step's zeros is left out. As one part of
            # four gates in one SPLIT it would be an int8 tensor that no one scales.
            if isinstance(layer, keras.layers.LSTM):
                layer.cell.implementation = 1
        return original(sequences, *args, **kwargs)

    object.__setattr__(layer, "inner_loop", inner_loop)
