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

from edgeconv.targets.names import precision_of
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
    found = [_rule(recipe.precision, ".*", "*")]
    for precision in _RULES:
        scopes = [_scope(s.output) for s in layers if precision_of(s.name, recipe) == precision]
        if precision != recipe.precision and scopes:
            found.append(_rule(precision, f"^(?:{'|'.join(scopes)})$", "*"))
    if recipe.precision in INTEGER:
        # The virtual OUTPUT operator has the scope of the one that computes the output;
        # where that stays in float, the model's output is still integer.
        found += [_rule(recipe.precision, "", end) for end in ("INPUT", "OUTPUT")]
    return found


def _scope(output: str) -> str:
    return re.escape(f"{output};"[:_LONGEST_SCOPE])


def _rule(precision: Precision, regex: str, operation: str) -> Rule:
    return {"regex": regex, "operation": operation, **_RULES[precision]()}


def _static(bits: int) -> Rule:
    from ai_edge_quantizer import recipe

    made = recipe.static_wi8_ai8() if bits == 8 else recipe.static_wi8_ai16()
    return _without_place(made)


def _dynamic() -> Rule:
    from ai_edge_quantizer import recipe

    return _without_place(recipe.dynamic_wi8_afp32())


def _float16() -> Rule:
    from ai_edge_quantizer.qtyping import TFLOperationName
    from ai_edge_quantizer.recipe_manager import AlgorithmName, RecipeManager

    manager = RecipeManager()
    manager.add_weight_only_config(
        ".*", TFLOperationName.ALL_SUPPORTED, 16, algorithm_key=AlgorithmName.FLOAT_CASTING
    )
    return _without_place(manager.get_quantization_recipe())


def _float32() -> Rule:
    return {"algorithm_key": "no_quantize", "op_config": {}}


def _without_place(made: Sequence[Rule]) -> Rule:
    return {key: made[0][key] for key in ("algorithm_key", "op_config")}


_RULES: Final[Mapping[Precision, Callable[[], Rule]]] = {
    "fp32": _float32,
    "fp16": _float16,
    "dynamic": _dynamic,
    "int8": lambda: _static(8),
    "int16x8": lambda: _static(16),
}
