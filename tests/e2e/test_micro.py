"""What a microcontroller gets, in TensorFlow Lite Micro itself."""

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv.package.micro import plan_arena

pytestmark = pytest.mark.long

SCRIPT = Path(__file__).with_name("micro.py")
TFLM = ("numpy", "pyyaml", "flatbuffers", "tflite-micro==0.dev20261023182759")


@pytest.fixture
def tflm(environment: Any) -> Path:
    return Path(environment(*TFLM))


def run(python: Path, model: Path, x: np.ndarray, folder: Path) -> tuple[np.ndarray, int, int]:
    """The answer to ``x``, and bytes of activations and in all."""
    np.save(folder / "x.npy", x)
    command = [python, "-I", SCRIPT, model, folder / "x.npy", folder / "y.npy"]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = done.stdout + done.stderr
    head, total = (
        int(re.search(rf"Arena allocation {what} (\d+) bytes", text)[1])
        for what in ("head", "total")
    )
    return np.load(folder / "y.npy"), head, total


def test_the_memory_plan_is_what_tensorflow_lite_micro_uses(
    tflm: Path, shared_data: Path, tmp_path: Path
) -> None:
    """Activations to the byte; the rest within the estimate, which is not much too large."""
    from ai_edge_litert.interpreter import Interpreter

    tiny = shared_data / "mlperf-tiny"
    patterns = ("*/pretrainedResnet*", "*/*_int8", "*/aww_ref_model", "*/str_ww_ref_model")
    models = [path for pattern in patterns for path in tiny.glob(f"{pattern}.tflite")]
    assert len(models) == 6
    for model in models:
        (spec,) = Interpreter(str(model)).get_input_details()
        arena = plan_arena(model.read_bytes())
        _, head, total = run(tflm, model, np.zeros(spec["shape"], spec["dtype"]), tmp_path)
        print(f"{model.name}: planned {arena.head_bytes} of {arena.bytes}, used {head} of {total}")
        assert arena.head_bytes == head, model.name
        assert arena.bytes >= total, f"{model.name}: the arena is too small"
        assert arena.bytes <= 1.25 * total + 12_288, f"{model.name}: the arena is far too large"


def test_an_int8_bundle_answers_there_as_here(tflm: Path, bundle: Path, tmp_path: Path) -> None:
    """Its reference kernels round otherwise than XNNPACK's, by a few steps at most."""
    from edgeconv.runtime import Session

    x = np.load(bundle / "golden.npz")["input_0"]
    model = Session.open(bundle, engine="litert").model
    stored = model.quantized(x[:1])
    here = model.raw(*stored)[0]
    there, _, _ = run(tflm, bundle / "model.tflite", stored[0], tmp_path)
    assert there.argmax() == here.argmax()
    assert np.abs(there.astype(int) - here.astype(int)).max() <= 3
