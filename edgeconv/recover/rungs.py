"""The ladder: what is tried to keep the accuracy of int8, cheapest first.

None of ``RUNGS`` costs anything on the device: ranges and weights differ, the operators
don't. Layers in float cost size or time there, so they come last: gates, then the most
sensitive layers (``lift``).
int16 activations are no rung: no CPU kernel is fast with them (MobileNetV2 takes 300 ms
where int8 takes 7.5 and float 10), so where int8 is too coarse for a layer, float is cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final

from edgeconv.recover.lift import literally
from edgeconv.recover.trial import WORTH
from edgeconv.types import Calibrator, Format, Qat, Recipe, Scope

__all__ = [
    "PASS_ORDER",
    "RUNGS",
    "Rung",
    "gates_in_float",
    "in_one_format",
    "training",
]

#: Passes in the order in which they have to run: what moves scales between channels,
#: then what rounds weights, then what takes back the mean of the rounding.
PASS_ORDER: Final = (
    "equalize",
    "lift_channels",
    "adaptive_rounding",
    "correct_bias",
)


@dataclass(frozen=True)
class Rung:
    """One change of a recipe.

    Attributes:
        name: For tables.
        what: It does, in words.
        change: The recipe with it; the same recipe where there is nothing to change.
        needs: Passes and calibrators that have to exist for it.
        ranges_only: It may hold for one format and not for the other.
        slow: It takes minutes, not seconds.
        asked: It is there because the user asked for it: tried whatever holds already.
        worth: Smaller gains are not worth it: natural logarithm of the loss.
        layers: That it keeps in float.
    """

    name: str
    what: str
    change: Callable[[Recipe], Recipe]
    needs: frozenset[str] = frozenset()
    ranges_only: bool = False
    slow: bool = False
    asked: bool = False
    worth: float = WORTH
    layers: tuple[str, ...] = ()

    def possible(self, known: Collection[str]) -> bool:
        """Whether all that it needs is among ``known``."""
        return self.needs <= set(known)


def in_one_format(recipe: Recipe, calibrator: Calibrator, format: Format) -> Recipe:
    """The recipe with another calibrator for all layers of one format."""
    scopes = everywhere(recipe, format).scopes
    return replace(recipe, scopes=(Scope("*", calibrator=calibrator, format=format), *scopes))


def everywhere(recipe: Recipe, format: Format | None = None) -> Recipe:
    """The recipe without what ``in_one_format`` added, for one format or for all."""

    def added(scope: Scope) -> bool:
        whole = scope.layers == "*" and scope.calibrator is not None and scope.precision is None
        return whole and scope.format is not None and format in (None, scope.format)

    return replace(recipe, scopes=tuple(each for each in recipe.scopes if not added(each)))


def _calibrator(name: Calibrator, what: str) -> Rung:
    return Rung(
        f"calibrator {name}",
        what,
        lambda recipe: replace(everywhere(recipe), calibrator=name),
        frozenset({name}),
        ranges_only=True,
    )


def _percentile(percent: float) -> Rung:
    return Rung(
        f"percentile {percent:g}",
        f"ranges that keep {percent:g}% of the values",
        lambda recipe: replace(everywhere(recipe), calibrator="percentile", percentile=percent),
        frozenset({"percentile"}),
    )


def _pass(name: str, title: str, what: str, *, slow: bool = False) -> Rung:
    return Rung(title, what, lambda recipe: _with_pass(recipe, name), frozenset({name}), slow=slow)


def _with_pass(recipe: Recipe, name: str) -> Recipe:
    names = dict.fromkeys((*recipe.passes, name))
    known = [each for each in PASS_ORDER if each in names]
    return replace(recipe, passes=(*known, *(each for each in names if each not in known)))


_RANGES: Final = (
    _calibrator("mse", "ranges of least squared error"),
    _calibrator("entropy", "ranges that lose least information"),
    _calibrator("trimmed", "ranges of all items but the oddest"),
    _percentile(99.99),
    _percentile(99.9),
    _calibrator("minmax", "ranges of all that was seen"),
)

#: In the order in which they are tried: seconds first, minutes last. Ranges are tried anew
#: where channels were rescaled: nothing is tried twice.
RUNGS: Final = (
    *_RANGES,
    _pass("correct_bias", "bias correction", "biases take back the mean error of rounding"),
    _pass("equalize", "equalization", "channels of neighbouring layers get like ranges"),
    *_RANGES,
    _pass("adaptive_rounding", "adaptive rounding", "weights rounded for the outputs", slow=True),
)


def training(qat: Qat) -> Rung:
    """Quantization-aware training, which the user asks for.

    It begins at weights as they are: those that adaptive rounding put on their grid
    would first have to be pulled off it.
    """

    def change(recipe: Recipe) -> Recipe:
        passes = tuple(name for name in recipe.passes if name != "adaptive_rounding")
        return replace(recipe, passes=passes, qat=qat)

    return Rung("training", "weights trained with the rounding", change, slow=True, asked=True)


def gates_in_float(layers: Sequence[str]) -> Rung:
    """Squeeze-and-excite branches in float: a third more bytes, hardly any time.

    Args:
        layers: Of the branches; names as recipes have them.
    """
    scopes = tuple(Scope(literally(name), "fp32") for name in layers)
    return Rung(
        "gates in float",
        "squeeze-and-excite branches keep float numbers",
        lambda recipe: replace(recipe, scopes=(*recipe.scopes, *scopes)),
        worth=0.1,
        layers=tuple(layers),
    )
