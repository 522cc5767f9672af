"""Quantize: a float TFLite file and the ranges of its tensors -> an artifact.

ai-edge-quantizer does the arithmetic; ranges, clipping and the choice of
precision are ours. Weights get symmetric int8 a channel, activations asymmetric
int8 a tensor (int16: symmetric), inputs and outputs the precision of the model.
"""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.targets.names import precision_of
from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.graph import layers
from edgeconv.targets.tflite.rules import rules
from edgeconv.targets.tflite.structure import count_operators
from edgeconv.types import Artifact, FloatGraph, Ranges, Recipe

__all__ = ["quantize"]

Statistics = dict[str, dict[str, Any]]


def quantize(graph: FloatGraph, ranges: Ranges, recipe: Recipe, path: Path) -> Artifact:
    """Write ``graph`` in the precisions of ``recipe``.

    Args:
        graph: Float, of this format.
        ranges: Clipped, of every activation; unused where no precision is integer.
        recipe: Its ``precision`` and ``scopes``.
        path: Where the file goes; its bytes depend on the arguments alone.

    Returns:
        The artifact, with scale and zero point of inputs and outputs.

    Raises:
        Unsupported: ai-edge-quantizer can't do this to the graph.
    """
    model = fb.read(graph.path)
    precisions = {precision_of(layer.name, recipe) for layer in layers(graph)}
    if precisions | {recipe.precision} != {"fp32"}:
        model = _quantized(model, graph, ranges, recipe)
    fb.write(model, path)
    return describe(path, recipe)


def describe(path: Path, recipe: Recipe) -> Artifact:
    """The artifact at ``path``, as its bytes say."""
    content = path.read_bytes()
    model = fb.parse(content)
    operators, floats = count_operators(model)
    inputs, outputs = fb.specs(model)
    return Artifact(
        format="tflite",
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


def _quantized(model: fb.ModelT, graph: FloatGraph, ranges: Ranges, recipe: Recipe) -> fb.ModelT:
    from ai_edge_quantizer.model_modifier import ModelModifier
    from ai_edge_quantizer.params_generator import ParamsGenerator
    from ai_edge_quantizer.recipe_manager import RecipeManager

    manager = RecipeManager()
    with _hushed():
        manager.load_quantization_recipe(rules(recipe, layers(graph)))
        statistics = _statistics(model, ranges) if manager.need_calibration() else {}
        try:
            generator = ParamsGenerator(model)
            params = generator.generate_quantization_parameters(manager, statistics, False)
            content = ModelModifier(model).modify_model(params, enable_progress_bar=False)
        except (RuntimeError, ValueError, KeyError, NotImplementedError) as error:
            raise Unsupported(
                f"ai-edge-quantizer can't make this model {recipe.precision}: {_cause(error)}",
                "Keep the layer in float with a scope in --recipe, or take another precision.",
            ) from error
    made = fb.parse(content)
    _refuse_overflow(made)
    return made


def _statistics(model: fb.ModelT, ranges: Ranges) -> Statistics:
    """Ranges as ai-edge-quantizer takes them: arrays of the tensor's own rank."""
    shared = _with_shared_ranges(model, ranges)
    return {
        name: {"min": _of_rank(low, rank), "max": _of_rank(high, rank)}
        for name, rank in _ranks(model).items()
        if name in shared
        for low, high in [shared[name]]
    }


def _ranks(model: fb.ModelT) -> dict[str, int]:
    tensors = model.subgraphs[0].tensors
    return {fb.name_of(t): 0 if t.shape is None else len(t.shape) for t in tensors}


def _of_rank(value: float, rank: int) -> Any:
    return np.full((1,) * rank, value, np.float32)


def _with_shared_ranges(model: fb.ModelT, ranges: Ranges) -> dict[str, tuple[float, float]]:
    """Let what only a concatenation reads be written in the concatenation's own steps.

        conv_a [0, 3] ─► QUANTIZE ─► CONCATENATION [0, 8]
        becomes
        conv_a [0, 8] ───────────► CONCATENATION [0, 8]

    The parts come out in those steps anyway; this saves an operator and a second
    rounding. Last first, so that a range reaches through nested ones.
    """
    found = {name: (seen.low, seen.high) for name, seen in ranges.items()}
    main = model.subgraphs[0]
    types = fb.operator_names(model)
    readers = Counter(int(i) for op in main.operators for i in op.inputs)
    readers.update(int(i) for i in main.outputs)
    for operator in reversed(main.operators):
        output = fb.name_of(main.tensors[operator.outputs[0]])
        if types[operator.opcodeIndex] != "CONCATENATION" or output not in found:
            continue
        for index in operator.inputs:
            name = fb.name_of(main.tensors[index])
            if name in found and readers[int(index)] == 1 and index not in main.inputs:
                found[name] = found[output]
    return found


def _refuse_overflow(model: fb.ModelT) -> None:
    """float16 ends at 65,504; what lies beyond has become infinite."""
    for tensor in model.subgraphs[0].tensors:
        constant = fb.dtype_of(tensor) == "float16" and fb.is_constant(model, tensor)
        if constant and not np.isfinite(fb.array_of(model, tensor)).all():
            raise Unsupported(
                f"A weight of {fb.name_of(tensor)!r} is too large for float16.",
                "Keep that layer in fp32 with a scope in --recipe.",
            )


def _cause(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


@contextmanager
def _hushed() -> Iterator[None]:
    """Keep the quantizer's remarks on its own rules to itself."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
