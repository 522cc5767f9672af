"""Quantize: a float ONNX file and the ranges of its tensors -> an artifact."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path

from edgeconv.errors import Unsupported
from edgeconv.targets.onnx.dynamic import to_dynamic
from edgeconv.targets.onnx.graph import steps
from edgeconv.targets.onnx.half import to_half
from edgeconv.targets.onnx.integer import to_int8
from edgeconv.targets.onnx.model import Model, parse, read, specs, write
from edgeconv.targets.onnx.passes import sign
from edgeconv.targets.onnx.structure import count_operators, count_runtime_operators
from edgeconv.types import Artifact, FloatGraph, Precision, Ranges, Recipe

__all__ = ["PRECISIONS", "quantize"]

PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "dynamic", "int8")


def quantize(graph: FloatGraph, ranges: Ranges, recipe: Recipe, path: Path) -> Artifact:
    """Write ``graph`` in the precisions of ``recipe``.

    Args:
        graph: Float, of this format.
        ranges: Clipped, of the activations; unused but for int8.
        recipe: Its ``precision``, ``scopes`` and ``onnx_activations``.
        path: Where the file goes; its bytes depend on the arguments alone.

    Returns:
        The artifact. Its inputs and outputs are float32 in every precision.

    Raises:
        Unsupported: ONNX Runtime can't do this to the graph.
    """
    model = read(graph.path)
    found = steps(model, graph.tensor_layers)
    precisions = {step.node.name: recipe.precision_of(step.layer.name, "onnx") for step in found}
    wanted = _one_of(set(precisions.values()) - {"fp32"})
    floats = [name for name, precision in precisions.items() if precision == "fp32"]
    model = sign(_written(model, wanted, ranges, recipe, floats))
    content = write(model, path)
    return _describe(content, recipe, path, at_run_time=wanted in ("int8", "dynamic"))


def _one_of(precisions: Collection[Precision]) -> Precision:
    """The one precision that a file can have beside fp32."""
    for precision in sorted(precisions):
        if precision not in PRECISIONS:
            raise Unsupported(
                f"ONNX has no {precision}: ONNX Runtime has no kernels that take int16"
                " activations with int8 weights on CPUs.",
                "Take int8, or export with --format tflite.",
            )
    if len(precisions) > 1:
        raise Unsupported(
            f"An ONNX file can't mix {' and '.join(sorted(precisions))}.",
            "Let the recipe's scopes name fp32 beside one other precision.",
        )
    return next(iter(precisions), "fp32")


def _written(
    model: Model, wanted: Precision, ranges: Ranges, recipe: Recipe, floats: Collection[str]
) -> Model:
    if wanted == "int8":
        return to_int8(model, ranges, recipe, floats)
    if wanted == "dynamic":
        return to_dynamic(model, floats)
    if wanted == "fp16":
        return to_half(model, floats)
    return model


def _describe(content: bytes, recipe: Recipe, path: Path, *, at_run_time: bool) -> Artifact:
    model = parse(content)
    inputs, outputs = specs(model)
    operators, floats = count_runtime_operators(content) if at_run_time else count_operators(model)
    return Artifact(
        format="onnx",
        precision=recipe.precision,
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        inputs=inputs,
        outputs=outputs,
        recipe=recipe,
        operators=operators,
        float_operators=floats,
    )
