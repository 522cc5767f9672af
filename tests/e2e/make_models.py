"""Builds the small models of the end-to-end tests; run as ``make_models.py FOLDER``.

A process of its own, because the tests themselves never import TensorFlow.
"""

import os
import sys
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import h5py
import keras
import numpy as np
from keras import layers

SIZE, CLASSES = 16, 3


def colour_pictures(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy pictures, reddish, greenish or bluish: a task that a tiny network learns."""
    rng = np.random.default_rng(seed)
    y = np.arange(count) % CLASSES
    x = rng.integers(0, 150, (count, SIZE, SIZE, 3))
    x[np.arange(count), :, :, y] += 90
    return x.astype(np.uint8), y.astype(np.int64)


def classifier(seed: int = 0) -> keras.Model:
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIZE, SIZE, 3))
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.BatchNormalization(name="stem_bn")(x)
    x = layers.ReLU(6.0, name="stem_relu")(x)
    x = layers.DepthwiseConv2D(3, padding="same", use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(name="depthwise_bn")(x)
    x = layers.ReLU(6.0, name="depthwise_relu")(x)
    y = layers.Conv2D(8, 1, name="project")(x)
    x = layers.Add(name="add")([x, y])
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="head")(x))


def sabotaged(x: np.ndarray, y: np.ndarray, activation: str) -> keras.Model:
    """A classifier that int8 can't keep as it is, though in float it is the same function.

    relu: the channels between the two convolutions differ by up to 4,096 in scale, which
    equalization takes back. tanh: the second convolution has weights of 2,000, which read a
    channel that is always 0 and only make the step of the others useless.
    """
    keras.utils.set_random_seed(5)
    inputs = keras.Input((SIZE, SIZE, 3))
    hidden = layers.Conv2D(8, 3, strides=2, activation=activation, name="first")(inputs)
    hidden = layers.Conv2D(8, 1, activation="relu", name="second")(hidden)
    hidden = layers.GlobalAveragePooling2D(name="pool")(hidden)
    model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax", name="head")(hidden))
    model.compile(keras.optimizers.Adam(0.02), "sparse_categorical_crossentropy")
    model.fit(x / 255.0, y, epochs=8, batch_size=24, verbose=0)
    first, second = model.get_layer("first"), model.get_layer("second")
    (kernel, bias), (reader, rest) = first.get_weights(), second.get_weights()
    if activation == "relu":
        scale = 2.0 ** np.linspace(-6, 6, 8)
        kernel, bias, reader = kernel * scale, bias * scale, reader / scale[:, None]
    else:
        kernel[..., 7], bias[7], reader[:, :, 7] = 0.0, 0.0, 2000.0
    first.set_weights([kernel, bias])
    second.set_weights([reader, rest])
    return model


def main(folder: Path) -> None:
    x, y = colour_pictures(240, seed=1)
    model = classifier()
    model.compile(keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    model.fit(x / 255.0, y, epochs=8, batch_size=24, verbose=0)
    model.save(folder / "colours.keras")
    model.save(folder / "colours.h5")
    model.export(folder / "colours_saved_model", verbose=False)

    broken = keras.models.load_model(folder / "colours.keras")
    kernel = broken.get_layer("project").kernel
    values = kernel.numpy()
    values[0, 0, 0, 0] = np.nan
    kernel.assign(values)
    broken.save(folder / "nan.keras")

    inputs = keras.Input((SIZE, SIZE, 3))
    hidden = layers.Lambda(lambda t: t * 2.0, name="twice")(inputs)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    lambda_model = keras.Model(inputs, layers.Dense(CLASSES, activation="softmax")(hidden))
    lambda_model.save(folder / "lambda.keras")
    lambda_model.save(folder / "lambda.h5")

    keras.utils.set_random_seed(3)
    vector = keras.Input((12,))
    hidden = layers.Dense(24, activation="relu", name="encode")(vector)
    keras.Model(vector, layers.Dense(12, name="decode")(hidden)).save(folder / "autoencoder.keras")

    free = keras.Input((None, None, 3))
    hidden = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, name="conv")(free))
    keras.Model(free, layers.Dense(CLASSES, activation="softmax")(hidden)).save(
        folder / "free_size.keras"
    )

    for name, middle in (
        ("smooth", layers.Activation("gelu", name="smooth")),
        ("bent", layers.PReLU(name="bend")),
        ("upscaled", layers.Conv2DTranspose(4, 3, strides=2, name="up")),
    ):
        hidden = middle(layers.Conv2D(8, 3, name="stem")(inputs))
        hidden = layers.Dense(CLASSES, name="head")(layers.GlobalAveragePooling2D()(hidden))
        keras.Model(inputs, layers.Softmax()(hidden)).save(folder / f"{name}.keras")

    sabotaged(x, y, "relu").save(folder / "rescaled.keras")
    sabotaged(x, y, "tanh").save(folder / "outlier.keras")

    model.save_weights(folder / "only.weights.h5")
    with h5py.File(folder / "linked.h5", "w") as file:
        file.attrs["model_config"] = "{}"
        file["weights"] = h5py.ExternalLink("/etc/hostname", "/")

    test_x, test_y = colour_pictures(120, seed=2)
    np.savez(folder / "colours.npz", x_train=x, y_train=y, x_test=test_x, y_test=test_y)
    rng = np.random.default_rng(4)
    np.savez(folder / "vectors.npz", x=rng.normal(size=(64, 12)).astype(np.float32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
