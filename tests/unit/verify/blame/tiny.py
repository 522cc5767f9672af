"""Small float graphs of both formats, written operator by operator: no TensorFlow.

picture ─ stem ─ depthwise ─ project ─ add ─ average ─┬─ head
           └──────────────────────────┘               └─ side
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgeconv import calibrate
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Artifact, Batch, FloatGraph, Recipe

LAYERS = ("picture", "stem", "depthwise", "project", "add", "average", "head", "side")
KERNELS = ("stem", "depthwise", "project", "head", "side")
SIZE, CHANNELS, CLASSES = 12, 8, 10


@dataclass
class Items:
    x: np.ndarray
    name: str = "items"
    fingerprint: str = ""
    labelled: bool = False

    def __len__(self):
        return len(self.x)

    def batches(self, size):
        for start in range(0, len(self), size):
            part = self.x[start : start + size]
            yield Batch((part,), None, tuple(f"array {start + i}" for i in range(len(part))))


def items(count=24, seed=1) -> np.ndarray:
    """Smooth pictures, as convolutions are used to."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(count, 4, 4, 3))
    return np.kron(coarse, np.ones((1, 3, 3, 1))).astype(np.float32)


def constants(seed=0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Layer -> (kernel as in Keras, bias)."""
    rng = np.random.default_rng(seed)
    shapes = {
        "stem": (3, 3, 3, CHANNELS),
        "depthwise": (3, 3, CHANNELS, 1),
        "project": (1, 1, CHANNELS, CHANNELS),
        "head": (CHANNELS, CLASSES),
        "side": (CHANNELS, 3),
    }
    made = {}
    for name, shape in shapes.items():
        fan_in = 9 if name == "depthwise" else int(np.prod(shape[:-1]))
        outputs = CHANNELS if name == "depthwise" else shape[-1]
        kernel = rng.normal(size=shape) * np.sqrt(2.0 / fan_in)
        made[name] = kernel.astype(np.float32), rng.normal(size=outputs).astype(np.float32) * 0.4
    return made


def graph(format: str, folder: Path, seed: int = 0) -> FloatGraph:
    """The float graph, written to ``folder``."""
    from tests.unit.verify.blame.tiny_onnx import write_onnx
    from tests.unit.verify.blame.tiny_tflite import write_tflite

    folder.mkdir(parents=True, exist_ok=True)
    writer = {"tflite": write_tflite, "onnx": write_onnx}[format]
    return writer(folder / f"float{TARGETS[format].suffix}", constants(seed))


def artifact(made: FloatGraph, folder: Path, precision: str = "int8") -> Artifact:
    """``made`` in another precision, calibrated on other items than tests look at."""
    target, recipe = TARGETS[made.format], Recipe(precision=precision, passes=())
    ranges = {}
    if precision == "int8":
        seen = target.observe(made, Items(items(seed=2)), Silent(), histograms=True)
        ranges = calibrate.clip(seen, recipe, made)
    return target.quantize(made, ranges, recipe, folder / f"{precision}{target.suffix}")
