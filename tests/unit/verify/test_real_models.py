"""The judge on MLPerf Tiny's own pair of files, against the accuracies measured for them."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.progress import Silent
from edgeconv.runtime.engines import open_model
from edgeconv.types import Artifact, Batch, Recipe
from edgeconv.verify import Gate, evidence, exit_code, judge


class Cifar:
    name, fingerprint, labelled = "cifar10 x_test", "0" * 64, True

    def __init__(self, folder, items):
        with np.load(folder / "cifar10" / "cifar10_sample.npz", allow_pickle=False) as arrays:
            self.x = arrays["x_test"][:items].astype(np.float32)
            self.y = arrays["y_test"][:items].astype(np.int64)

    def __len__(self):
        return len(self.x)

    def batches(self, size):
        for i in range(0, len(self.x), size):
            part = slice(i, i + size)
            ids = tuple(f"array {k}" for k in range(i, i + len(self.x[part])))
            yield Batch((self.x[part],), self.y[part], ids)


def run(shared_data, items):
    folder = shared_data / "mlperf-tiny" / "image_classification"
    original = open_model((folder / "pretrainedResnet.tflite").read_bytes(), "tflite")
    quantized = open_model((folder / "pretrainedResnet_quant.tflite").read_bytes(), "tflite")
    data = Cifar(shared_data, items)
    reference = original(data.x)
    artifact = Artifact(
        *("tflite", "int8", Path("pretrainedResnet_quant.tflite"), "", 98496),
        *((), (), Recipe(), {"CONV_2D": 9}, {}),
    )
    settings = (reference, data, "classification", "linear", Gate(), Silent())
    return judge([(artifact, quantized), (artifact, original)], *settings)


def test_the_published_int8_resnet_is_judged_as_it_was_measured(shared_data):
    pytest.importorskip("ai_edge_litert", reason="needs the TFLite engine ai-edge-litert")
    verdict = run(shared_data, 2000)
    judged, itself = verdict.artifacts
    assert judged.metrics["top1_reference"] == 76.4
    assert judged.metrics["top1"] == 76.2
    assert judged.metrics["agreement"] == pytest.approx(94.9, abs=0.05)
    assert judged.metrics["top1_drop"].estimate == pytest.approx(0.2)
    # 2000 pictures prove what 250 of them can't.
    assert judged.status == "pass" and exit_code(verdict, "fail") == 0
    assert itself.equivalent and itself.status == "pass"
    # Both end in a softmax: the int8 one's has 256 steps, and answers 0 for what is rare.
    assert judged.metrics["ece_reference"] == pytest.approx(judged.metrics["ece"], abs=1.5)
    assert 0 < judged.metrics["mean_kl_interval"].upper95 < 0.1
    assert judged.metrics["worst_class_samples"] == 200
    assert (
        judged.metrics["worst_class_drop"].lower95 < 1 < judged.metrics["worst_class_drop"].upper95
    )


def test_the_same_model_on_250_of_them_is_undecided(shared_data):
    pytest.importorskip("ai_edge_litert", reason="needs the TFLite engine ai-edge-litert")
    verdict = run(shared_data, 250)
    judged = verdict.artifacts[0]
    assert judged.status == "inconclusive" and judged.needed > 250
    assert exit_code(verdict, "fail") == 1
    # What 250 answers can't tell, 250 rows of scores can.
    assert len(evidence(judged)) == 2 and judged.metrics["mean_kl_interval"].lower95 > 0
