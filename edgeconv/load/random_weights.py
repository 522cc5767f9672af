"""Random models that behave like trained ones (runs in the workshop).

    LayerScale                     1e-6           ->  1
    BatchNorm                      mean 0, var 1  ->  mean and variance of what it sees
    its gamma before a shortcut    1              ->  1/2
    kernels of models without one  any            ->  outputs of mean 0, variance 1
    gates                          any            ->  mostly open
    head                           any            ->  logits of deviation 2

Fresh from its constructor, a deep network lets its signal fade: MobileNetV2's
outputs differ by 1e-12 from picture to picture, which no integer can follow.
Training would have taught each layer the statistics of its input; one walk over a
few pictures does that too. ReLU networks without norms forget their input as well:
their outputs become one constant, unless each layer is centred.

Source: Krähenbühl et al., Data-dependent Initializations of Convolutional Neural
Networks, https://arxiv.org/abs/1511.06856.
"""

from __future__ import annotations

import math
import tomllib
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.errors import HostFailure
from edgeconv.pictures import decode
from edgeconv.preprocess import Preprocess, prepare_image
from edgeconv.types import Array

__all__ = ["few_pictures", "settle"]

Visit = Callable[[Any, tuple[Any, ...]], None]

_PACKAGE = Path(__file__).resolve().parents[1]
#: All activations of one layer, and a few neighbours', are held for these at once:
#: eight pictures of 224 x 224, and no fewer than two.
_PIXELS: Final = 8 * 224**2
_MOST, _LEAST = 8, 2
#: Rows and columns in which pictures are told apart.
_THUMBNAIL: Final = 8
#: Of what a residual branch adds. With 1, rounding errors grow from block to block: ResNet152
#: in float32 differed by 2e-4 from one engine to the next, with 1/2 a quarter of that. Training
#: begins at 0 for the same reason (Goyal et al., https://arxiv.org/abs/1706.02677).
_BRANCH_GAMMA: Final = 0.5
#: What trained classifiers of a thousand classes show.
_LOGIT_DEVIATION: Final = 2.0
#: Gates of squeeze-and-excite, before their sigmoid: mostly open. Around one half, a strong
#: signal would open or shut them all and pass better by a third, block after block.
_GATE_CENTRE: Final = 2.0
_GATE_DEVIATION: Final = 1.0
_TINY: Final = float(np.finfo(np.float32).tiny)
#: A channel that varies less than this beside the whole layer is no signal to be raised.
_FADED: Final = 1e-3


def few_pictures(preprocess: Preprocess) -> Array:
    """Some of the built-in calibration pictures, fewer where they are large.

    Args:
        preprocess: Of the model.

    Returns:
        float32 [N, H, W, 3], N from 2 to 8.

    Raises:
        HostFailure: This installation has no pictures.
    """
    fitting = _PIXELS // (preprocess.height * preprocess.width)
    count = max(_LEAST, min(_MOST, fitting))
    pictures = [decode(file) for file in _calibration_pictures()]
    small = replace(preprocess, height=_THUMBNAIL, width=_THUMBNAIL)
    thumbnails = np.concatenate([prepare_image(small, picture) for picture in pictures])
    chosen = _unlike(thumbnails.reshape(len(pictures), -1), count)
    return np.concatenate([prepare_image(preprocess, pictures[i]) for i in chosen])


def _unlike(x: Array, count: int) -> list[int]:
    """The row farthest from the mean, then ever the one farthest from those already taken."""
    distance = ((x - x.mean(axis=0)) ** 2).sum(axis=1)
    chosen: list[int] = []
    for _ in range(count):
        chosen.append(int(distance.argmax()))
        apart = ((x - x[chosen[-1]]) ** 2).sum(axis=1)
        distance = apart if len(chosen) == 1 else np.minimum(distance, apart)
    return chosen


def _calibration_pictures() -> list[Path]:
    for folder in (_PACKAGE / "_calibration", _PACKAGE.parent / "calibration"):
        manifest = folder / "manifest.toml"
        if manifest.is_file():
            entries = tomllib.loads(manifest.read_text(encoding="utf-8"))["picture"]
            return [folder / e["file"] for e in entries if e["split"] == "calibration"]
    raise HostFailure(
        "Random weights are set by the built-in pictures, and this installation has none.",
        "Install edgeconv again.",
    )


def settle(model: Any, x: Array, *, head: bool) -> None:
    """Give a Keras model weights under which its answers depend on the picture.

    Args:
        model: Functional, with fresh random weights; changed in place.
        x: float32 [N, H, W, C], ready for the model.
        head: Its last dense layer gives logits, to be spread as a classifier's are.
    """
    import keras

    layers = model._flatten_layers(include_self=False)
    norms = (keras.layers.BatchNormalization, keras.layers.LayerNormalization)
    has_norms = False
    for layer in layers:
        has_norms |= isinstance(layer, norms)
        if type(layer).__name__ == "LayerScale":
            layer.gamma.assign(keras.ops.ones_like(layer.gamma))
    kernels = (keras.layers.Conv2D, keras.layers.Dense)
    ends = (keras.activations.linear, keras.activations.softmax)
    last = [layer for layer in model.layers if isinstance(layer, kernels)][-1]

    branches = _branch_norms(model)

    def visit(layer: Any, inputs: tuple[Any, ...]) -> None:
        if isinstance(layer, keras.layers.BatchNormalization):
            _settle_norm(layer, inputs[0])
            if layer.name in branches:
                layer.gamma.assign(keras.ops.full_like(layer.gamma, _BRANCH_GAMMA))
        elif head and layer is last and layer.activation in ends:
            _settle_head(layer, inputs[0])
        elif isinstance(layer, kernels) and layer.activation is keras.activations.sigmoid:
            _settle_kernel(layer, inputs[0], _GATE_DEVIATION, _GATE_CENTRE)
        elif isinstance(layer, kernels) and layer.use_bias and not has_norms:
            _settle_kernel(layer, inputs[0], 1.0)

    _walk(model, x, visit)


def _branch_norms(model: Any) -> set[str]:
    """Names of the BatchNorms at whose output something that is none is added."""
    import keras

    def maker(tensor: Any) -> Any:
        operation = tensor._keras_history.operation
        if isinstance(operation, keras.layers.Dropout):
            return maker(operation.input)
        return operation

    found: set[str] = set()
    for layer in model.layers:
        if isinstance(layer, keras.layers.Add):
            makers = [maker(tensor) for tensor in layer.input]
            norms = [m.name for m in makers if isinstance(m, keras.layers.BatchNormalization)]
            found |= set(norms) if len(norms) < len(makers) else set()
    return found


def _walk(model: Any, x: Array, visit: Visit) -> None:
    """Answer ``x`` layer by layer, each visited first; what no later layer needs is let go."""
    nodes = [
        node
        for depth in sorted(model._nodes_by_depth, reverse=True)
        for node in model._nodes_by_depth[depth]
        if not node.is_input
    ]
    waiting = Counter(id(tensor) for node in nodes for tensor in node.input_tensors)
    values: dict[int, Any] = {id(model.inputs[0]): x}
    for node in nodes:
        arguments, options = node.arguments.fill_in(values)
        visit(node.operation, arguments)
        answer = node.operation(*arguments, **options)  # inference: nothing is dropped
        del arguments, options
        values[id(node.outputs[0])] = answer
        for tensor in node.input_tensors:
            waiting[id(tensor)] -= 1
            if not waiting[id(tensor)]:
                values.pop(id(tensor), None)


def _settle_norm(layer: Any, x: Any) -> None:
    mean, variance = _moments(x)
    layer.moving_mean.assign(mean)
    layer.moving_variance.assign(variance)


def _settle_kernel(layer: Any, x: Any, deviation: float, centre: float = 0.0) -> None:
    """Centre each unit's output; scale each channel, or where there is but one place, all units."""
    mean, variance = _moments(_linear(layer, x))
    spread = np.sqrt(variance.mean())
    if math.prod(x.shape[1:-1]) > 1:
        spread = np.maximum(np.sqrt(variance), _FADED * spread)
    scale = deviation / np.maximum(spread, _TINY)
    layer.kernel.assign(layer.kernel.numpy() * scale.astype(np.float32))
    layer.bias.assign((layer.bias.numpy() - mean) * scale + centre)


def _settle_head(layer: Any, x: Any) -> None:
    """Spread the logits over the pictures; what all pictures share stays, as a bias does."""
    spread = _linear(layer, x).numpy().std(axis=0, dtype=np.float64).mean()
    layer.kernel.assign(layer.kernel.numpy() * (_LOGIT_DEVIATION / max(spread, _TINY)))


def _linear(layer: Any, x: Any) -> Any:
    """What the layer gives out before its activation."""
    import keras

    activation, layer.activation = layer.activation, keras.activations.linear
    answer = layer(x)
    layer.activation = activation
    return answer


def _moments(x: Any) -> tuple[Array, Array]:
    """Mean of each channel, and its variance about that in the picture where it is largest.

    The mean is that of half the pictures: about their own mean, few pictures vary less than
    any other one does, the more so with every layer. The largest, since swish lets strong
    signals pass better than weak ones.

    Args:
        x: TensorFlow's float32 tensor [N, ..., C].

    Returns:
        float64 [C] and float64 [C].
    """
    values = x.numpy().reshape(len(x), -1, x.shape[-1])
    half = len(values) // 2
    # numpy adds up in the order of memory, whatever the number of threads.
    mean = values[:half].mean(axis=(0, 1), dtype=np.float64)
    squares = []
    for picture in values:
        off = picture - mean.astype(np.float32)
        squares.append(np.einsum("nc,nc->c", off, off, dtype=np.float64) / len(off))
    return mean, np.max(squares, axis=0)
