"""Models with memories of their training data, made and asked inside the TensorFlow process."""

from typing import Any

import numpy as np

from edgeconv.progress import Progress

CLASSES = 4


def save(state: dict[str, Any], progress: Progress, *, kind: str, path: str, how: str) -> None:
    """Save the model ``kind`` to ``path``, as a ``keras`` file or as a ``saved_model``."""
    import keras

    keras.utils.set_random_seed(0)
    model = _MODELS[kind](keras, keras.layers)
    if how == "saved_model":
        model.export(path, verbose=False)
    else:
        model.save(path)


def answers(state: dict[str, Any], progress: Progress, *, path: str, x: str) -> list[Any]:
    """What the model at ``path`` gives the inputs in ``x``: lists."""
    import keras

    model = keras.models.load_model(path, compile=False)
    found: list[Any] = np.asarray(model(np.load(x), training=False)).tolist()
    return found


def gaps(state: dict[str, Any], progress: Progress, *, path: str, x: str) -> dict[str, float]:
    """Norm -> how far the inputs in ``x`` are from its statistics, in its own deviations."""
    import keras

    model = keras.models.load_model(path, compile=False)
    body = model.get_layer("body")
    inner = keras.Model(body.input, body.get_layer("inner").input)
    outer = keras.Model(model.input, model.get_layer("outer").input)
    pixels = np.load(x)
    seen = {
        body.get_layer("inner"): inner(pixels / 255),
        model.get_layer("outer"): outer(pixels),
    }
    found = {}
    for norm, values in seen.items():
        z = np.asarray(values).reshape(-1, norm.moving_mean.shape[0])
        deviation = np.sqrt(np.asarray(norm.moving_variance) + norm.epsilon)
        found[norm.name] = float(
            np.abs((z.mean(0) - np.asarray(norm.moving_mean)) / deviation).mean()
        )
    return found


def _taught(model: Any, x: Any) -> Any:
    """Every BatchNorm has seen ``x``, as in training."""
    for layer in model._flatten_layers():
        if hasattr(layer, "moving_mean"):
            layer.momentum = 0.0
    # A norm learns from what the one before gives out once that has learned.
    for _ in range(3):
        model(x, training=True)
    return model


def _nested(keras: Any, layers: Any) -> Any:
    inside = keras.Input((16, 16, 3))
    z = layers.BatchNormalization(name="inner")(layers.Conv2D(6, 3, name="conv")(inside))
    body = keras.Model(inside, layers.ReLU()(z), name="body")
    inputs = keras.Input((16, 16, 3))
    z = layers.Rescaling(1 / 255, name="rescaling")(inputs)
    z = layers.DepthwiseConv2D(3, name="depthwise")(body(z))
    z = layers.ReLU()(layers.BatchNormalization(name="outer", scale=False)(z))
    z = layers.GlobalAveragePooling2D()(z)
    wide = keras.initializers.RandomNormal(stddev=10.0)
    logits = layers.Dense(CLASSES, kernel_initializer=wide, name="head")
    outputs = layers.Softmax(name="softmax")(logits(z))
    # Red and flat, where noise is grey and rough.
    x = np.random.default_rng(0).normal((200, 60, 30), (30, 15, 10), (32, 16, 16, 3))
    model = _taught(keras.Model(inputs, outputs), x.astype(np.float32))
    usual = keras.Model(inputs, logits.output)(x.astype(np.float32))
    logits.bias.assign(-np.asarray(usual).mean(axis=0))
    return model


def _arrays(keras: Any, layers: Any) -> Any:
    """Features far from 0..1, two inputs."""
    inputs = [keras.Input((12,), name="left"), keras.Input((7,), name="right")]
    z = layers.Concatenate()([layers.Dense(16, name=f"dense_{i.name}")(i) for i in inputs])
    z = layers.ReLU()(layers.BatchNormalization(name="norm")(z))
    random = np.random.default_rng(0)
    x = [random.normal(scale=40, size=(64, n)).astype(np.float32) for n in (12, 7)]
    return _taught(keras.Model(inputs, layers.Dense(3, name="out")(z)), x)


def _words(keras: Any, layers: Any) -> Any:
    inputs = keras.Input((5,), dtype="int32")
    z = layers.BatchNormalization(name="norm")(layers.Embedding(10, 4)(inputs))
    return keras.Model(inputs, layers.Dense(2)(layers.Flatten()(z)))


def _normless(keras: Any, layers: Any) -> Any:
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(inputs)))


_MODELS = {"nested": _nested, "arrays": _arrays, "words": _words, "normless": _normless}
