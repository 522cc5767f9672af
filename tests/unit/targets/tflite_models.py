"""Small Keras models for the TFLite tests, built in the workshop.

The child imports this file by name, so it imports nothing heavy at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def save_model(state: dict, progress: Any, *, which: str, out: str) -> None:
    """Build the model ``which`` and write ``out/which.keras`` and its weights as ``.npz``."""
    import keras

    keras.utils.set_random_seed(0)
    model = globals()[which](keras.layers)
    model.save(Path(out) / f"{which}.keras")
    np.savez(
        Path(out) / f"{which}.npz",
        **{w.path.replace("/", "|"): w.numpy() for w in model.weights},
    )


def freeze_ends(state: dict, progress: Any, *, out: str) -> None:
    """Write a graph with two inputs and two outputs, in no alphabetical order."""
    import tensorflow as tf

    left = tf.constant(np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2))
    right = tf.constant(np.linspace(1, -2, 32, dtype=np.float32).reshape(8, 4))
    with tf.Graph().as_default() as graph:
        zebra = tf.compat.v1.placeholder(tf.float32, [None, 5], name="zebra")
        ant = tf.compat.v1.placeholder(tf.float32, [None, 3], name="ant")
        both = tf.concat([zebra, ant], 1, name="both/concat")
        tf.nn.relu(tf.matmul(both, left.numpy(), name="yak/MatMul"), name="yak/Relu")
        tf.matmul(both, right.numpy(), name="bee/MatMul")
    Path(out).write_bytes(graph.as_graph_def().SerializeToString(deterministic=True))


def kernels(layers: Any) -> Any:
    """Every kind of kernel, a shared layer, a nested model, and an add behind each other."""
    import keras

    picture = keras.Input((12, 12, 8), name="picture")
    x = layers.SeparableConv2D(12, 3, depth_multiplier=2, name="sep")(picture)
    shared = layers.Conv2D(12, 1, name="shared")
    x = layers.Add(name="add")([x, shared(shared(x))])
    x = layers.Conv2DTranspose(6, 3, strides=2, name="up")(x)
    inner = [layers.Conv2D(5, 1, use_bias=False, name="c"), layers.BatchNormalization(name="bn")]
    x = keras.Sequential([*inner, layers.ReLU(6.0)], name="inner")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    model = keras.Model(picture, layers.Dense(4, name="head")(x))
    rng = np.random.default_rng(1)
    for weight in model.weights:
        positive = "variance" in weight.path or "gamma" in weight.path
        value = rng.normal(size=weight.shape) * 0.3
        weight.assign(np.abs(value) + 0.5 if positive else value)
    return model


def rescaled(layers: Any) -> Any:
    """Pixels rescaled inside the model: an ADD whose scales are powers of two in int16."""
    import keras

    pixels = keras.Input((8, 8, 3), name="pixels")
    x = layers.Rescaling(1 / 127.5, -1.0, name="rescaling")(pixels)
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(x)
    return keras.Model(pixels, layers.Dense(3, name="head")(layers.Flatten()(x)))


def dead_channel(layers: Any) -> Any:
    """A convolution with three dead channels, whose biases alone make the answer."""
    import keras

    picture = keras.Input((6, 6, 3), name="picture")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(picture)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(picture, layers.Dense(2, name="head")(x))
    kernel, bias = (w.numpy() for w in model.get_layer("conv").weights)
    kernel[..., :3] *= 1e-10
    bias[:3] = (2.0, 1.5, 0.75)
    model.get_layer("conv").set_weights([kernel, bias])
    return model


def no_kernel(layers: Any) -> Any:
    """An operator that TFLite has no built-in kernel for."""
    import keras

    x = keras.Input((4,), name="vector")
    return keras.Model(x, keras.ops.erfinv(layers.Dense(4, activation="tanh", name="head")(x)))
