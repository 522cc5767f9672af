"""What a suspicion says to people."""

from __future__ import annotations

from edgeconv.preprocess import Preprocess
from edgeconv.verify.skew.hypotheses import Hypothesis
from edgeconv.verify.skew.suspicion import Kind, Measure

__all__ = ["NAMES", "figures", "input_sentence", "output_sentence"]

NAMES: dict[Kind, str] = {
    "channel-order": "another channel order",
    "scale": "a wrong input scale",
    "mean": "a wrong input mean",
    "resize-filter": "another resize filter",
    "crop": "another crop",
    "layout": "another axis order (NCHW or NHWC)",
    "labels-shifted": "class indices shifted by one",
    "double-softmax": "softmax applied twice",
    "not-dequantized": "outputs that were not dequantized",
}


def input_sentence(
    hypothesis: Hypothesis,
    mine: Preprocess,
    before: float | None,
    after: float,
    measure: Measure,
    others: tuple[Kind, ...] = (),
) -> str:
    """On a mistake before the model.

    Args:
        hypothesis: What mends it.
        mine: What is declared.
        before: See ``Suspicion``.
        after: Likewise.
        measure: Likewise.
        others: Kinds that mend it as well.
    """
    looks = " and ".join(_name(kind, hypothesis) for kind in hypothesis.kinds)
    how = ", ".join(_how(kind, hypothesis, mine) for kind in hypothesis.kinds)
    text = f"Looks like {looks}: {figures(before, after, measure)} {how}."
    if others:
        text += f" {' or '.join(NAMES[kind] for kind in others).capitalize()} fits as well."
    return text


def output_sentence(kind: Kind, before: float, after: float, measure: Measure, how: str) -> str:
    """On a mistake after the model."""
    return f"Looks like {NAMES[kind]}: {figures(before, after, measure)} when {how}."


def figures(before: float | None, after: float, measure: Measure) -> str:
    """``agreement 31% → 94%``."""
    unit = "" if measure == "mean KL" else "%"
    if before is None:
        return f"refused as declared, {measure} {_round(after)}{unit}"
    return f"{measure} {_round(before)}{unit} → {_round(after)}{unit}"


def _round(number: float) -> str:
    return f"{number:.0f}" if abs(number) >= 10.0 or number == 0.0 else f"{number:.2g}"


def _name(kind: Kind, hypothesis: Hypothesis) -> str:
    if kind == "channel-order":
        given, taken = ("RGB", "BGR")[:: 1 if hypothesis.preprocess.color == "bgr" else -1]
        return f"{given} input to a model that takes {taken}"
    return NAMES[kind]


def _how(kind: Kind, hypothesis: Hypothesis, mine: Preprocess) -> str:
    other = hypothesis.preprocess
    if kind == "channel-order":
        return "when swapped"
    if kind in ("scale", "mean"):
        return f"with {_affine(other)} instead of {_affine(mine)}"
    if kind == "resize-filter":
        return f"with {other.filter} instead of {mine.filter}"
    if kind == "crop":
        return f"with {_crop(other)} instead of {_crop(mine)}"
    if hypothesis.turn:
        return f"with {hypothesis.turn}"
    return f"with {other.layout.upper()} instead of {mine.layout.upper()}"


def _affine(preprocess: Preprocess) -> str:
    """``pixel * 0.00784 - 1``, as the three channels have it."""
    noun = "pixel" if preprocess.kind == "image" else "x"
    scale, offset = _numbers(preprocess.scale), _numbers(preprocess.offset)
    text = noun if scale == "1" else f"{noun} * {scale}"
    if not any(preprocess.offset):
        return text
    # Three minus signs in a row are one that the eye misses.
    if all(number < 0 for number in preprocess.offset):
        return f"{text} - {_numbers(tuple(-number for number in preprocess.offset))}"
    return f"{text} + {offset}"


def _numbers(numbers: tuple[float, ...]) -> str:
    shown = [f"{number:.3g}" for number in numbers[:3]]
    if len(set(shown)) == 1:
        return shown[0]
    return "(" + ", ".join(shown) + (", ..." if len(numbers) > 3 else "") + ")"


def _crop(preprocess: Preprocess) -> str:
    if preprocess.resize == "crop":
        return f"the centre {100 * preprocess.crop_fraction:.3g}%"
    return "the whole picture stretched" if preprocess.resize == "stretch" else "no resize"
