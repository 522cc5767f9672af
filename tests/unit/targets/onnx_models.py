"""Small Keras models for the ONNX tests, built in the workshop.

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
    model = globals()[which](keras, keras.layers)
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


def kernels(keras: Any, layers: Any) -> Any:
    """Every kind of kernel, a shared layer, a nested model, and an add behind each other."""
    picture = keras.Input((12, 12, 8), name="picture")
    x = layers.SeparableConv2D(12, 3, depth_multiplier=2, name="sep")(picture)
    shared = layers.Conv2D(12, 1, name="shared")
    x = layers.Add(name="add")([x, shared(shared(x))])
    x = layers.Conv2DTranspose(6, 3, strides=2, name="up")(x)
    inner = [layers.Conv2D(5, 1, use_bias=False, name="c"), layers.BatchNormalization(name="bn")]
    x = keras.Sequential([*inner, layers.ReLU(6.0)], name="inner")(x)
    x = layers.MaxPooling2D(2, name="pool")(x)
    x = layers.GlobalAveragePooling2D(name="gap")(x)
    return _randomized(keras.Model(picture, layers.Dense(4, name="head")(x)))


def traps(keras: Any, layers: Any) -> Any:
    """What a plain tf2onnx conversion loses: Normalization, grouped convolution, exact GELU.

    And what onnxruntime's folding leaves: BatchNorm behind a Dense layer.
    """
    picture = keras.Input((10, 10, 4), name="picture")
    mean, variance = [0.1, -0.2, 0.3, 0.0], [1.0, 2.0, 0.5, 1.5]
    x = layers.Normalization(mean=mean, variance=variance, name="norm")(picture)
    x = layers.Conv2D(8, 3, groups=2, name="grouped")(x)
    x = layers.Activation("gelu", name="gelu")(x)
    x = layers.DepthwiseConv2D(3, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.Flatten(name="flat")(layers.ReLU(name="relu")(x))
    x = layers.Dense(6, name="dense")(x)
    x = layers.BatchNormalization(name="dense_bn")(x)
    return _randomized(
        keras.Model(picture, layers.Dense(3, name="head")(layers.ReLU(name="relu_2")(x)))
    )


def averaged(keras: Any, layers: Any) -> Any:
    """A classifier that ends in an average, as SqueezeNet does."""
    picture = keras.Input((8, 8, 3), name="picture")
    x = layers.Conv2D(5, 3, activation="relu", name="conv")(picture)
    return keras.Model(picture, layers.GlobalAveragePooling2D(name="gap")(x))


def dead_channel(keras: Any, layers: Any) -> Any:
    """A convolution with three dead channels, whose biases alone make the answer."""
    picture = keras.Input((6, 6, 3), name="picture")
    x = layers.Conv2D(8, 3, activation="relu", name="conv")(picture)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(picture, layers.Dense(2, name="head")(x))
    kernel, bias = (w.numpy() for w in model.get_layer("conv").weights)
    kernel[..., :3] *= 1e-10
    bias[:3] = (2.0, 1.5, 0.75)
    model.get_layer("conv").set_weights([kernel, bias])
    return model


def no_kernel(keras: Any, layers: Any) -> Any:
    """An operator that ONNX does not have."""
    x = keras.Input((4,), name="vector")
    y = keras.ops.erfinv(layers.Dense(4, activation="tanh", name="head")(x))
    return keras.Model(x, y)


def _randomized(model: Any) -> Any:
    """Give every weight a value that shows: no zero bias, no unit variance."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if weight.path.startswith("norm/"):
            continue
        positive = "variance" in weight.path or "gamma" in weight.path
        value = rng.normal(size=weight.shape) * 0.3
        weight.assign(np.abs(value) + 0.5 if positive else value)
    return model
