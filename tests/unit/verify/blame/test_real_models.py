"""Blame on the real models: MLPerf Tiny's published files, MobileNetV2's own int8."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv import calibrate, prepare
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Recipe, SourceModel, TensorSpec
from edgeconv.verify import blame
from edgeconv.workshop import Workshop
from tests.faults.layer_faults import ANYWHERE
from tests.faults.onnx_parts import OnnxModel
from tests.faults.tflite_parts import TfliteModel
from tests.unit.verify.blame import tiny

pytestmark = pytest.mark.long


def lowered(path: Path, format: str, folder: Path):
    """The float graph of a Keras file."""
    with Workshop(folder) as workshop:
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
            task="raw",
            preprocess=Preprocess(kind="array"),
            labels=(),
            layers=tuple(opened["layers"]),
            provenance={},
        )
        return TARGETS[format].lower(source, workshop, folder)


def foreign(graph, path: Path, folder: Path):
    """An artifact that is another converter's file."""
    made = TARGETS[graph.format].quantize(graph, {}, Recipe(precision="fp32"), folder / "own")
    return replace(made, path=path)


def test_the_published_anomaly_detector_s_nine_wrong_biases_are_the_first_nine(
    shared_data, tmp_path
):
    folder = shared_data / "mlperf-tiny" / "anomaly_detection"
    graph = lowered(folder / "ad01.h5", "tflite", tmp_path)
    x = np.random.default_rng(0).normal(-10, 10, (8, 640)).astype(np.float32)
    found = blame(foreign(graph, folder / "ad01_fp32.tflite", tmp_path), graph, (x,))
    wrong = {"dense", *(f"dense_{i}" for i in range(1, 9))}
    assert {layer["name"] for layer in found[:9]} == wrong
    assert all("its bias differs" in layer["reason"] for layer in found[:9])
    assert sum(layer["share"] for layer in found[9:]) < 1e-6
    own = blame(foreign(graph, tmp_path / "own", tmp_path), graph, (x,))
    assert all(layer["share"] == 0.0 for layer in own)


def test_the_published_int8_resnet_matches_layer_by_layer(shared_data, tmp_path):
    folder = shared_data / "mlperf-tiny" / "image_classification"
    graph = lowered(folder / "pretrainedResnet.h5", "tflite", tmp_path)
    x = np.load(shared_data / "cifar10" / "cifar10_sample.npz")["x_test"][:8].astype(np.float32)
    quantized = foreign(graph, folder / "pretrainedResnet_quant.tflite", tmp_path)
    found = blame(quantized, graph, (x,))
    assert len(found) == 15
    # An average of 64 values, rounded to the steps of what it averages.
    assert found[0]["name"] == "average_pooling2d"
    assert all(layer["local_sqnr_db"] is None or layer["local_sqnr_db"] > 25 for layer in found)
    published = foreign(graph, folder / "pretrainedResnet.tflite", tmp_path)
    assert all(layer["sqnr_db"] > 100 for layer in blame(published, graph, (x,)) if layer["share"])


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_mobilenetv2_in_int8_has_no_layer_that_stands_out(shared_data, tmp_path, format):
    from PIL import Image

    paths = sorted((shared_data / "imagenet-sample").rglob("*.jpg"))[::60][:8]
    pixels = [np.asarray(Image.open(p).convert("RGB").resize((224, 224))) for p in paths]
    x = np.stack(pixels).astype(np.float32) / 127.5 - 1
    graph = lowered(shared_data / "models" / "mobilenetv2_imagenet.keras", format, tmp_path)
    target, recipe = TARGETS[format], Recipe()
    ranges = calibrate.clip(
        target.observe(graph, tiny.Items(x), Silent(), histograms=True),
        recipe,
        graph,
    )
    ready = prepare.apply(target, graph, ranges, recipe, tmp_path)
    found = blame(target.quantize(ready, ranges, recipe, tmp_path / "q"), graph, (x,))
    assert found[0]["share"] < 25.0
    assert sum("weights" in layer for layer in found) == 53
    assert min(layer["sqnr_db"] for layer in found if layer["sqnr_db"] is not None) > 10.0
    # Nothing is broken, so no reason speaks of a constant that is wrong.
    assert not [layer["reason"] for layer in found if "its bias" in layer["reason"]]
    assert not [layer["reason"] for layer in found if "its weights" in layer["reason"]]


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_nine_of_ten_faults_of_the_resnet_are_blamed_on_their_layer(shared_data, tmp_path, format):
    folder = shared_data / "mlperf-tiny" / "image_classification"
    graph = lowered(folder / "pretrainedResnet.h5", format, tmp_path)
    sample = np.load(shared_data / "cifar10" / "cifar10_sample.npz")
    x = sample["x_train"][:64].astype(np.float32)
    target, recipe = TARGETS[format], Recipe()
    seen = target.observe(graph, tiny.Items(x), Silent(), histograms=True)
    ranges = calibrate.clip(seen, recipe, graph)
    ready = prepare.apply(target, graph, ranges, recipe, tmp_path)
    good = target.quantize(ready, ranges, recipe, tmp_path / "good")
    opener = {"tflite": TfliteModel, "onnx": OnnxModel}[format]
    hits = []
    for layer in opener(good.path.read_bytes()).fused:
        for name, change in ANYWHERE.items():
            model = opener(good.path.read_bytes())
            model[layer] = change(model[layer])
            (tmp_path / "bad").write_bytes(model.to_bytes())
            found = blame(replace(good, path=tmp_path / "bad"), graph, (x[:2],))
            first = {each["name"].partition("#")[0] for each in found[:2]}
            hits.append((bool(first & model.fused[layer]), layer, name))
    assert len(hits) == 100
    assert sum(hit for hit, _, _ in hits) >= 90, [each for each in hits if not each[0]]
