"""Rules: a Recipe in ai-edge-quantizer's words.

It matches a regular expression against an operator's scope (the names of its
outputs, each with ``;`` behind it); the last rule that matches and that the
operator can follow wins. Ours name operators one by one, so that a layer's name
is never taken for the beginning of another's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from edgeconv.types import Layer, Precision, Recipe

__all__ = ["INTEGER", "rules"]

Rule = dict[str, Any]

#: Precisions with integer activations, and so with integer inputs and outputs.
INTEGER: Final[Mapping[str, int]] = {"int8": 8, "int16x8": 16}

#: ai_edge_quantizer.utils.tfl_flatbuffer_utils.get_op_scope cuts scopes here.
_LONGEST_SCOPE: Final = 10_000


def rules(recipe: Recipe, layers: Sequence[Layer]) -> list[Rule]:
    """What ai-edge-quantizer is to do with every operator.

    Args:
        recipe: Its ``precision`` and ``scopes``.
        layers: Of the float graph.

    Returns:
        A recipe of ai-edge-quantizer.
    """
    found = _rules(recipe.precision, ".*")
    for precision in _RULES:
        scopes = [
            _scope(layer.output)
            for layer in layers
            if recipe.precision_of(layer.name, "tflite") == precision
        ]
        if precision != recipe.precision and scopes:
            found += _rules(precision, f"^(?:{'|'.join(scopes)})$")
    if recipe.precision in INTEGER:
        # The virtual OUTPUT operator has the scope of the one that computes the output;
        # where that stays in float, the model's output is still integer.
        (rule,) = _rules(recipe.precision, "")
        found += [{**rule, "operation": end} for end in ("INPUT", "OUTPUT")]
    return found


def _scope(output: str) -> str:
    return re.escape(f"{output};"[:_LONGEST_SCOPE])


def _rules(precision: Precision, regex: str) -> list[Rule]:
    return [{**rule, "regex": regex} for rule in _RULES[precision]()]


def _float32() -> list[Rule]:
    return [{"operation": "*", "algorithm_key": "no_quantize", "op_config": {}}]


def _float16() -> list[Rule]:
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.recipe_manager import AlgorithmName, RecipeManager

    manager = RecipeManager()
    every = TFLOperationName.ALL_SUPPORTED
    manager.add_weight_only_config(".*", every, 16, algorithm_key=AlgorithmName.FLOAT_CASTING)
    return list(manager.get_quantization_recipe())


def _dynamic() -> list[Rule]:
    from ai_edge_quantizer.qtyping import QuantGranularity, TFLOperationName
    from ai_edge_quantizer.recipe_manager import RecipeManager

    manager = RecipeManager()
    manager.add_dynamic_config(".*", TFLOperationName.ALL_SUPPORTED, 8)
    # tflite-runtime 2.14's FULLY_CONNECTED takes the first channel's scale for all.
    whole = QuantGranularity.TENSORWISE
    manager.add_dynamic_config(".*", TFLOperationName.FULLY_CONNECTED, 8, granularity=whole)
    return list(manager.get_quantization_recipe())


def _static(bits: int) -> list[Rule]:
    from ai_edge_quantizer import recipe

    return list(recipe.static_wi8_ai8() if bits == 8 else recipe.static_wi8_ai16())


_RULES: Final[Mapping[Precision, Callable[[], list[Rule]]]] = {
    "fp32": _float32,
    "fp16": _float16,
    "dynamic": _dynamic,
    "int8": lambda: _static(8),
    "int16x8": lambda: _static(16),
}
