"""The embedded example: handwritten digits, a small CNN, nothing to download.

1,797 handwritten digits of 8x8 pixels, which come inside scikit-learn, and a
depthwise-separable CNN of the kind that edge devices run, trained on them in
seconds. What comes out is what a user brings: a .keras file, its labels, its
preprocessing and a data set with splits.

Source: E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten
Digits", UCI Machine Learning Repository, 1998 (CC BY 4.0), as shipped by
scikit-learn.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.errors import HostFailure, MissingDependency
from edgeconv.progress import Progress
from edgeconv.types import Array
from edgeconv.workshop import Workshop

__all__ = ["Demo", "make_demo", "train_in_child", "write_data"]

#: Pictures nobody trains on: enough that a margin of one point can be decided.
TEST_COUNT = 600
#: Of the training pictures, those that also calibrate.
CALIBRATION_COUNT = 200
EPOCHS = 10
BATCH = 32
#: One picture of each of these is saved for `edgeconv run`.
SHOWN_DIGITS = (3, 5, 8)

_PREPROCESS = """\
# From any picture to what digits.keras takes: 8x8 grey values between 0 and 1.
kind = "image"
height = 8
width = 8
color = "gray"
resize = "stretch"
filter = "bilinear"
scale = [0.00392156862745098] # 1/255
offset = [0.0]
"""


@dataclass(frozen=True)
class Demo:
    """What the demo made, ready for `edgeconv export`.

    Attributes:
        model: The trained .keras file.
        data: .npz with the splits train, calibration and test.
        labels: One class name a line.
        preprocess: TOML for ``--preprocess``.
        pictures: PNG files that the model was not trained on.
        accuracy: Of the Keras model on the test split, in percent.
    """

    model: Path
    data: Path
    labels: Path
    preprocess: Path
    pictures: tuple[Path, ...]
    accuracy: float


def make_demo(folder: Path, seed: int, progress: Progress) -> Demo:
    """Write the data, train the model and save both to ``folder``.

    Args:
        folder: Made if absent; files of the demo's names in it are replaced.
        seed: Decides the splits and the training; the same seed gives the
            same bytes on the same machine and versions.
        progress: Told about both steps.

    Raises:
        MissingDependency: scikit-learn or TensorFlow is not installed.
        HostFailure: ``folder`` can't be written.
    """
    try:
        pictures_folder = folder / "pictures"
        pictures_folder.mkdir(parents=True, exist_ok=True)
        progress.stage("read handwritten digits")
        data, pictures = write_data(folder, seed)
        with tempfile.TemporaryDirectory() as scratch, Workshop(Path(scratch)) as workshop:
            model = folder / "digits.keras"
            accuracy = workshop.call(
                "edgeconv.demo:train_in_child",
                progress,
                data=str(data),
                output=str(model),
                seed=seed,
            )
    except OSError as error:
        raise HostFailure(
            f"The demo can't write to {folder}: {error.strerror or error}.",
            "Choose another folder with --output.",
        ) from error
    labels = _write(folder / "labels.txt", "".join(f"{digit}\n" for digit in range(10)))
    preprocess = _write(folder / "preprocess.toml", _PREPROCESS)
    return Demo(model, data, labels, preprocess, pictures, accuracy)


def write_data(folder: Path, seed: int) -> tuple[Path, tuple[Path, ...]]:
    """Split the digits by ``seed`` and save them as ``digits.npz`` and a few PNGs.

    Returns:
        The .npz (``x_SPLIT``: uint8 [N, 8, 8, 1]; ``y_SPLIT``: int64 [N]) and the PNGs.

    Raises:
        MissingDependency: scikit-learn is not installed.
    """
    from PIL import Image

    x, y = _digits()
    order = np.random.default_rng(seed).permutation(len(x))
    rows = {
        "train": order[TEST_COUNT:],
        "calibration": order[TEST_COUNT : TEST_COUNT + CALIBRATION_COUNT],
        "test": order[:TEST_COUNT],
    }
    path = folder / "digits.npz"
    with _Aside(path) as aside:
        arrays = {f"x_{split}": x[at] for split, at in rows.items()}
        arrays |= {f"y_{split}": y[at] for split, at in rows.items()}
        np.savez_compressed(aside, allow_pickle=False, **arrays)
    pictures = []
    for digit in SHOWN_DIGITS:
        shown = next(i for i in rows["test"] if y[i] == digit)
        pictures.append(folder / "pictures" / f"digit-{digit}.png")
        with _Aside(pictures[-1]) as aside:
            Image.fromarray(x[shown, :, :, 0]).save(aside)
    return path, tuple(pictures)


def _digits() -> tuple[Array, Array]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise MissingDependency(
            "The demo's handwritten digits come with scikit-learn, which is not installed.",
            "pip install scikit-learn",
        ) from error
    x, y = load_digits(return_X_y=True)
    # The source counts ink in 17 steps, 0..16.
    pixels = np.rint(x * (255 / 16)).astype(np.uint8)
    return pixels.reshape(-1, 8, 8, 1), y.astype(np.int64)


def train_in_child(
    state: dict[str, Any], progress: Progress, *, data: str, output: str, seed: int
) -> float:
    """Train the CNN, save it, and return its test accuracy in percent (Workshop child only)."""
    progress.stage("train a depthwise-separable CNN", EPOCHS)
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(seed)
    tf.config.experimental.enable_op_determinism()
    with np.load(data, allow_pickle=False) as arrays:
        x, y = _shifted(arrays["x_train"] / np.float32(255), arrays["y_train"])
        x_test, y_test = arrays["x_test"] / np.float32(255), arrays["y_test"]
    model = _network(keras)
    model.compile(
        keras.optimizers.Adam(
            keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * len(x) // BATCH)
        ),
        loss="sparse_categorical_crossentropy",
    )
    each_epoch = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: progress.advance())
    model.fit(x, y, BATCH, EPOCHS, verbose=0, callbacks=[each_epoch])
    answers = np.asarray(model.predict(x_test, verbose=0)).argmax(-1)
    trained = _network(keras)  # without the optimizer, whose state nobody needs to ship
    trained.set_weights(model.get_weights())
    with _Aside(Path(output)) as aside:
        trained.save(aside)
        _make_reproducible(aside)
    return float(100 * (answers == y_test).mean())


def _shifted(x: Array, y: Array) -> tuple[Array, Array]:
    """Each picture five times: as it is, and moved by one pixel each way."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    offsets = [(1, 1), (0, 1), (2, 1), (1, 0), (1, 2)]
    moved = [padded[:, top : top + 8, left : left + 8] for top, left in offsets]
    return np.concatenate(moved), np.tile(y, len(offsets))


def _network(keras: Any) -> Any:
    """Conv 3x3, then two depthwise-separable blocks, as in MobileNet."""
    layers = keras.layers
    x = inputs = keras.Input((8, 8, 1), name="picture")
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
    for index, (channels, stride) in enumerate([(32, 1), (64, 2)], 1):
        x = layers.DepthwiseConv2D(
            3, stride, padding="same", use_bias=False, name=f"depthwise_{index}"
        )(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
        x = layers.Conv2D(channels, 1, use_bias=False, name=f"pointwise_{index}")(x)
        x = layers.ReLU(6.0)(layers.BatchNormalization(momentum=0.9)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, "softmax", name="digit")(x), name="digits")


def _make_reproducible(path: Path) -> None:
    """Take dates and memory addresses out of a .keras archive: equal models, equal bytes."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    metadata = json.loads(members["metadata.json"]) | {"date_saved": "1980-01-01@00:00:00"}
    members["metadata.json"] = json.dumps(metadata).encode()
    numbers: dict[bytes, int] = {}
    members["config.json"] = re.sub(
        rb'(?<="shared_object_id": )\d+',
        lambda match: b"%d" % numbers.setdefault(match[0], len(numbers) + 1),
        members["config.json"],
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(name), content)  # dated 1980, zip's first year


def _write(path: Path, text: str) -> Path:
    with _Aside(path) as aside:
        aside.write_text(text)
    return path


class _Aside:
    """A path beside ``path`` to write to; it takes its place only when all went well."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._aside = path.with_name(f".{os.getpid()}-{path.name}")

    def __enter__(self) -> Path:
        return self._aside

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._aside.replace(self._path)
        else:
            self._aside.unlink(missing_ok=True)
