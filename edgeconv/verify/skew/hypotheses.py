"""The usual mistakes before the model: each another Preprocess than the one declared.

    mine ──one thing changed──► a Hypothesis, named by what differs

Only what is told apart by its effect stands here: 127.5 and 128 are the same mean
to an int8 model, so one of them is enough.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from edgeconv.errors import UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.types import TensorSpec
from edgeconv.verify.skew.suspicion import Kind

__all__ = ["Hypothesis", "Turn", "affine_kinds", "differing", "hypotheses", "joined"]

#: What is done to the finished input, see ``inputs.TURNS``.
Turn = Literal[
    "",
    "rows and columns swapped",
    "the values poured channels first",
    "the values poured channels last",
    "the values read as channels first",
    "the values read as channels last",
]
Triple = tuple[float, ...]


@dataclass(frozen=True)
class Hypothesis:
    """Another way to make the inputs.

    Attributes:
        kinds: What it changes, the dearer mistake first; one or two.
        preprocess: Instead of the declared one.
        turn: Done to the finished array.
        known: The reference is known to be fed so.
    """

    kinds: tuple[Kind, ...]
    preprocess: Preprocess
    turn: Turn = ""
    known: bool = False


#: Pixels per unit, and the pixel that becomes zero, in RGB. All the conventions of
#: keras.applications (imagenet_utils.py) and torchvision, and their halves.
_STDS: tuple[Triple, ...] = ((127.5,), (255.0,), (1.0,), (58.395, 57.12, 57.375))
_MEANS: tuple[Triple, ...] = ((127.5,), (0.0,), (123.675, 116.28, 103.53))

_FILTERS: tuple[Literal["nearest", "bilinear", "bicubic", "lanczos"], ...] = (
    *("bilinear", "bicubic", "nearest", "lanczos"),
)


def hypotheses(
    mine: Preprocess, theirs: Preprocess | None, inputs: Sequence[TensorSpec] = ()
) -> tuple[Hypothesis, ...]:
    """Every single mistake worth trying; those that the reference's own input suggests first.

    Args:
        mine: What the candidate is fed.
        theirs: What the reference is fed; None where it is not known.
        inputs: Of the candidate's file: whole numbers may be its quantized inputs.
    """
    found: dict[tuple[Preprocess, Turn], Hypothesis] = {}
    tried = [*_from_reference(mine, theirs), *_colours(mine), *_affines(mine)]
    tried += [*_quantized_inputs(mine, inputs), *_crops(mine), *_filters(mine), *_layouts(mine)]
    for hypothesis in tried:
        if hypothesis.preprocess != mine or hypothesis.turn:
            found.setdefault((hypothesis.preprocess, hypothesis.turn), hypothesis)
    return tuple(found.values())


def joined(first: Hypothesis, second: Hypothesis, mine: Preprocess) -> Hypothesis | None:
    """Both changes at once; None where they change the same thing."""
    if set(first.kinds) & set(second.kinds) or (first.turn and second.turn):
        return None
    changed = {
        name: value
        for name, value in vars(second.preprocess).items()
        if value != getattr(mine, name)
    }
    if any(getattr(first.preprocess, name) != getattr(mine, name) for name in changed):
        return None
    kinds = first.kinds + second.kinds
    preprocess = replace(first.preprocess, **changed)
    return Hypothesis(kinds[:2], preprocess, first.turn or second.turn) if len(kinds) < 3 else None


def differing(mine: Preprocess, other: Preprocess) -> tuple[Kind, ...]:
    """What ``other`` does otherwise, the dearer mistake first."""
    kinds: list[Kind] = []
    if mine.layout != other.layout:
        kinds.append("layout")
    kinds += affine_kinds(mine, other)
    if mine.color != other.color:
        kinds.append("channel-order")
    if _crop_of(mine) != _crop_of(other):
        kinds.append("crop")
    if mine.filter != other.filter:
        kinds.append("resize-filter")
    return tuple(kinds)


def affine_kinds(mine: Preprocess, other: Preprocess) -> tuple[Kind, ...]:
    """Whether the scale or the mean differs; where both do, the scale.

    Written x * scale + offset, a wrong mean changes the offset alone. A wrong scale
    changes the factor, and the offset too where the mean pixel was kept.
    """
    if not _near(_wide(mine.scale), _wide(other.scale)):
        return ("scale",)
    return () if _near(_wide(mine.offset), _wide(other.offset)) else ("mean",)


def _near(a: Triple, b: Triple) -> bool:
    # A 255th of a pixel's range is what no model sees.
    return len(a) == len(b) and all(
        abs(x - y) <= 4e-3 * max(abs(x), abs(y)) for x, y in zip(a, b, strict=True)
    )


def _wide(numbers: Triple) -> Triple:
    return numbers * 3 if len(numbers) == 1 else numbers


def _crop_of(preprocess: Preprocess) -> tuple[str, float]:
    fraction = preprocess.crop_fraction if preprocess.resize == "crop" else 1.0
    return preprocess.resize, fraction


def _from_reference(mine: Preprocess, theirs: Preprocess | None) -> Iterator[Hypothesis]:
    """The reference's own input, whole or in the one thing that matters."""
    if theirs is None or theirs.kind != mine.kind:
        return
    theirs = replace(theirs, height=mine.height, width=mine.width)
    for fields in (
        ("color",),
        ("scale", "offset"),
        ("color", "scale", "offset"),
        ("resize", "crop_fraction"),
        ("filter",),
        ("resize", "crop_fraction", "filter"),
        ("layout",),
        tuple(vars(theirs)),
    ):
        other = _with(mine, {name: getattr(theirs, name) for name in fields})
        if other is not None and (kinds := differing(mine, other)):
            yield Hypothesis(kinds[:2], other, known=True)


def _colours(mine: Preprocess) -> Iterator[Hypothesis]:
    """RGB and BGR swapped; numbers of the three channels stay in place, or go along."""
    if mine.kind != "image" or mine.color == "gray":
        return
    swapped = replace(mine, color="bgr" if mine.color == "rgb" else "rgb")
    yield Hypothesis(("channel-order",), swapped)
    along = replace(swapped, scale=mine.scale[::-1], offset=mine.offset[::-1])
    yield Hypothesis(("channel-order",), along)


def _affines(mine: Preprocess) -> Iterator[Hypothesis]:
    """Each convention whole, and its scale or its mean alone."""
    color = mine.color
    known = [_affine(std, mean, color) for std in _STDS for mean in _MEANS]
    for scale, offset in known:
        yield from _affine_hypothesis(mine, scale, offset)
        yield from _affine_hypothesis(mine, scale, mine.offset)
        yield from _affine_hypothesis(mine, mine.scale, offset)
        # Their mean pixel with our scale, and our mean pixel with theirs.
        ours = _wide(mine.scale)
        mean = tuple(-o / s for o, s in zip(_wide(offset), _wide(scale), strict=False))
        shift = tuple(-m * s for m, s in zip(mean, ours, strict=False))
        yield from _affine_hypothesis(mine, mine.scale, shift)
    if mine.kind == "image" and color != "gray":
        for scale, offset in known:
            other: Literal["rgb", "bgr"] = "rgb" if color == "bgr" else "bgr"
            for hypothesis in _affine_hypothesis(mine, scale[::-1], offset[::-1]):
                both = replace(hypothesis.preprocess, color=other)
                yield Hypothesis((*hypothesis.kinds, "channel-order"), both)


def _affine(std: Triple, mean: Triple, color: str) -> tuple[Triple, Triple]:
    count = 1 if len(std) == len(mean) == 1 else 3
    stds, means = std * (count // len(std)), mean * (count // len(mean))
    scale = tuple(1.0 / s for s in stds)
    offset = tuple(-m / s for m, s in zip(means, stds, strict=True))
    if color == "gray":
        return (sum(scale) / count,), (sum(offset) / count,)
    return (scale[::-1], offset[::-1]) if color == "bgr" else (scale, offset)


def _affine_hypothesis(mine: Preprocess, scale: Triple, offset: Triple) -> Iterator[Hypothesis]:
    if mine.kind == "array" and (len(scale) > 1 or len(offset) > 1):
        return  # arrays have no red, green and blue
    other = _with(mine, {"scale": scale, "offset": offset})
    if other is not None and (kinds := affine_kinds(mine, other)):
        yield Hypothesis(kinds, other)


def _with(mine: Preprocess, changes: dict[str, object]) -> Preprocess | None:
    """``mine`` changed; None where that makes no sense."""
    try:
        return replace(mine, **changes)  # type: ignore[arg-type]
    except UsageError:
        return None


def _quantized_inputs(mine: Preprocess, inputs: Sequence[TensorSpec]) -> Iterator[Hypothesis]:
    """Integers that are the file's own quantized inputs: x = (q - zero_point) * scale."""
    for spec in inputs[:1]:
        if mine.kind == "array" and spec.scale is not None:
            offset = -float(spec.zero_point or 0) * spec.scale
            yield from _affine_hypothesis(mine, (spec.scale,), (offset,))
            # And the reverse: values that were scaled already.
            yield from _affine_hypothesis(mine, (1.0 / spec.scale,), (0.0,))


def _crops(mine: Preprocess) -> Iterator[Hypothesis]:
    if mine.kind != "image" or mine.resize == "none":
        return
    side = min(mine.height, mine.width)
    # ImageNet's habit, none at all, and EfficientNet's (see load/zoo.py).
    for fraction in (0.875, 1.0, side / (side + 32)):
        yield Hypothesis(("crop",), replace(mine, resize="crop", crop_fraction=fraction))
    yield Hypothesis(("crop",), replace(mine, resize="stretch"))


def _filters(mine: Preprocess) -> Iterator[Hypothesis]:
    if mine.kind == "image" and mine.resize != "none":
        for name in _FILTERS:
            yield Hypothesis(("resize-filter",), replace(mine, filter=name))


def _layouts(mine: Preprocess) -> Iterator[Hypothesis]:
    if mine.kind == "image":
        flipped = replace(mine, layout="nchw" if mine.layout == "nhwc" else "nhwc")
        yield Hypothesis(("layout",), flipped)
    turns: tuple[Turn, ...] = get_args(Turn)
    for turn in turns[1:]:
        yield Hypothesis(("layout",), mine, turn)
