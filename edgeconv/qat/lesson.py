"""Quantization-aware training: the workshop's side.

    float file  ──► answers to learn ─┐
    int8 file, rounded as on the device ──► answers ──► loss ──► Adam on kernels, biases, ranges

    loss = mean over items of  c log(1 + e / c)
    e    = KL(p || p') + |y' - y|^2 / mean |y|^2     p the float model's probabilities, y its
                                                     scores; KL where the scores are logits

No label is asked for: the float model's own answers are what int8 is to give, and they say
more than a label. So an input may be altered freely, as both see the same: pictures are
mirrored and shifted by a few pixels, each time anew.

Sources: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015; Kingma and Ba,
"Adam", ICLR 2015; Loshchilov and Hutter, "SGDR", ICLR 2017, for the cosine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.errors import Unsupported
from edgeconv.progress import Progress
from edgeconv.qat.learned import Learned
from edgeconv.qat.network import Network, trainable
from edgeconv.qat.plan import Plan, read_plan
from edgeconv.qat.ranges import Width, groups
from edgeconv.types import Array

__all__ = ["train"]

_BETA1, _BETA2, _EPSILON = 0.9, 0.999, 1e-8
#: Of all steps, those in which the rate rises: Adam's first ones are all of full size.
_WARM: Final = 0.1
#: c: an item that loses more has little more to say. A few odd pictures lose a hundred times
#: as much as all others, and would be all that is learned.
_ODD: Final = 0.1
#: Of a picture's height and width; both ways.
_SHIFT: Final = 1 / 16
#: Items a step, and activations that are held for the gradient of a step.
_MOST_ITEMS, _MOST_HELD = 32, 3 << 26
#: Sums are parted among threads, so that another number of them rounds otherwise.
_THREADS: Final = 4

State = dict[str, Any]


def train(
    state: State,
    progress: Progress,
    *,
    teacher: str,
    student: str,
    weights: str,
    inputs: list[str],
    out: str,
    logits: str,
    pictures: bool,
    epochs: int,
    learning_rate: float,
    seed: int,
) -> dict[str, Any]:
    """Train, and write the weights as they are on their grid.

    Args:
        state: Unused.
        progress: Advanced a batch at a time.
        teacher: The float TFLite file.
        student: The int8 TFLite file.
        weights: ``.npz``: ``kernel NAME`` and ``bias NAME`` of each layer that writes the
            tensor NAME, float32 in the Keras layout: where it begins.
        inputs: One ``.npy`` an input, float32 [N, ...].
        out: ``.npz`` of the same form, of the layers that were trained.
        logits: ``softmax`` or ``sigmoid`` where the first output is its logits; else "".
        pictures: Whether inputs may be mirrored and shifted.
        epochs: Passes over the inputs.
        learning_rate: Of the first step; falls to 0 as half a cosine. 1 is a channel's
            whole range.
        seed: Of the order and of what is done to pictures.

    Returns:
        ``losses``: the mean of each epoch; ``widths``: tensor name -> the factor on its range.

    Raises:
        Unsupported: The model has an operator that isn't known here, or training diverged.
    """
    import tensorflow as tf

    _make_deterministic()
    plan = read_plan(Path(student))
    learned = _begin(plan, np.load(weights, allow_pickle=False))
    x = [np.load(path, mmap_mode="r", allow_pickle=False) for path in inputs]
    batch = _batch_size(plan, len(x[0]))
    steps = epochs * (len(x[0]) // batch)
    floats = read_plan(Path(teacher))
    bound = [(each, Width()) for each in groups(plan, {tensor.name for tensor in floats.tensors})]
    widths = {index: width for group, width in bound for index in group}
    teach, study = Network(floats), Network(plan, learned, widths)
    variables = [variable for each in learned.values() for variable in each.variables]
    step = _adam(
        lambda given: _loss(teach(given), study(given), logits),
        [*variables, *(width.variable for _, width in bound)],
        [tf.TensorSpec([batch, *each.shape[1:]], tf.float32) for each in x],
    )
    losses: list[float] = []
    done = 0
    for epoch in range(epochs):
        so_far = f", loss {losses[-1]:.2g}" if losses else ""
        progress.stage(f"train, epoch {epoch + 1} of {epochs}{so_far}", len(x[0]) // batch)
        found = []
        for given in _batches(x, batch, np.random.default_rng([seed, epoch]), pictures):
            found.append(float(step(done + 1.0, learning_rate * _share(done, steps), *given)))
            done += 1
            progress.advance()
        losses.append(float(np.mean(found)))
        _refuse_divergence(losses)
    np.savez(out, **_rounded(learned))
    factors = {plan.tensors[i].name: float(width.factor) for i, width in widths.items()}
    return {"losses": losses, "widths": factors}


def _refuse_divergence(losses: Sequence[float]) -> None:
    if not math.isfinite(losses[-1]):
        raise Unsupported(
            f"Training came to no number in epoch {len(losses)}.",
            "Write a smaller learning_rate under [qat] in a recipe, or leave --qat out.",
        )


def _share(done: int, steps: int) -> float:
    """Of the learning rate: up in a line, then down as half a cosine."""
    rising = min(1.0, (done + 1) / max(1.0, _WARM * steps))
    return rising * 0.5 * (1 + math.cos(math.pi * done / steps))


def _batch_size(plan: Plan, items: int) -> int:
    """A power of two, unless there are fewer items."""
    values = sum(math.prod(plan.tensors[step.outputs[0]].shape) for step in plan.steps)
    # Each is held as it is computed, and on its grid.
    most = min(_MOST_ITEMS, max(1, _MOST_HELD // (2 * values)))
    return min(items, 1 << (most.bit_length() - 1))


def _make_deterministic() -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(_THREADS)
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(0)


def _begin(plan: Plan, weights: Mapping[str, Array]) -> dict[str, Learned]:
    learned = {}
    for step in trainable(plan):
        name = plan.tensors[step.outputs[0]].name
        source, made = (plan.tensors[i].grid for i in (step.inputs[0], step.outputs[0]))
        if f"kernel {name}" in weights and source is not None and made is not None:
            learned[name] = Learned.begin(
                weights[f"kernel {name}"],
                weights.get(f"bias {name}"),
                depthwise=step.kind == "DEPTHWISE_CONV_2D",
                input_scale=source.scale,
                output_range=128 * made.scale,
            )
    return learned


def _rounded(learned: Mapping[str, Learned]) -> dict[str, Any]:
    found = {}
    for name, each in learned.items():
        found[f"kernel {name}"] = each.rounded_kernel().numpy()
        if each.bias is not None:
            found[f"bias {name}"] = (each.bias * each.bias_unit).numpy()
    return found


def _loss(wanted: Sequence[Any], found: Sequence[Any], logits: str) -> Any:
    """See the module."""
    import tensorflow as tf

    each = tf.add_n([_error(y, z) for y, z in zip(wanted, found, strict=True)])
    if logits:
        each += _divergence(wanted[0], found[0], logits)
    return tf.reduce_mean(_ODD * tf.math.log1p(each / _ODD))


def _error(wanted: Any, found: Any) -> Any:
    """Of each item, over the batch's mean power."""
    import tensorflow as tf

    items = tf.shape(wanted)[0]
    error, power = (tf.reshape(y**2, [items, -1]) for y in (found - wanted, wanted))
    mean = tf.reduce_mean(tf.reduce_sum(power, -1))
    return tf.reduce_sum(error, -1) / tf.maximum(mean, 1e-12)


def _divergence(wanted: Any, found: Any, logits: str) -> Any:
    """KL of each item, in nats."""
    import tensorflow as tf

    if logits == "softmax":
        gap = tf.nn.log_softmax(wanted) - tf.nn.log_softmax(found)
        return tf.reduce_sum(tf.nn.softmax(wanted) * gap, -1)
    p, cross = tf.sigmoid(wanted), tf.nn.sigmoid_cross_entropy_with_logits
    return tf.reduce_sum(cross(p, found) - cross(p, wanted), -1)


def _adam(
    loss_of: Callable[[list[Any]], Any], variables: list[Any], signature: list[Any]
) -> Callable[..., Any]:
    """(number, rate, inputs) -> loss, with the variables a step further."""
    import tensorflow as tf

    first = [tf.Variable(tf.zeros_like(v)) for v in variables]
    second = [tf.Variable(tf.zeros_like(v)) for v in variables]
    scalar = tf.TensorSpec([], tf.float32)

    def step(number: Any, rate: Any, *given: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(list(given))
        gradients = tape.gradient(loss, variables, unconnected_gradients="zero")
        rate *= tf.sqrt(1 - _BETA2**number) / (1 - _BETA1**number)
        for variable, m, v, gradient in zip(variables, first, second, gradients, strict=True):
            m.assign(_BETA1 * m + (1 - _BETA1) * gradient)
            v.assign(_BETA2 * v + (1 - _BETA2) * gradient**2)
            variable.assign_sub(rate * m / (tf.sqrt(v) + _EPSILON))
        return loss

    return tf.function(step, [scalar, scalar, *signature], autograph=False)  # type: ignore[no-any-return]


def _batches(
    x: Sequence[Array], size: int, random: np.random.Generator, pictures: bool
) -> Iterator[list[Array]]:
    """All items but those left over, in an order of their own."""
    order = random.permutation(len(x[0]))
    for start in range(0, len(order) - size + 1, size):
        chosen = order[start : start + size]
        given = [np.asarray(each[np.sort(chosen)]) for each in x]
        yield [_altered(each, random) if pictures else each for each in given]


def _altered(x: Array, random: np.random.Generator) -> Array:
    """Pictures [N, H, W, C], mirrored or not, shifted; what comes in repeats the border."""
    _, height, width, _ = x.shape
    made = np.empty_like(x)
    for item, picture in enumerate(x):
        rows, columns = (
            np.clip(np.arange(n) + random.integers(-m, m + 1), 0, n - 1)
            for n, m in ((height, int(height * _SHIFT)), (width, int(width * _SHIFT)))
        )
        columns = columns[::-1] if random.integers(2) else columns
        made[item] = picture[rows[:, np.newaxis], columns]
    return made
