"""Inputs made from what a model remembers of its training data (runs in the workshop).

A BatchNorm keeps the mean m and the variance v of each channel that it saw. Inputs x
are sought on which it sees the same, z being what reaches it:

    loss(x) = mean over norms and channels of
                  ((mean(z) - m)^2 + (std(z) - sqrt(v))^2) / (v + e)
            + 0.1 * mean of -log p(class | x),   classes drawn by lot; classifiers only

by gradient descent from noise, the weights fixed. Divided by v + e, as the norm itself
divides, a channel counts for what it adds to the answer, whatever its scale. Without
the second term no input is surely anything, and the range of the logits is missed
(docs/quantization.md has the figures). Where the input's ends are known (a picture's
black and white), each step returns into them.

Requires: a live Keras model with a BatchNorm, nested or not; float inputs.
Ensures: the same inputs for the same model, seed and versions; weights untouched.

Source: Cai et al., "ZeroQ: A Novel Zero Shot Quantization Framework", CVPR 2020,
section 3.1, for the first term, there not divided by the variance; Yin et al.,
"Dreaming to Distill: Data-free Knowledge Transfer via DeepInversion", CVPR 2020,
section 3.2, for the second.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.load.footprint import sum_activations
from edgeconv.progress import Progress
from edgeconv.types import Array

__all__ = ["synthesise"]

State = dict[str, Any]
#: An input's least and greatest values, as arrays that broadcast against it.
Ends = tuple[Array, Array]

#: Steps come in fifties. Pictures begin near enough for one (six gain MobileNetV3Small
#: nothing); a keyword model whose features reach to -120 came to 13.4 dB after one, to 27.0
#: after six, which small models have.
_FIFTY, _MOST_FIFTIES = 50, 6
#: Of the noise's deviation; falls to 0 as half a cosine.
_RATE: Final = 0.1
_CLASS_WEIGHT: Final = 0.1
#: Adam's usual ones: Kingma and Ba, "Adam", ICLR 2015, algorithm 1.
_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
#: Activations that are held for the gradient at once (6 bytes each, all in all), and that
#: fifty steps of every group work on. MobileNetV2, with 28 million an input, gets 3 groups
#: of 7 and 50 steps.
_MOST_HELD: Final = 3 << 26
_MOST_WORKED: Final = 5 << 27
_LEAST, _MOST = 8, 32
#: Deviations that are tried for noise whose ends nobody knows: 1/64 to 256.
_DEVIATIONS: Final = tuple(2.0**k for k in range(-6, 9))
#: A picture's deviation is about a quarter of what lies between black and white.
_SHARE: Final = 0.25
_HINT: Final = "Give --calibration DATA, or leave it out for the built-in pictures."


def synthesise(
    state: State,
    progress: Progress,
    *,
    outputs: list[str],
    ends: list[Any] | None,
    classifies: bool,
    seed: int,
) -> dict[str, Any]:
    """Make inputs and write them, float32 [N, ...].

    Args:
        state: Holds the live model.
        progress: Advanced a step at a time.
        outputs: One ``.npy`` an input of the model.
        ends: Two nested lists that broadcast against every input, its least and its
            greatest values; None where nobody knows.
        classifies: The first output scores classes.
        seed: Of the noise and the classes.

    Returns:
        ``count``, ``norms``, and ``before`` and ``after``: the mean loss.

    Raises:
        Unsupported: There is no BatchNorm, or no gradient reaches the inputs.
    """
    import tensorflow as tf

    limits = None
    if ends is not None:
        limits = np.asarray(ends[0], np.float32), np.asarray(ends[1], np.float32)
    loss_of = _loss(state, classifies)
    tensors = state["function"].inputs[: len(outputs)]
    batch, groups, steps = _plan(sum_activations(state["function"].graph), ends is not None)
    progress.stage("synthesise inputs (ZeroQ)", groups * steps)
    values = [tf.Variable(tf.zeros([batch, *t.shape[1:]])) for t in tensors]
    targets = tf.Variable(tf.zeros([batch], tf.int32))
    norms = _check(loss_of, values, targets)
    step, moments = _adam(loss_of, values, targets, limits)
    spread = _spread(loss_of, values, targets, limits, seed)
    made, losses = [], []
    for group in range(groups):
        random = np.random.default_rng([seed, group])
        for value in values:
            value.assign(_noise(random, value.shape, limits, spread))
        targets.assign(random.integers(0, _classes(state), batch))
        for moment in moments:
            moment.assign(tf.zeros_like(moment))
        losses.append(_descend(step, steps, spread, progress))
        made.append([value.numpy() for value in values])
    for path, parts in zip(outputs, zip(*made, strict=True), strict=True):
        np.save(path, np.concatenate(parts))
    before, after = np.mean(losses, axis=0)
    return {
        "count": batch * groups, "norms": norms, "before": float(before), "after": float(after)
    }  # fmt: skip


def _plan(activations: int, near: bool) -> tuple[int, int, int]:
    """Inputs in a group, groups, and steps, for a model with so many activations an input."""
    count = min(_MOST, max(_LEAST, _MOST_WORKED // activations))
    batch = min(count, max(1, _MOST_HELD // activations))
    groups = max(math.ceil(_LEAST / batch), count // batch)
    fifties = 1 if near else _MOST_WORKED // (batch * groups * activations)
    return batch, groups, _FIFTY * min(_MOST_FIFTIES, max(1, fifties))


def _loss(state: State, classifies: bool) -> Callable[[Sequence[Any], Any], tuple[Any, int]]:
    """What is to be made small: inputs and classes -> the loss, and how many norms it is of."""
    import tensorflow as tf

    model, head = state["model"], state["head"]
    if model is None:
        raise Unsupported(
            "A SavedModel doesn't say which of its numbers are a BatchNorm's, so no inputs can be"
            " made from them.",
            _HINT,
        )
    structure = getattr(model, "_inputs_struct", None)

    def loss_of(values: Sequence[Any], targets: Any) -> tuple[Any, int]:
        tensors = [tf.convert_to_tensor(value) for value in values]
        feeds = tensors[0] if structure is None else tf.nest.pack_sequence_as(structure, tensors)
        seen: list[tuple[Any, Any]] = []
        with _watched(model, seen):
            answers = model(feeds, training=False)
        if not seen:
            return tf.constant(0.0), 0
        loss = tf.add_n([_distance(layer, z) for layer, z in seen]) / len(seen)
        if classifies:
            scores = tf.cast(tf.nest.flatten(answers)[0], tf.float32)
            loss += _CLASS_WEIGHT * tf.reduce_mean(_surprise(scores, targets, head))
        return loss, len(seen)

    return loss_of


@contextmanager
def _watched(model: Any, seen: list[tuple[Any, Any]]) -> Iterator[None]:
    """Write down what each BatchNorm is called on."""
    import keras

    layers = {
        id(layer): layer
        for layer in model._flatten_layers()
        if isinstance(layer, keras.layers.BatchNormalization)
    }
    for layer in layers.values():
        object.__setattr__(layer, "call", _recorder(layer, layer.call, seen))
    try:
        yield
    finally:
        for layer in layers.values():
            object.__delattr__(layer, "call")


def _recorder(layer: Any, original: Any, seen: list[tuple[Any, Any]]) -> Any:
    def call(z: Any, *args: Any, **kwargs: Any) -> Any:
        seen.append((layer, z))
        return original(z, *args, **kwargs)

    return call


def _distance(layer: Any, z: Any) -> Any:
    """How far what a norm sees is from what it remembers.

    Sums are products with a row of ones: TensorFlow's own sum over many rows adds in
    another order every time, and the descent would end elsewhere.
    """
    import tensorflow as tf

    rank = z.shape.rank
    axis = layer.axis % rank
    if axis != rank - 1:
        z = tf.transpose(z, [*range(axis), *range(axis + 1, rank), axis])
    mean, variance = (
        tf.cast(number, tf.float32) for number in (layer.moving_mean, layer.moving_variance)
    )
    # Moments about the remembered mean: none of a channel's digits go to its offset.
    apart = tf.reshape(tf.cast(z, tf.float32), [-1, mean.shape[0]]) - mean
    count = tf.shape(apart)[0]
    row = tf.fill([1, count], 1 / tf.cast(count, tf.float32))
    first, second = (tf.matmul(row, power)[0] for power in (apart, tf.square(apart)))
    floor = _EPSILON * layer.epsilon  # a square root has no slope at 0
    deviation = tf.sqrt(tf.maximum(second - tf.square(first), 0.0) + floor)
    off = tf.square(first) + tf.square(deviation - tf.sqrt(variance))
    return tf.reduce_mean(off / (variance + layer.epsilon))


def _surprise(scores: Any, targets: Any, head: str) -> Any:
    """-log of what the model gives the classes ``targets``: [N]."""
    import tensorflow as tf

    if head == "linear":
        scores = tf.nn.softmax(scores)
    if scores.shape[-1] == 1:
        scores = tf.concat([1 - scores, scores], axis=1)
    given = tf.reduce_sum(scores * tf.one_hot(targets, scores.shape[-1]), axis=1)
    return -tf.math.log(given + 1e-30)


def _classes(state: State) -> int:
    units = state["function"].outputs[0].shape[-1]
    return max(2, int(units or 2))


def _check(loss_of: Any, values: Sequence[Any], targets: Any) -> int:
    """See that the descent is possible; returns how many norms there are."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        loss, norms = loss_of(values, targets)
    if not norms:
        raise Unsupported(
            "The model has no BatchNorm, and nothing else in it says what its inputs were like.",
            _HINT,
        )
    if any(gradient is None for gradient in tape.gradient(loss, list(values))):
        raise Unsupported(
            "An input of the model is looked up or rounded: no gradient says how to change it.",
            _HINT,
        )
    return int(norms)


def _adam(
    loss_of: Any, values: Sequence[Any], targets: Any, limits: Ends | None
) -> tuple[Any, list[Any]]:
    """A step of Adam, (number, rate) -> loss before it; and the moments that it keeps."""
    import tensorflow as tf

    firsts, seconds = ([tf.Variable(tf.zeros_like(v)) for v in values] for _ in range(2))

    @tf.function  # type: ignore[untyped-decorator]
    def step(number: Any, rate: Any) -> Any:
        with tf.GradientTape() as tape:
            loss, _ = loss_of(values, targets)
        gradients = tape.gradient(loss, list(values))
        for value, slope, first, second in zip(values, gradients, firsts, seconds, strict=True):
            first.assign(_BETA1 * first + (1 - _BETA1) * slope)
            second.assign(_BETA2 * second + (1 - _BETA2) * tf.square(slope))
            ahead = first / (1 - _BETA1**number)
            moved = ahead / (tf.sqrt(second / (1 - _BETA2**number)) + _EPSILON)
            after = value - rate * moved
            value.assign(after if limits is None else tf.clip_by_value(after, *limits))
        return loss

    return step, [*firsts, *seconds]


def _descend(step: Any, steps: int, spread: Array, progress: Progress) -> tuple[float, float]:
    """Take all steps; the loss before the first and before the last."""
    import tensorflow as tf

    losses = []
    for number in range(steps):
        rate = _RATE * (1 + math.cos(math.pi * number / steps)) / 2 * spread
        losses.append(float(step(tf.constant(number + 1.0), tf.constant(rate, tf.float32))))
        progress.advance()
    return losses[0], losses[-1]


def _spread(
    loss_of: Any, values: Sequence[Any], targets: Any, limits: Ends | None, seed: int
) -> Array:
    """The deviation of the noise to begin with: a picture's, or what the norms like best."""
    if limits is not None:
        return np.asarray(_SHARE * (limits[1] - limits[0]), np.float32)
    losses = []
    for deviation in _DEVIATIONS:
        random = np.random.default_rng([seed])
        for value in values:
            value.assign(_noise(random, value.shape, None, np.asarray(deviation, np.float32)))
        losses.append(float(loss_of(values, targets)[0]))
    return np.asarray(_DEVIATIONS[int(np.argmin(losses))], np.float32)


def _noise(random: np.random.Generator, shape: Any, limits: Ends | None, spread: Array) -> Array:
    noise = random.standard_normal(tuple(shape), np.float32) * spread
    if limits is None:
        return np.asarray(noise, np.float32)
    return np.clip(noise + (limits[0] + limits[1]) / 2, *limits).astype(np.float32)
