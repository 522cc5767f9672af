"""Small Keras models whose channels can be rescaled, or must not be.

The workshop's child imports this file by name, so it imports nothing heavy at the top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["save_model"]


def save_model(state: dict, progress: Any, *, which: str, out: str) -> None:
    """Build the model ``which`` and write ``out``."""
    import keras

    keras.utils.set_random_seed(0)
    model = globals()[which](keras, keras.layers)
    rng = np.random.default_rng(1)
    for weight in model.weights:
        positive = "variance" in weight.path or "gamma" in weight.path
        value = rng.normal(size=weight.shape) * 0.3
        weight.assign(np.abs(value) + 0.5 if positive else value)
    model.save(Path(out))


def streams(keras: Any, layers: Any) -> Any:
    """Residual streams of both kinds, a concatenation, pooling, and dense layers behind it.

    Free: 8 of the stream (stem, project, again), 16 and 32 inside its blocks,
    8 + 4 of the two branches, 6 of the tail, 10 of the hidden layer.
    """
    picture = keras.Input((12, 12, 3), name="picture")
    x = layers.BatchNormalization(name="stem_bn")(layers.Conv2D(8, 3, name="stem")(picture))
    y = layers.Conv2D(16, 1, activation="relu", name="expand")(x)
    y = layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=2, activation="relu", name="depthwise"
    )(y)
    x = layers.Add(name="add")([x, layers.Conv2D(8, 1, name="project")(y)])
    x = layers.ReLU(name="relu")(layers.Add(name="again")([x, layers.Conv2D(8, 1, name="c")(x)]))
    left = layers.Conv2D(8, 3, padding="same", activation="relu", name="left")(x)
    right = layers.AveragePooling2D(3, 1, padding="same")(layers.Conv2D(4, 1, name="right")(x))
    x = layers.MaxPooling2D(2, name="pool")(layers.Concatenate(name="both")([left, right]))
    x = layers.Conv2D(6, 3, strides=2, activation="relu", name="tail")(
        layers.ZeroPadding2D(1, name="pad")(x)
    )
    x = layers.Dense(10, activation="relu", name="hidden")(layers.Flatten(name="flat")(x))
    return keras.Model(picture, layers.Dense(4, name="head")(x))


def gates(keras: Any, layers: Any) -> Any:
    """What lets no factor through, beside what does: a squeeze-and-excite gate.

    Free: 8 before the gate, 4 inside it, 6 of the grouped convolution, 12 of the transposed.
    Not free: what is shared, clamped, squashed, or given out.
    """
    picture = keras.Input((8, 8, 4), name="picture")
    shared = layers.Conv2D(4, 1, name="shared")
    x = layers.ReLU(6.0, name="relu6")(shared(shared(picture)))
    x = layers.Activation("hard_swish", name="swish")(layers.Conv2D(6, 1, name="before")(x))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="gated")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True, name="squeeze")(x)
    gate = layers.Conv2D(4, 1, activation="relu", name="reduce")(gate)
    gate = layers.Conv2D(8, 1, activation="hard_sigmoid", name="excite")(gate)
    x = layers.Multiply(name="gate")([x, gate])
    x = layers.LeakyReLU(name="leaky")(layers.Conv2D(6, 3, groups=2, name="grouped")(x))
    x = layers.Conv2DTranspose(12, 3, strides=2, name="up")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear", name="larger")(x)
    given = layers.Conv2D(5, 1, name="given")(x)
    x = layers.GlobalAveragePooling2D(name="mean")(given)
    return keras.Model(picture, [layers.Dense(3, name="head")(x), given])


def vectors(keras: Any, layers: Any) -> Any:
    """Dense layers alone, with a sum and a concatenation. Free: 7, 7 + 5, and 9."""
    left, right = keras.Input((6,), name="left"), keras.Input((4,), name="right")
    x = layers.Add(name="sum")([layers.Dense(7, name="a")(left), layers.Dense(7, name="b")(right)])
    y = layers.Dense(7, activation="relu", name="c")(x)
    z = layers.Dense(5, activation="tanh", name="squashed")(left)
    w = layers.Dense(5, activation="relu", name="d")(right)
    x = layers.Concatenate(name="all")([y, w, z])
    x = layers.Dense(9, activation="relu", name="hidden")(x)
    return keras.Model([left, right], layers.Dense(3, name="head")(x))
