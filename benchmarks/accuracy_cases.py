"""The models of benchmarks/accuracy.py, and each laid out in a folder for every tool."""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv import data, load
from edgeconv.progress import Silent
from edgeconv.types import Array
from edgeconv.workshop import Workshop

__all__ = ["CASES", "DATA", "HERE", "Case", "Work", "lay_out", "save_alive"]

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EDGECONV_DATA", HERE.parent.parent / "shared" / "data"))
PICTURES = "imagenet-sample/manifest.csv"
CIFAR = "cifar10/cifar10_sample.npz"
#: Items of each part for models with random weights, whose answers mean nothing.
ALIVE_ITEMS = 150


@dataclass(frozen=True)
class Case:
    """A model with its data.

    Attributes:
        model: File under the data's folder, or a zoo name: random weights, made alive.
        preprocess: As ``--preprocess`` takes it.
        calibration: As ``--calibration`` takes it, under the data's folder.
        parity: As ``--parity`` takes it; None for the half that is held back.
        stock_model: The same model in a file that Keras 3 loads, where ``model`` isn't one.
        published: The int8 file of the same training that others published.
        above_stock: What is promised over the best stock tool: points of agreement, or dB
            of the logits' SQNR where the weights are random.
    """

    model: str
    preprocess: str
    calibration: str
    parity: str | None
    stock_model: str = ""
    published: str = ""
    above_stock: float = 0.0

    @property
    def alive(self) -> bool:
        """Whether the weights are random."""
        return "/" not in self.model


def _photographs(model: str, preprocess: str, above_stock: float = 0.0) -> Case:
    parts = f"{PICTURES}:calibration", f"{PICTURES}:evaluation"
    return Case(model, preprocess, *parts, above_stock=above_stock)


CASES = {
    "mobilenetv2": _photographs("models/mobilenetv2_imagenet.keras", "mobilenetv2", 2.0),
    "squeezenet11": _photographs("models/squeezenet11_imagenet.keras", "torch"),
    "mobilenetv3small": Case(
        "models/mobilenetv3small_cifar10.keras", "none", f"{CIFAR}:train", f"{CIFAR}:test"
    ),
    "resnet8": Case(
        "mlperf-tiny/image_classification/pretrainedResnet.h5",
        "none",
        f"{CIFAR}:train",
        f"{CIFAR}:test",
        published="mlperf-tiny/image_classification/pretrainedResnet_quant.tflite",
    ),
    "ds-cnn": Case(
        "mlperf-tiny/keyword_spotting/kws_ref_model",
        "array",
        "mlperf-tiny/kws01.npz",
        None,
        stock_model="mlperf-tiny/keras3/kws_ref_model.keras",
        published="mlperf-tiny/keyword_spotting/aww_ref_model.tflite",
    ),
    "efficientnetb0": _photographs("efficientnetb0", "efficientnetb0", 3.0),
    "nasnetmobile": _photographs("nasnetmobile", "nasnetmobile", 3.0),
    "convnexttiny": _photographs("convnexttiny", "convnexttiny", 3.0),
}


@dataclass(frozen=True)
class Work:
    """A case laid out in a folder: what every tool gets.

    Attributes:
        case: What was laid out.
        model: What edgeconv loads.
        stock_model: What Keras 3 loads.
        calibration: As ``--calibration`` takes it.
        parity: As ``--parity`` takes it.
        calibration_x: .npy, float32, preprocessed.
        x: float32 [N, ...], preprocessed: what every file is judged on.
        y: int64 [N]; None where the answers mean nothing.
        logits: Of the float model, [N, classes].
        seed: Of edgeconv's own choices.
    """

    case: Case
    model: Path
    stock_model: Path
    calibration: str
    parity: str | None
    calibration_x: Path
    x: Array
    y: Array | None
    logits: Array
    seed: int = 0


def lay_out(case: Case, folder: Path, seed: int = 0) -> Work:
    """Make a case's model and arrays in ``folder``; the same again, where they are there."""
    if case.alive:
        model = stock = folder / f"{case.model}.keras"
        calibration, parity = str(folder / "some.npz:train"), str(folder / "some.npz:test")
        _some_pictures(folder / "some.npz")
    else:
        model, stock = DATA / case.model, DATA / (case.stock_model or case.model)
        calibration = str(DATA / case.calibration)
        parity = str(DATA / case.parity) if case.parity else None
    request = data.DataRequest(calibration, parity, seed=seed)
    with Workshop(folder) as workshop:
        if case.alive and not model.is_file():
            workshop.call("accuracy_cases:save_alive", name=case.model, out=str(model))
        asked = load.LoadRequest(str(model), preprocess=case.preprocess)
        source = load.load(asked, workshop, folder, Silent())
        source = data.with_input_scale(request, source, Silent())
        seen, judged = data.choose(request, source, True, Silent())
        assert seen is not None
        logits = np.array(load.answers(source, judged, workshop, folder)[0])
    calibration_x = folder / "calibration.npy"
    np.save(calibration_x, np.concatenate([batch.x[0] for batch in seen.batches(50)]))
    batches = list(judged.batches(50))
    y = None if case.alive else np.concatenate([b.y for b in batches if b.y is not None])
    x = np.concatenate([batch.x[0] for batch in batches])
    return Work(case, model, stock, calibration, parity, calibration_x, x, y, logits, seed)


def save_alive(state: dict[str, Any], progress: Any, *, name: str, out: str) -> None:
    """The workshop's side: a zoo model with random weights that depend on the picture."""
    from edgeconv.load import zoo
    from edgeconv.load.build import build

    entry = zoo.find(name)
    model = build(
        entry.constructor, size=224, classes=1000, alpha=1.0, top=True, weights=None, seed=0
    )
    model.save(out)


def _some_pictures(path: Path) -> None:
    """The first photographs of each split, as pixels."""
    from PIL import Image

    rows = list(csv.DictReader((DATA / PICTURES).open(newline="")))
    arrays = {}
    for split, key in (("calibration", "train"), ("evaluation", "test")):
        files = [row["file"] for row in rows if row["split"] == split][:ALIVE_ITEMS]
        pictures = []
        for file in files:
            with Image.open(DATA / "imagenet-sample" / file) as image:
                left, top = (image.width - 224) // 2, (image.height - 224) // 2
                pictures.append(np.asarray(image.crop((left, top, left + 224, top + 224))))
        arrays[f"x_{key}"] = np.stack(pictures)
    np.savez(path, **arrays)
