"""All faults of one good bundle: around the model, at its ends, in its layers."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tests.faults.draft import Draft
from tests.faults.head_faults import HEADS
from tests.faults.layer_faults import ANYWHERE, SPATIAL, WITH_OUTPUT, LayerFault
from tests.faults.onnx_parts import OnnxModel
from tests.faults.parts import Parts
from tests.faults.skew_faults import SKEWS
from tests.faults.tflite_parts import TfliteModel

Family = Literal["skew", "layer", "model"]
_OPENERS = {"tflite": TfliteModel, "onnx": OnnxModel}


@dataclass(frozen=True)
class Fault:
    """One way to break a bundle.

    Attributes:
        name: What is wrong.
        family: ``skew``: around the model; ``layer``: in one; ``model``: in all.
        apply: Breaks a Draft.
        kinds: The suspicions that name a skew; empty where none does.
        layer: The one that is broken, or "".
        moves_answers: Whether the best class can change; else only the scores do.
        blamed: The Keras names under which that layer may be blamed: of all that is fused into it.
    """

    name: str
    family: Family
    apply: Callable[[Draft], None]
    kinds: frozenset[str] = frozenset()
    layer: str = ""
    blamed: frozenset[str] = frozenset()
    moves_answers: bool = True

    @property
    def title(self) -> str:
        return f"{self.name}, {self.layer}" if self.layer else self.name


#: Of a slow model only these layer faults are built.
_CHIEF = (
    "kernel scale doubled", "input zero point +8", "scale table permuted", "bias dropped",
    "activation range clipped", "kernel in 4 bits", "channels permuted", "layer zeroed",
)  # fmt: skip


def faults(good: Draft, layers: Sequence[str], chief: bool = False) -> Iterator[Fault]:
    """The catalogue for one bundle.

    Args:
        good: An int8 bundle.
        layers: Keras names of the layers to break, each in turn.
        chief: Only the chief faults of layers.
    """
    for skew in SKEWS:
        yield Fault(skew.name, "skew", skew.apply, skew.kinds)
    for skew in HEADS:
        family: Family = "skew" if skew.kinds else "model"
        yield Fault(skew.name, family, skew.apply, skew.kinds, moves_answers=skew.moves_answers)
    yield Fault("weights of another training", "model", _in_all(_redrawn))
    yield Fault("weights of an earlier day", "model", _in_all(_drifted))
    for layer in layers:
        made = _layer_faults(good, layer)
        yield from (fault for fault in made if not chief or fault.name in _CHIEF)


def _layer_faults(good: Draft, layer: str) -> Iterator[Fault]:
    models = {format: _OPENERS[format](content) for format, content in good.models.items()}
    blamed = frozenset().union(*(model.fused[layer] for model in models.values()))
    parts = next(iter(models.values()))[layer]
    table = dict(ANYWHERE)
    if all(model[layer].scale is not None for model in models.values()):
        table |= WITH_OUTPUT
    if parts.kernel.ndim == 4 and parts.kernel.shape[1] > 1:
        table |= SPATIAL
    for name, change in table.items():
        yield Fault(name, "layer", _in_layer(layer, change), layer=layer, blamed=blamed)


def _in_layer(layer: str, change: LayerFault) -> Callable[[Draft], None]:
    def apply(draft: Draft) -> None:
        for format in draft.models:
            model = _OPENERS[format](draft.models[format])
            model[layer] = change(model[layer])
            draft.models[format] = model.to_bytes()

    return apply


def _in_all(change: Callable[[Parts, np.random.Generator], Parts]) -> Callable[[Draft], None]:
    def apply(draft: Draft) -> None:
        for format in draft.models:
            rng = np.random.default_rng(0)
            model = _OPENERS[format](draft.models[format])
            for layer in model.fused:
                model[layer] = change(model[layer], rng)
            draft.models[format] = model.to_bytes()

    return apply


def _redrawn(parts: Parts, rng: np.random.Generator) -> Parts:
    """Another seed: the same distribution of every channel's weights, other numbers."""
    axis = tuple(range(1, parts.kernel.ndim))
    mean, deviation = (f(parts.kernel, axis=axis, keepdims=True) for f in (np.mean, np.std))
    return _with_kernel(parts, rng.normal(mean, deviation, parts.kernel.shape))


#: Of a channel's spread.
_DRIFT = 0.2


def _drifted(parts: Parts, rng: np.random.Generator) -> Parts:
    """The same training, some epochs before: every weight a fifth of the spread off."""
    deviation = parts.kernel.std(axis=tuple(range(1, parts.kernel.ndim)), keepdims=True)
    noise = rng.normal(0.0, 1.0, parts.kernel.shape) * deviation * _DRIFT
    return _with_kernel(parts, parts.kernel + noise)


def _with_kernel(parts: Parts, kernel: np.ndarray) -> Parts:
    return replace(parts, kernel=np.clip(np.rint(kernel), -127, 127))
