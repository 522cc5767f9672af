"""Models as users have them, written inside the TensorFlow process."""

from pathlib import Path
from typing import Any

from edgeconv.progress import Progress


def save(state: dict[str, Any], progress: Progress, *, kind: str, path: str) -> None:
    """Save the model ``kind`` to ``path``."""
    import keras

    keras.utils.set_random_seed(0)
    _MODELS[kind](keras, keras.layers).save(path)


def dtypes(state: dict[str, Any], progress: Progress, *, path: str) -> list[str]:
    """Names of all that a frozen graph computes in."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef.FromString(Path(path).read_bytes())
    return sorted({tf.dtypes.as_dtype(n.attr["T"].type).name for n in graph.node if "T" in n.attr})


def _sequential(keras: Any, layers: Any) -> Any:
    """The commonest model there is: a pretrained body under a head of one's own."""
    inputs = keras.Input((16, 16, 3))
    body = keras.Model(inputs, layers.Conv2D(4, 3, name="conv")(inputs), name="body")
    head = [layers.GlobalAveragePooling2D(), layers.Dense(3, activation="softmax", name="head")]
    flip = layers.RandomFlip("horizontal", name="flip")
    return keras.Sequential([keras.Input((16, 16, 3)), flip, body, *head])


def _mixed(keras: Any, layers: Any) -> Any:
    inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(4, 3, dtype="mixed_float16", activation="relu", name="conv")(inputs)
    x = layers.GlobalAveragePooling2D(dtype="mixed_float16")(x)
    return keras.Model(inputs, layers.Dense(3, dtype="float32", name="head")(x))


_MODELS = {"sequential": _sequential, "mixed": _mixed}


def headless(state: dict[str, Any], progress: Progress, *, folder: str, suffix: str) -> float:
    """How far a model without its top is from the same layer of the whole, whose file it read."""
    import keras
    import numpy as np

    from edgeconv.load.build import build

    wishes = {"size": 63, "classes": 5, "alpha": 1.0}
    whole = build("SqueezeNet11", top=True, weights=None, seed=3, **wishes)
    path = str(Path(folder) / f"whole{suffix}")
    (whole.save_weights if suffix == ".weights.h5" else whole.save)(path)
    x = np.random.default_rng(0).normal(size=(2, 63, 63, 3)).astype(np.float32)
    features = keras.Model(whole.input, whole.get_layer("fire7").output)(x)
    expected = np.asarray(features).mean(axis=(1, 2))
    made = build("SqueezeNet11", top=False, weights=path, seed=4, **wishes)
    return float(np.abs(np.asarray(made(x)) - expected).max() / np.abs(expected).max())
