"""The ONNX target on real models and pictures, held to the figures that are promised."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv import calibrate, prepare
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Silent
from edgeconv.targets.onnx import ONNX
from edgeconv.types import Batch, Recipe, SourceModel, TensorSpec
from edgeconv.workshop import Workshop

pytestmark = pytest.mark.long

_MEAN, _DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
_CASES = {
    "mobilenetv2_imagenet": (52, lambda x: x / 127.5 - 1),
    "squeezenet11_imagenet": (26, lambda x: (x / 255 - _MEAN) / _DEVIATION),
}


@dataclass
class Pictures:
    """One split of the sample, decoded as its README says."""

    folder: Path
    split: str
    scale: object
    fingerprint: str = ""
    labelled: bool = True
    name: str = "sample"

    def __post_init__(self):
        with (self.folder / "manifest.csv").open() as file:
            self.rows = [row for row in csv.DictReader(file) if row["split"] == self.split]

    def __len__(self):
        return len(self.rows)

    def batches(self, size):
        for start in range(0, len(self), size):
            rows = self.rows[start : start + size]
            x = np.stack([self._decode(row["file"]) for row in rows])
            yield Batch((x,), np.array([int(row["class_index"]) for row in rows]), ())

    def _decode(self, name):
        with Image.open(self.folder / name) as picture:
            left, top = (picture.width - 224) // 2, (picture.height - 224) // 2
            pixels = picture.convert("RGB").crop((left, top, left + 224, top + 224))
        return self.scale(np.asarray(pixels, np.float64)).astype(np.float32)


def answers_of(workshop, pictures, folder):
    found = []
    for batch in pictures.batches(25):
        np.save(folder / "x.npy", batch.x[0])
        workshop.call(
            "edgeconv.load.child:predict",
            inputs=[str(folder / "x.npy")],
            outputs=[str(folder / "y.npy")],
        )
        found.append(np.load(folder / "y.npy"))
    return np.concatenate(found)


def lowered(path, workshop, folder):
    opened = workshop.call(
        "edgeconv.load.child:open_file",
        path=str(path),
        out=str(folder / "frozen.pb"),
        input_size=None,
        keep_head=False,
        trust=False,
        custom=None,
    )
    inputs, outputs = (
        tuple(TensorSpec(s["name"], tuple(s["shape"]), s["dtype"]) for s in opened[key])
        for key in ("inputs", "outputs")
    )
    source = SourceModel(
        name=path.stem,
        graph=folder / "frozen.pb",
        inputs=inputs,
        outputs=outputs,
        activation=opened["activation"],
        task="classification",
        preprocess=Preprocess(kind="array"),
        labels=(),
        layers=tuple(opened["layers"]),
        provenance={},
    )
    return ONNX.lower(source, workshop, folder)


@pytest.mark.parametrize("name", list(_CASES))
def test_a_real_model_keeps_its_answers(shared_data, tmp_path, name):
    convolutions, scale = _CASES[name]
    sample = shared_data / "imagenet-sample"
    parity = Pictures(sample, "evaluation", scale)
    with Workshop(tmp_path) as workshop:
        graph = lowered(shared_data / "models" / f"{name}.keras", workshop, tmp_path)
        reference = answers_of(workshop, parity, tmp_path)

    floats = ONNX.open(ONNX.quantize(graph, {}, Recipe(precision="fp32"), tmp_path / "f.onnx"))
    found = np.concatenate([floats(*batch.x)[0] for batch in parity.batches(25)])
    assert np.linalg.norm(found - reference) / np.linalg.norm(reference) < 1e-4
    assert (found.argmax(1) == reference.argmax(1)).all()

    recipe = Recipe()
    seen = ONNX.observe(
        graph,
        Pictures(sample, "calibration", scale),
        Silent(),
        histograms=calibrate.needs_histograms(recipe),
    )
    ranges = calibrate.clip(seen, recipe, graph)
    ready = prepare.apply(ONNX, graph, ranges, recipe, tmp_path)
    artifact = ONNX.quantize(ready, ranges, recipe, tmp_path / "q.onnx")
    assert artifact.operators["QLinearConv"] == convolutions
    assert not {"Conv", "FusedConv", "Gemm", "MatMul"} & set(artifact.operators)
    assert artifact.size_bytes <= 4.1e6

    model = ONNX.open(artifact)
    batches = list(parity.batches(25))
    quantized = np.concatenate([model(*batch.x)[0] for batch in batches]).argmax(1)
    labels, before = np.concatenate([b.y for b in batches]), reference.argmax(1)
    drop_pp = 100 * ((before == labels).mean() - (quantized == labels).mean())
    assert drop_pp <= 1.0
    assert 100 * (quantized == before).mean() >= 92.0
