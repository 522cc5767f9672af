"""The good bundles: two real models, exported as a user would, and the pictures they see.

The pictures have almost the models' own size, so that hardly a crop or filter could
be wrong. They are enlarged first, to 80 x 60 for 32 x 32 and to 384 for 224: the
preprocessing has to bring them back, as it has to bring a camera's.
"""

import csv
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import tomli_w

from edgeconv import pipeline
from edgeconv.data import DataRequest
from edgeconv.load import LoadRequest
from edgeconv.load.zoo import preset
from edgeconv.order import ExportRequest
from edgeconv.preprocess import Preprocess
from edgeconv.types import Array, Precision, Recipe

_ENLARGED = (80, 60)
#: The photographs' shorter side is 256.
_FACTOR = 1.5


@dataclass(frozen=True)
class Subject:
    """A model of the catalogue.

    Attributes:
        name: For people.
        file: In the folder of shared data.
        preprocess: How its pictures become inputs.
        data: Makes the calibration and the parity set, given the shared data and a folder.
        layers: Those that are broken: early, in the middle, late.
        slow: Only the chief faults are built, and no skew is looked for behind a layer's.
    """

    name: str
    file: str
    preprocess: Preprocess
    data: Callable[[Path, Path], tuple[str, str]]
    layers: tuple[str, ...]
    slow: bool = False


@dataclass(frozen=True)
class Prepared:
    """A subject on disk: what verify and export are asked with."""

    subject: Subject
    model: LoadRequest
    data: DataRequest


def _photographs(shared_data: Path, folder: Path) -> tuple[str, str]:
    manifest = shared_data / "imagenet-sample" / "manifest.csv"
    return f"{manifest}:calibration", f"{manifest}:evaluation"


def _enlarged_photographs(shared_data: Path, folder: Path) -> tuple[str, str]:
    source, copy = shared_data / "imagenet-sample", folder / "imagenet-sample"
    if not copy.exists():
        (copy / "images").mkdir(parents=True)
        with (source / "manifest.csv").open(newline="") as file:
            names = [row["file"] for row in csv.DictReader(file)]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda name: _enlarge(source / name, copy / name), names))
        shutil.copyfile(source / "manifest.csv", copy / "manifest.csv")
    return f"{copy / 'manifest.csv'}:calibration", f"{copy / 'manifest.csv'}:evaluation"


def _enlarge(source: Path, target: Path) -> None:
    from PIL import Image

    with Image.open(source) as picture:
        size = (round(picture.width * _FACTOR), round(picture.height * _FACTOR))
        picture.resize(size, Image.Resampling.BICUBIC).save(target, quality=92)


def _enlarged_cifar(shared_data: Path, folder: Path) -> tuple[str, str]:
    path = folder / "cifar10.npz"
    if not path.exists():
        with np.load(shared_data / "cifar10" / "cifar10_sample.npz") as held:
            arrays = {name: held[name] for name in ("x_test", "y_test", "x_train", "y_train")}
        for name in ("x_test", "x_train"):
            arrays[name] = np.stack([_enlarged(pixels) for pixels in arrays[name]])
        np.savez(path, **arrays)
    return f"{path}:train", f"{path}:test"


def _enlarged(pixels: Array) -> Array:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize(_ENLARGED, Image.Resampling.BICUBIC))


MOBILENET = Subject(
    name="MobileNetV2",
    file="models/mobilenetv2_imagenet.keras",
    preprocess=Preprocess(
        height=224, width=224, resize="crop", filter="bicubic",
        scale=(1 / 127.5,), offset=(-1.0,),
    ),
    data=_enlarged_photographs,
    layers=("block_1_depthwise", "block_6_expand", "block_15_project"),
    slow=True,
)  # fmt: skip
RESNET = Subject(
    name="ResNet8",
    file="mlperf-tiny/image_classification/pretrainedResnet.h5",
    preprocess=Preprocess(height=32, width=32, resize="stretch", filter="bilinear"),
    data=_enlarged_cifar,
    layers=("conv2d_1", "conv2d_4", "conv2d_5", "conv2d_7", "dense"),
)
#: Judged as it is meant to be used: the photographs as they are, its own preprocessing.
#: (On the enlarged ones its int8 form loses 1.2 to 1.6 points, more than the margin.)
MOBILENET_AS_IS = replace(
    MOBILENET,
    name="MobileNetV2 as it is",
    preprocess=preset("mobilenetv2", 224, 224),
    data=_photographs,
)
GOOD = {subject.name: subject for subject in (MOBILENET_AS_IS, RESNET)}
SUBJECTS = {subject.name: subject for subject in (MOBILENET, RESNET)}
_CIFAR_CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def prepare(subject: Subject, shared_data: Path, folder: Path) -> Prepared:
    """Write what a user would have: a preprocessing file, labels, pictures."""
    preprocess = folder / f"{subject.name}.toml"
    preprocess.write_text(tomli_w.dumps(subject.preprocess.to_json()))
    labels = None
    if subject is RESNET:
        labels = folder / "labels.txt"
        labels.write_text("".join(f"{name}\n" for name in _CIFAR_CLASSES))
    calibration, parity = subject.data(shared_data, folder)
    model = LoadRequest(str(shared_data / subject.file), preprocess=str(preprocess), labels=labels)
    return Prepared(subject, model, DataRequest(calibration=calibration, parity=parity))


def export(prepared: Prepared, precision: Precision, folder: Path) -> Path:
    """The good bundle of one precision, made once a folder."""
    output = folder / f"{prepared.subject.name}-{precision}"
    if not output.exists():
        recipe = Recipe() if precision == "int8" else Recipe(precision=precision, passes=())
        pipeline.export(ExportRequest(prepared.model, prepared.data, recipe, output=output))
    return output
