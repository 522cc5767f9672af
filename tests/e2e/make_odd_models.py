"""Builds the odd models of test_odd_models.py; run as ``make_odd_models.py FOLDER``.

Each is FOLDER/NAME.keras (or .h5, or a SavedModel folder) with its inputs in
FOLDER/NAME.npz, one array an input under the input's name. A process of its own,
because the tests themselves never import TensorFlow.
"""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
sys.path.insert(0, str(Path(__file__).parent))
import h5py
import keras
import numpy as np
from keras import layers
from odd_layers import Doubled, Scaled, Twice

ITEMS, SIZE, CLASSES = 48, 16, 3


def picture() -> keras.KerasTensor:
    return keras.Input((SIZE, SIZE, 3), name="pixels")


def stem(x: keras.KerasTensor, name: str = "stem", filters: int = 8) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, strides=2, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(layers.BatchNormalization(name=f"{name}_bn")(x))


def head(x: keras.KerasTensor, activation: str | None = "softmax") -> keras.KerasTensor:
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return layers.Dense(CLASSES, activation=activation, name="head")(x)


def nested() -> keras.Model:
    """A model in a model in a model; the inner one has layer names of the outer one's."""
    inner_input = keras.Input((8, 8, 8))
    inner = keras.Model(inner_input, layers.Conv2D(8, 3, name="stem")(inner_input), name="inner")
    middle_input = keras.Input((SIZE, SIZE, 3))
    middle = keras.Model(middle_input, inner(stem(middle_input)), name="middle")
    x = picture()
    return keras.Model(x, head(middle(x)))


def shared() -> keras.Model:
    """One encoder for two pictures: every layer of it is called twice."""
    side = keras.Input((SIZE, SIZE, 3))
    pooled = layers.GlobalAveragePooling2D()(stem(side))
    encoder = keras.Model(side, layers.Dense(6, name="code")(pooled), name="encoder")
    left, right = (
        keras.Input((SIZE, SIZE, 3), name="left"),
        keras.Input((SIZE, SIZE, 3), name="right"),
    )
    apart = layers.Subtract(name="apart")([encoder(left), encoder(right)])
    return keras.Model([left, right], layers.Dense(4, name="head")(apart))


def several() -> keras.Model:
    """A picture and a vector in, classes and a box out."""
    pixels, facts = picture(), keras.Input((5,), name="facts")
    x = layers.GlobalAveragePooling2D()(stem(pixels))
    x = layers.Concatenate(name="both")([x, layers.Dense(8, activation="relu", name="read")(facts)])
    box = layers.Dense(4, name="box")(x)
    return keras.Model([pixels, facts], [layers.Dense(CLASSES, name="classes")(x), box])


def by_name() -> keras.Model:
    """Inputs and outputs as dictionaries, not in the order of their names."""
    feeds = {"zoom": keras.Input((6,), name="zoom"), "angle": keras.Input((4,), name="angle")}
    x = layers.Concatenate()([feeds["angle"], layers.Dense(6, activation="relu")(feeds["zoom"])])
    return keras.Model(feeds, {"speed": layers.Dense(3)(x), "brake": layers.Dense(2)(x)})


def audio() -> keras.Model:
    x = inputs = keras.Input((49, 10, 1), name="mfcc")
    x = layers.Conv2D(8, (10, 4), strides=2, padding="same", activation="relu", name="stem")(x)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="depthwise")(x)
    return keras.Model(inputs, head(layers.AveragePooling2D(2)(layers.Dropout(0.4)(x))))


def vector() -> keras.Model:
    x = inputs = keras.Input((12,), name="facts")
    x = layers.BatchNormalization()(layers.Dense(16, name="encode")(x))
    return keras.Model(inputs, layers.Dense(5, name="decode")(layers.LeakyReLU()(x)))


def signal() -> keras.Model:
    """Samples over time: convolutions of one dimension, dilated and separable too."""
    x = inputs = keras.Input((64, 4), name="samples")
    x = layers.Conv1D(8, 5, strides=2, padding="causal", activation="relu", name="stem")(x)
    x = layers.Conv1D(8, 3, dilation_rate=2, padding="same", activation="relu", name="wide")(x)
    x = layers.MaxPooling1D(2)(layers.SeparableConv1D(8, 3, name="separable")(x))
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.GlobalAveragePooling1D()(x)))


def words() -> keras.Model:
    """Integers in: an embedding is a lookup, no arithmetic."""
    x = inputs = keras.Input((10,), dtype="int32", name="words")
    x = layers.GlobalAveragePooling1D()(layers.Embedding(50, 8, name="embed")(x))
    return keras.Model(inputs, layers.Dense(4, name="head")(x))


def custom() -> keras.Model:
    x = picture()
    return keras.Model(x, head(Scaled(name="scaled")(stem(x))))


def subclassed() -> keras.Model:
    """Python code that Keras can rebuild, once its class is registered."""
    model = Twice(CLASSES, name="twice")
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return model


def free_length() -> keras.Model:
    x = inputs = keras.Input((None, 4), name="samples")
    x = layers.Conv1D(8, 5, padding="same", activation="relu", name="stem")(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.GlobalAveragePooling1D()(x)))


def channels_first() -> keras.Model:
    inputs = keras.Input((3, SIZE, SIZE), name="pixels")
    first = {"data_format": "channels_first"}
    x = layers.Conv2D(8, 3, strides=2, padding="same", name="stem", **first)(inputs)
    x = layers.ReLU()(layers.BatchNormalization(axis=1, name="stem_bn")(x))
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise", **first)(x)
    x = layers.MaxPooling2D(2, **first)(x)
    x = layers.GlobalAveragePooling2D(**first)(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="head")(x))


def policy(name: str) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        keras.config.set_dtype_policy(name)
        try:
            x = picture()
            return keras.Model(x, head(stem(x)))
        finally:
            keras.config.set_dtype_policy("float32")

    return build


def preprocessing() -> keras.Model:
    """All that Keras offers to put before a model, and augmentation that rests in use."""
    x = inputs = keras.Input((20, 20, 3), name="pixels")
    x = layers.RandomFlip("horizontal")(x)
    x = layers.RandomRotation(0.2)(x)
    x = layers.RandomZoom(0.2)(x)
    x = layers.RandomTranslation(0.1, 0.1)(x)
    x = layers.RandomContrast(0.2)(x)
    x = layers.RandomBrightness(0.2)(x)
    x = layers.GaussianNoise(0.1)(x)
    x = layers.CenterCrop(18, 18)(x)
    x = layers.Resizing(SIZE, SIZE, interpolation="bilinear")(x)
    x = layers.Rescaling(1 / 127.5, offset=-1.0)(x)
    x = layers.Normalization(mean=[0.1, 0.0, -0.1], variance=[0.3, 0.25, 0.2])(x)
    return keras.Model(inputs, head(stem(x)))


def no_softmax() -> keras.Model:
    x = picture()
    return keras.Model(x, head(stem(x), activation=None))


def softmax_layer() -> keras.Model:
    x = picture()
    return keras.Model(x, layers.Softmax(name="softmax")(head(stem(x), activation=None)))


def sigmoid() -> keras.Model:
    """One unit that tells two classes apart."""
    x = picture()
    y = layers.GlobalAveragePooling2D()(stem(x))
    return keras.Model(x, layers.Dense(1, activation="sigmoid", name="head")(y))


def many_labels() -> keras.Model:
    """A sigmoid for each of several labels, any of which may hold."""
    x = picture()
    return keras.Model(x, head(stem(x), activation="sigmoid"))


def sequential() -> keras.Model:
    """A Sequential that learned its input from the first data it saw."""
    model = keras.Sequential([
        layers.Conv2D(8, 3, activation="relu", name="stem"), layers.MaxPooling2D(),
        layers.Flatten(), layers.Dense(CLASSES, activation="softmax", name="head"),
    ])  # fmt: skip
    model(np.zeros((1, SIZE, SIZE, 3), np.float32))
    return model


def segmentation() -> keras.Model:
    """A picture out, at the size of the one in."""
    inputs = picture()
    x = layers.UpSampling2D(2, interpolation="bilinear")(stem(inputs))
    x = layers.Concatenate()([x, layers.Conv2D(4, 3, padding="same", name="skip")(inputs)])
    x = layers.Conv2DTranspose(4, 3, strides=1, padding="same", name="up")(x)
    return keras.Model(inputs, layers.Conv2D(CLASSES, 1, name="mask")(x))


def grouped() -> keras.Model:
    """What converters lose without a word: groups, exact GELU, a norm over the channels."""
    x = inputs = picture()
    x = stem(x)
    x = layers.Conv2D(8, 3, groups=4, padding="same", name="grouped")(x)
    x = layers.Activation("gelu", name="gelu")(layers.LayerNormalization(name="norm")(x))
    return keras.Model(inputs, head(layers.PReLU(shared_axes=[1, 2])(x)))


def attention() -> keras.Model:
    x = inputs = keras.Input((12, 8), name="samples")
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4, name="attend")(x, x)])
    x = layers.LayerNormalization(name="norm")(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.GlobalAveragePooling1D()(x)))


def bytes_in() -> keras.Model:
    """Pixels as bytes, scaled inside."""
    inputs = keras.Input((SIZE, SIZE, 3), dtype="uint8", name="pixels")
    return keras.Model(inputs, head(stem(layers.Rescaling(1 / 255)(inputs))))


def strange_names() -> keras.Model:
    """Names with what graphs keep for themselves: spaces, colons, accents."""
    inputs = keras.Input((SIZE, SIZE, 3), name="entrée: 1")
    x = layers.Conv2D(8, 3, name="conv 1:a é")(inputs)
    x = layers.Conv2D(8, 3, name="1", activation="relu")(x)
    return keras.Model(inputs, head(x))


def recurrent(layer: type, **options: object) -> Callable[[], keras.Model]:
    def build() -> keras.Model:
        x = inputs = keras.Input((12, 4), name="samples")
        x = layer(6, name="memory", **options)(x)
        return keras.Model(inputs, layers.Dense(4, name="head")(x))

    return build


def video() -> keras.Model:
    """The same convolution over each of some pictures."""
    inputs = keras.Input((3, 8, 8, 3), name="frames")
    x = layers.TimeDistributed(layers.Conv2D(4, 3, name="each"), name="all")(inputs)
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.Flatten()(x)))


def stacked_memory() -> keras.Model:
    x = inputs = keras.Input((12, 4), name="samples")
    x = layers.Bidirectional(layers.LSTM(5, return_sequences=True), name="both_ways")(x)
    x = layers.SimpleRNN(5, return_sequences=True, go_backwards=True, name="simple")(x)
    return keras.Model(inputs, layers.Dense(4, name="head")(layers.GRU(5, name="memory")(x)))


def doubled() -> keras.Model:
    x = picture()
    return keras.Model(x, head(Doubled(name="doubled")(stem(x))))


MODELS: dict[str, Callable[[], keras.Model]] = {
    "nested": nested,
    "shared": shared,
    "several": several,
    "by_name": by_name,
    "audio": audio,
    "vector": vector,
    "signal": signal,
    "words": words,
    "custom": custom,
    "subclassed": subclassed,
    "free_length": free_length,
    "channels_first": channels_first,
    "mixed_float16": policy("mixed_float16"),
    "mixed_bfloat16": policy("mixed_bfloat16"),
    "bfloat16": policy("bfloat16"),
    "float16": policy("float16"),
    "float64": policy("float64"),
    "preprocessing": preprocessing,
    "no_softmax": no_softmax,
    "softmax_layer": softmax_layer,
    "sigmoid": sigmoid,
    "many_labels": many_labels,
    "sequential": sequential,
    "segmentation": segmentation,
    "grouped": grouped,
    "attention": attention,
    "bytes_in": bytes_in,
    "strange_names": strange_names,
    "lstm": recurrent(layers.LSTM),
    "gru": recurrent(layers.GRU),
    "stacked_memory": stacked_memory,
    "doubled": doubled,
    "video": video,
}


def settle(model: keras.Model, x: list[np.ndarray]) -> None:
    """BatchNorms that know their data, and biases that are not zero: as after training."""
    rng = np.random.default_rng(2)
    for layer in model._flatten_layers():
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
        if getattr(layer, "bias", None) is not None and hasattr(layer.bias, "assign"):
            layer.bias.assign(rng.normal(0, 0.2, layer.bias.shape))
    feeds = keras.tree.pack_sequence_as(model._inputs_struct, x) if len(x) > 1 else x[0]
    model(feeds, training=True)


def inputs_of(model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    if not hasattr(model, "inputs"):
        return {"x": rng.integers(0, 256, (ITEMS, SIZE, SIZE, 3)).astype(np.uint8)}
    arrays = {}
    for tensor in model.inputs:
        shape = (ITEMS, *(n or 24 for n in tensor.shape[1:]))
        kind = keras.backend.standardize_dtype(tensor.dtype)
        if kind.startswith("int"):
            x = rng.integers(0, 50, shape).astype(kind)
        elif len(shape) == 4 and 3 in (shape[1], shape[-1]):
            x = rng.integers(0, 256, shape).astype(np.uint8)
        else:
            x = rng.normal(size=shape).astype(np.float32)
        name = tensor._keras_history.operation.name
        arrays[name if len(model.inputs) > 1 else "x"] = x
    return arrays


def legacy_h5(path: Path) -> None:
    """As Keras 2 wrote it: ``groups`` on a depthwise convolution, ``batch_input_shape``."""
    keras.utils.set_random_seed(5)
    inputs = keras.Input((SIZE, SIZE, 3), name="pixels")
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(stem(inputs))
    keras.Model(inputs, head(x)).save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        for layer in config["config"]["layers"]:
            if layer["class_name"] == "DepthwiseConv2D":
                layer["config"]["groups"] = 1
            if "batch_shape" in layer["config"]:
                layer["config"]["batch_input_shape"] = layer["config"].pop("batch_shape")
        file.attrs["model_config"] = json.dumps(config)
        file.attrs["keras_version"] = "2.11.0"


def exported_resting(model: keras.Model, folder: Path) -> None:
    """As ``model.export`` would, had it said that nothing is being trained."""
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda x: model(x, training=False),
        [keras.InputSpec(shape=(None, *model.inputs[0].shape[1:]), dtype="float32")],
    )
    archive.write_out(folder, verbose=False)


#: Saved as SavedModels too; ``preprocessing`` as if it trained, for Keras does so.
EXPORTED = ("several", "subclassed", "mixed_float16", "free_length", "lstm", "preprocessing")


def main(folder: Path) -> None:
    for name, build in MODELS.items():
        keras.utils.set_random_seed(1)
        model = build()
        arrays = inputs_of(model)
        settle(model, [a.astype(np.float32) if a.dtype == np.uint8 else a for a in arrays.values()])
        model.save(folder / f"{name}.keras")
        # Pictures lie about with their channels last, whatever a model wants.
        first = name == "channels_first"
        np.savez(
            folder / f"{name}.npz",
            **{key: np.moveaxis(a, 1, -1) if first else a for key, a in arrays.items()},
        )
        if name in EXPORTED:
            model.export(folder / f"{name}_saved", verbose=False)
        if name == "preprocessing":
            exported_resting(model, folder / "resting_saved")
    legacy_h5(folder / "legacy.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
