"""``export --qat`` on a real model: what it computes, what it brings, the same bytes again."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv import calibrate, load
from edgeconv.data import open_dataset
from edgeconv.progress import Silent
from edgeconv.runtime.engines import open_model
from edgeconv.targets import TARGETS
from edgeconv.types import Recipe
from edgeconv.workshop import Workshop
from tests.e2e.command import edgeconv

pytestmark = pytest.mark.long

PROBE = Path(__file__).parents[1] / "unit" / "qat"
MODEL = "models/mobilenetv3small_cifar10.keras"
SMALL = "mlperf-tiny/image_classification/pretrainedResnet.h5"


def sums(bundle: Path) -> list[str]:
    return [
        hashlib.sha256((bundle / name).read_bytes()).hexdigest()
        for name in ("model.tflite", "model.onnx", "recipe.toml")
    ]


def export(shared_data: Path, model: str, output: Path, *more: object) -> dict[str, Any]:
    pictures = shared_data / "cifar10" / "cifar10_sample.npz"
    done = edgeconv(
        "export", shared_data / model, "--preprocess", "none",
        "--calibration", f"{pictures}:train", "--parity", f"{pictures}:test",
        "--output", output, "--json", *more,
    )  # fmt: skip
    assert done.code in (0, 1), done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def figures(result: dict[str, Any]) -> list[dict[str, Any]]:
    return [artifact["metrics"] for artifact in result["verdict"]["artifacts"]]


def top1(result: dict[str, Any]) -> list[float]:
    return [metrics["top1"] for metrics in figures(result)]


def test_a_network_computes_what_the_device_computes_in_every_layer(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MobileNetV3Small, 16 pictures: layer by layer, and float from end to end."""
    monkeypatch.setenv("PYTHONPATH", str(PROBE))
    pictures = f"{shared_data / 'cifar10' / 'cifar10_sample.npz'}:train"
    target, recipe = TARGETS["tflite"], Recipe(calibrator="trimmed")
    with Workshop(tmp_path) as workshop:
        request = load.LoadRequest(str(shared_data / MODEL), preprocess="none")
        source = load.load(request, workshop, tmp_path, Silent())
        shapes = tuple(spec.shape for spec in source.inputs)
        some = open_dataset(pictures, source.preprocess, classes=10, input_shapes=shapes).take(128)
        graph = target.lower(source, workshop, tmp_path)
        ranges = target.observe(graph, some, Silent(), histograms=True)
        clipped = calibrate.clip(ranges, recipe, graph)
        artifact = target.quantize(graph, clipped, recipe, tmp_path / "int8.tflite")
        x, found = next(iter(some.batches(16))).x[0], tmp_path / "found.npy"
        np.save(tmp_path / "x.npy", x)
        given = {"x": str(tmp_path / "x.npy")}
        workshop.call("qat_probe:run_float", path=str(graph.path), out=str(found), **given)
        compared = workshop.call("qat_probe:compare", path=str(artifact.path), **given)
    model = open_model(graph.path.read_bytes(), "tflite", graph.inputs, graph.outputs, "litert")
    wanted = np.concatenate([model(x[i : i + 1])[0] for i in range(len(x))])

    assert np.linalg.norm(np.load(found) - wanted) <= 1e-4 * np.linalg.norm(wanted)
    assert len(compared["layers"]) > 100
    for kind, name, within, _ in compared["layers"]:
        assert within >= 0.99, (kind, name, within)
    # From end to end one value on the other side of a half goes on from layer to layer.
    assert compared["through"] >= 0.9


def test_training_is_no_worse_than_what_needs_none(shared_data: Path, tmp_path: Path) -> None:
    without = export(shared_data, MODEL, tmp_path / "best", "--effort", "best")
    trained = export(shared_data, MODEL, tmp_path / "qat", "--effort", "best", "--qat")

    assert trained["recovery"]["rungs"][-1]["name"] == "training"
    # What it trains for: the float model's own probabilities.
    for own, other in zip(figures(trained), figures(without), strict=True):
        assert own["mean_kl"] <= other["mean_kl"]
    # Three standard errors of 2,000 pictures of which two in a hundred answer otherwise.
    pairs = list(zip(top1(trained), top1(without), strict=True))
    assert all(own >= other - 1.0 for own, other in pairs)
    if any(own < other - 0.1 for own, other in pairs):
        pytest.xfail(f"top-1 trained and not, by format: {pairs}: more than 0.1 points below")


def test_a_recipe_that_trains_gives_the_same_bytes_again(shared_data: Path, tmp_path: Path) -> None:
    order = ["--effort", "fast", "--qat", "--qat-epochs", 2]
    made = export(shared_data, SMALL, tmp_path / "made", *order)
    export(shared_data, SMALL, tmp_path / "again", "--recipe", tmp_path / "made" / "recipe.toml")

    assert made["recovery"] is None, "with --effort fast nothing is searched for"
    assert sums(tmp_path / "again") == sums(tmp_path / "made")
