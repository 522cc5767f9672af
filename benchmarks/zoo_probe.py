"""Two bundles of one model, int8 and fp32, run side by side: a process of benchmarks/zoo.py.

Prints JSON by format; SECONDS go into the latency of each.

    python benchmarks/zoo_probe.py INT8_BUNDLE FP32_BUNDLE PICTURES SECONDS
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.data.folder import read_folder
from edgeconv.preprocess import Preprocess
from edgeconv.runtime.engines import Model, open_model

# Of each pair: float, int8. The medians of 60 pairs differ by some percent from run to run on
# a machine with neighbours; models of seconds get fewer, and their medians need fewer.
MOST_PAIRS, LEAST_PAIRS = 60, 3
BATCH = 4


def main(int8: Path, fp32: Path, pictures: Path, budget_s: float) -> dict[str, Any]:
    bundles = {"int8": int8, "fp32": fp32}
    manifests = {name: json.loads((b / "manifest.json").read_text()) for name, b in bundles.items()}
    preprocess = Preprocess.from_json(manifests["int8"]["preprocess"])
    items = read_folder(pictures, preprocess)
    found: dict[str, Any] = {}
    for artifact in manifests["int8"]["artifacts"]:
        file = artifact["file"]
        models = {
            name: open_model((bundle / file).read_bytes(), artifact["format"])
            for name, bundle in bundles.items()
        }
        answers = {name: answer(model, items) for name, model in models.items()}
        x = next(iter(items.batches(1))).x
        found[artifact["format"]] = {
            "largest": float(np.abs(answers["fp32"]).max()),
            "cosine": cosine(answers["fp32"], answers["int8"]),
            **latencies(models["fp32"], models["int8"], x, budget_s),
            "graphs": {name: graph(bundle / file) for name, bundle in bundles.items()},
        }
        del models
    return found


def answer(model: Model, items: Any) -> np.ndarray:
    """float64 [N, U]: the first output, to all pictures."""
    rows = [model(*batch.x)[0] for batch in items.batches(BATCH)]
    return np.concatenate(rows).reshape(len(items), -1).astype(np.float64)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over the pictures."""
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(((a * b).sum(axis=1) / np.maximum(lengths, np.finfo(np.float64).tiny)).mean())


def latencies(
    reference: Model, candidate: Model, x: tuple[np.ndarray, ...], budget_s: float
) -> dict[str, Any]:
    """In turn on one thread, so that what the machine does meanwhile slows both."""
    pair = [(model, model.quantized(*x)) for model in (reference, candidate)]
    for model, ready in pair:
        model.raw(*ready)
    times: list[tuple[float, ...]] = []
    start = time.perf_counter()
    while len(times) < LEAST_PAIRS or (
        len(times) < MOST_PAIRS and time.perf_counter() - start < budget_s
    ):
        times.append(tuple(once(model, ready) for model, ready in pair))
    fp32_ms, int8_ms = zip(*times, strict=True)
    return {
        "fp32_ms": statistics.median(fp32_ms),
        "int8_ms": statistics.median(int8_ms),
        # Of neighbouring runs: a slow minute of the machine cancels out.
        "ratio": statistics.median(b / a for a, b in times),
        "pairs": len(times),
    }


def once(model: Model, ready: tuple[np.ndarray, ...]) -> float:
    """Milliseconds of this thread's own processor time: both engines compute in the caller's."""
    before = time.thread_time()
    model.raw(*ready)
    return (time.thread_time() - before) * 1e3


def graph(path: Path) -> dict[str, Any]:
    """What of an ONNX graph the table asks for; nothing for TFLite."""
    if path.suffix != ".onnx":
        return {}
    import onnx

    proto = onnx.load(path, load_external_data=False).graph
    constants = {tensor.name for tensor in proto.initializer}
    return {
        "transposes": sum(node.op_type == "Transpose" for node in proto.node),
        "inputs": [value.name for value in proto.input if value.name not in constants],
    }


if __name__ == "__main__":
    *paths, seconds = sys.argv[1:]
    print(json.dumps(main(*map(Path, paths), float(seconds))))
