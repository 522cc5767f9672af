"""What the test of training asks in the TensorFlow process, once for all its tests."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.finetune import arrays, augment
from edgeconv.finetune.child import accelerator, answer, open_network, save
from edgeconv.finetune.settings import FINE, HEAD, Settings
from edgeconv.load import zoo
from edgeconv.load.build import build
from edgeconv.load.own import alexnet
from edgeconv.preprocess import normalize

State = dict[str, Any]


def base(seed: int = 1) -> Any:
    """A small network with BatchNorm and a dropout of its own: pictures -> float32 [N, 8]."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    x = inputs = keras.Input((16, 16, 3), name="picture")
    x = layers.Conv2D(6, 3, strides=2, name="conv1")(x)
    x = layers.BatchNormalization(name="norm1")(x)
    x = layers.Dropout(0.3, name="drop")(layers.ReLU(name="relu1")(x))
    x = layers.Conv2D(8, 3, strides=2, name="conv2")(x)
    x = layers.BatchNormalization(name="norm2")(x)
    x = layers.GlobalAveragePooling2D(name="average")(layers.ReLU(name="relu2")(x))
    return keras.Model(inputs, x, name="small")


def opened(folder: str, settings: Settings, *, mixed: bool = False) -> Any:
    """A trainer of the small network on pixels of two classes."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 200, (24, 16, 16, 3), np.uint8)
    pixels[::2, :, :, 0] += 55
    np.save(Path(folder) / "pixels.npy", pixels)
    state: State = {"base": base()}
    open_network(
        state,
        None,  # type: ignore[arg-type]
        pixels=str(Path(folder) / "pixels.npy"),
        classes=[0, 1] * 12,
        train=list(range(18)),
        validation=list(range(18, 24)),
        weights=[1.0, 1.0],
        preprocess={"height": 16, "width": 16, "scale": [1 / 255]},
        settings=settings.to_json(),
        mixed=mixed,
    )
    return state


def preprocessing(state: State, progress: Any) -> dict[str, float]:
    """For each of the zoo's presets, how far its tensors are from what the device computes."""
    accelerator(state, progress)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    return {
        name: float(np.abs(augment.inputs(preset, pixels) - normalize(preset, pixels)).max())
        for name, preset in zoo.PRESETS.items()
    }


def views(state: State, progress: Any) -> dict[str, Any]:
    """Changed pictures: with one seed, with another, and how far from the original."""
    accelerator(state, progress)
    pixels = np.random.default_rng(0).integers(0, 256, (4, 9, 7, 3), np.uint8)
    one, same, other = (
        np.asarray(augment.changed(pixels, np.array([seed, 2], np.int32))) for seed in (1, 1, 3)
    )
    rising = np.broadcast_to(np.linspace(0, 255, 32)[:, np.newaxis], (16, 8, 32, 3)).copy()
    seed = np.array([1, 2], np.int32)
    ways = {m: np.asarray(augment.changed(rising, seed, mirror=m)) for m in (True, False)}
    return {
        "rising": {
            str(m): [bool(x[0, -1, 0] > x[0, 0, 0]) for x in found] for m, found in ways.items()
        },
        "same": bool((one == same).all()),
        "other": bool((one == other).any(axis=(1, 2, 3)).all() and (one == other).all()),
        "shape": list(one.shape),
        "low": float(one.min()),
        "high": float(one.max()),
        "changed": float(np.abs(one - pixels).mean()),
    }


def freezing(state: State, progress: Any, *, folder: str) -> dict[str, list[str]]:
    """Which weights differ after an epoch, for each way to train."""
    accelerator(state, progress)
    found = {}
    for name, phase, settings in (
        ("head", HEAD, Settings(batch=6)),
        ("last", FINE, Settings(batch=6, unfreeze=4)),
        ("all", FINE, Settings(batch=6)),
        ("scratch", FINE, Settings(batch=6, scratch=True)),
    ):
        trainer = opened(folder, settings)["trainer"]
        trainer.begin(phase, progress)
        weights = [*trainer.network.base.weights, *trainer.network.head.weights]
        before = [np.array(weight) for weight in weights]
        trainer.epoch(1, 1e-2, progress)
        pairs = zip(weights, before, strict=True)
        found[name] = [weight.path for weight, old in pairs if (np.array(weight) != old).any()]
    return found


def small(state: State, progress: Any, *, folder: str, settings: dict[str, Any]) -> None:
    """Make ready to train the small network, for ``finetune.job.train``."""
    accelerator(state, progress)
    state.update(opened(folder, Settings.from_json(settings)))


def weights(state: State, progress: Any) -> list[float]:
    """Sums of squares of what is trained, as it is now."""
    network = state["trainer"].network
    return [
        float(np.square(weight).sum()) for weight in [*network.base.weights, *network.head.weights]
    ]


def unfreezing(state: State, progress: Any, *, folder: str, layers: int) -> None:
    """Open a network that is to train so many of its layers; it has nine."""
    opened(folder, Settings(unfreeze=layers))


def flattened(state: State, progress: Any, *, path: str) -> float:
    """How far features at 128 pixels are from the weights of a whole model for 224."""
    import h5py
    from keras.src.legacy.saving import legacy_h5_format

    whole = alexnet(224, 1000)
    with h5py.File(path, "w") as file:  # as Keras publishes weights
        legacy_h5_format.save_weights_to_hdf5_group(file, whole)
    options = {"classes": 1000, "alpha": 1.0, "seed": 3}
    features = build("AlexNet", size=128, top=False, weights=path, **options)
    assert features.input_shape == (None, 128, 128, 3)
    pairs = zip(features.weights, whole.weights, strict=False)
    return max(float(np.abs(np.array(a) - np.array(b)).max()) for a, b in pairs)


def _epochs(
    trainer: Any, numbers: range, progress: Any, rate: float = 1e-3
) -> list[dict[str, float]]:
    rows = []
    for number in numbers:
        trained = trainer.epoch(number, rate, progress)
        rows.append({**asdict(trained), "judged": trainer.validate(progress).loss})
    return rows


def resuming(state: State, progress: Any, *, folder: str) -> list[list[dict[str, float]]]:
    """From scratch: the third epoch in one go, and after two that were read from a file."""
    accelerator(state, progress)
    settings, path = Settings(batch=6, scratch=True), Path(folder) / "second.npz"
    through = opened(folder, settings)["trainer"]
    through.begin(FINE, progress)
    _epochs(through, range(1, 3), progress)
    arrays.save(path, [*through.network.changing, *through.optimizer.variables])
    expected = _epochs(through, range(3, 4), progress)
    again = opened(folder, settings)["trainer"]
    again.begin(FINE, progress)
    arrays.load(path, [*again.network.changing, *again.optimizer.variables])
    return [expected, _epochs(again, range(3, 4), progress)]


def mixed(state: State, progress: Any, *, folder: str) -> dict[str, Any]:
    """A training in mixed precision, and what is saved of it."""
    import keras

    accelerator(state, progress)
    own = opened(folder, Settings(batch=6, scratch=True), mixed=True)
    trainer = own["trainer"]
    trainer.begin(FINE, progress)
    losses = [row["loss"] for row in _epochs(trainer, range(1, 9), progress, 2e-2)]
    output = Path(folder) / "mixed.keras"
    save(own, progress, output=str(output))
    model = keras.models.load_model(output)
    x = np.asarray(trainer._pixels.read(np.arange(24)), np.float32) / 255
    return {
        "computed": trainer.network.base.get_layer("conv1").compute_dtype,
        "losses": losses,
        "saved": sorted({layer.compute_dtype for layer in model.layers}),
        "momenta": [model.get_layer(name).momentum for name in ("norm1", "norm2")],
        "trainable": len(model.trainable_weights),
        "layers": [layer.name for layer in model.layers],
        "answers": answer(own, progress, places=list(range(24))),
        "predicted": [int(i) for i in np.asarray(model.predict(x, verbose=0)).argmax(1)],
        "sums": [float(s) for s in np.asarray(model.predict(x, verbose=0)).sum(1)],
    }
