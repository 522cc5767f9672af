"""Quantize: a float TFLite file and the ranges of its tensors -> an artifact.

ai-edge-quantizer does the arithmetic; ranges, clipping and the choice of
precision are ours. Weights get symmetric int8 a channel, activations asymmetric
int8 a tensor (int16: symmetric), inputs and outputs the precision of the model.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite import integer
from edgeconv.targets.tflite.check import refuse_unrunnable
from edgeconv.targets.tflite.graph import layers
from edgeconv.targets.tflite.rules import INTEGER, rules
from edgeconv.targets.tflite.statistics import statistics
from edgeconv.targets.tflite.structure import count_operators
from edgeconv.targets.tflite.whole_average import whole_averages_by_mean
from edgeconv.targets.tflite.why import explain_floats
from edgeconv.types import Artifact, FloatGraph, Layer, Ranges, Recipe

__all__ = ["quantize"]

_HINT: Final = "Keep the layer in float with a scope in --recipe, or take another precision."


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
    steps = layers(graph)
    if {recipe.precision_of(step.name, "tflite") for step in steps} == {"fp32"}:
        fb.copy(graph.path, path)  # it was seen to run when it was lowered
    else:
        fb.write(_quantized(fb.read(graph.path), steps, ranges, recipe), path)
        refuse_unrunnable(path, f"this model in {recipe.precision}", steps, _HINT)
    return describe(path, recipe, steps)


def describe(path: Path, recipe: Recipe, steps: Sequence[Layer] = ()) -> Artifact:
    """The artifact at ``path``, as its bytes say.

    Args:
        path: The file.
        recipe: How it was made.
        steps: The layers of the float graph, to name those that compute in float.
    """
    model = fb.view(path)
    operators, floats = count_operators(model)
    inputs, outputs = fb.specs(model)
    return Artifact(
        format="tflite",
        precision=recipe.precision,
        path=path,
        sha256=fb.sha256_of(path),
        size_bytes=path.stat().st_size,
        inputs=inputs,
        outputs=outputs,
        recipe=recipe,
        operators=operators,
        float_operators=floats,
        exceptions=(
            explain_floats(model, steps, _floats(steps, recipe))
            if recipe.precision in INTEGER
            else ()
        ),
    )


def _floats(steps: Sequence[Layer], recipe: Recipe) -> set[str]:
    """What the operators write that ``recipe`` keeps in float."""
    return {s.output for s in steps if recipe.precision_of(s.name, "tflite") not in INTEGER}


def _quantized(
    model: fb.ModelT, steps: Sequence[Layer], ranges: Ranges, recipe: Recipe
) -> fb.ModelT:
    from ai_edge_quantizer.model_modifier import ModelModifier
    from ai_edge_quantizer.params_generator import ParamsGenerator
    from ai_edge_quantizer.recipe_manager import RecipeManager

    whole_averages_by_mean(model, _floats(steps, recipe))
    int16 = {s.output for s in steps if recipe.precision_of(s.name, "tflite") == "int16x8"}
    manager = RecipeManager()
    with _hushed():
        manager.load_quantization_recipe(rules(recipe, steps))
        seen = statistics(model, ranges, int16) if manager.need_calibration() else {}
        try:
            params = ParamsGenerator(model).generate_quantization_parameters(manager, seen, False)
            content = ModelModifier(model).modify_model(params, enable_progress_bar=False)
        except (RuntimeError, ValueError, KeyError, NotImplementedError) as error:
            raise Unsupported(
                f"ai-edge-quantizer can't make this model {recipe.precision}: {_cause(error)}",
                _HINT,
            ) from error
    made = fb.parse(content)
    integer.rewrite(made, _floats(steps, recipe))
    _refuse_overflow(made)
    return made


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
