"""What a verification costs beside the engines that it can't do without.

Speed: `edgeconv verify` on the 250 evaluation pictures, both formats of an int8
MobileNetV2, against three plain scripts, one an engine, that decode and answer the
same pictures and do nothing else; each a process of its own, in turn. The cause of
a loss is not looked for (--blame never): there is none in a good bundle.

Memory: the peak for 10,000 CIFAR-10 pictures against the peak for 1,000.

    python benchmarks/verify.py [--repeat 3] [--only speed|memory] [--json FILE]

Exits with 1 where a bound is missed. Data is looked for in EDGECONV_DATA
(default: ../shared/data).
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import Run, measure
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EDGECONV_DATA", HERE.parent.parent / "shared" / "data"))
MODEL = DATA / "models" / "mobilenetv2_imagenet.keras"
MANIFEST = DATA / "imagenet-sample" / "manifest.csv"
RESNET = DATA / "mlperf-tiny" / "image_classification" / "pretrainedResnet.h5"
CIFAR = DATA / "cifar10" / "cifar10_sample.npz"

ENGINES = ("tensorflow", "litert", "onnxruntime")
# What edgeconv promises: seconds over the sum of the three scripts', peak of 10,000 over 1,000.
WALL_RATIO_BOUND = 1.3
PEAK_RATIO_BOUND = 1.1


def plain(engine: str, bundle: Path) -> None:
    """The plain script of one engine: every picture decoded and answered."""
    if engine == "tensorflow":
        import keras

        model = keras.models.load_model(MODEL, compile=False)
        pictures = list(inputs())
        for start in range(0, len(pictures), 16):
            model.predict_on_batch(np.concatenate(pictures[start : start + 16]))
    elif engine == "litert":
        from ai_edge_litert.interpreter import Interpreter

        interpreter = Interpreter(str(bundle / "model.tflite"))
        interpreter.allocate_tensors()
        (given,), (wanted,) = interpreter.get_input_details(), interpreter.get_output_details()
        scale, zero_point = given["quantization"]
        for x in inputs():
            q = np.clip(np.rint(x / scale) + zero_point, -128, 127).astype(np.int8)
            interpreter.set_tensor(given["index"], q)
            interpreter.invoke()
            interpreter.get_tensor(wanted["index"])
    else:
        import onnxruntime

        session = onnxruntime.InferenceSession(bundle / "model.onnx")
        name = session.get_inputs()[0].name
        for x in inputs():
            session.run(None, {name: x})


def inputs():
    """Each evaluation picture as MobileNetV2 takes it, decoded when its turn comes."""
    from PIL import Image

    with MANIFEST.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "evaluation"]
    for row in rows:
        with Image.open(MANIFEST.parent / row["file"]) as picture:
            picture = picture.convert("RGB")
            width, height = picture.size
            short = min(width, height)
            size = (round(256 * width / short), round(256 * height / short))
            left, top = (size[0] - 224) // 2, (size[1] - 224) // 2
            picture = picture.resize(size, Image.Resampling.BICUBIC)
            picture = picture.crop((left, top, left + 224, top + 224))
        yield np.asarray(picture, np.float32)[np.newaxis] / 127.5 - 1.0


def edgeconv(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "edgeconv", *map(str, arguments)]


def finished(name: str, command: list[str]) -> Run:
    run = measure(command)
    # 1 is a verdict: it ran to its end.
    if run.code not in (0, 1):
        sys.exit(f"{name} ended with code {run.code}:\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
    print(f"{name}: {run.wall_s:.1f} s, {run.peak_mib:.0f} MiB", file=sys.stderr)
    return run


def speed(folder: Path, repeat: int) -> dict[str, float]:
    """Median seconds of each of the four, and the ratio."""
    bundle = folder / "mobilenetv2-int8"
    export = edgeconv(
        *("export", MODEL, "--preprocess", "mobilenetv2", "--output", bundle),
        *("--calibration", f"{MANIFEST}:calibration", "--parity", f"{MANIFEST}:evaluation"),
    )
    finished("export", export)
    verify = edgeconv(
        *("verify", bundle, "--against", MODEL, "--preprocess", "mobilenetv2"),
        *("--data", f"{MANIFEST}:evaluation", "--blame", "never", "--json"),
    )
    commands = {"edgeconv verify": verify} | {
        engine: [sys.executable, __file__, "--plain", engine, "--bundle", str(bundle)]
        for engine in ENGINES
    }
    runs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(repeat):
        for name, command in commands.items():
            runs[name].append(finished(name, command).wall_s)
    seconds = {name: statistics.median(each) for name, each in runs.items()}
    together = sum(seconds[engine] for engine in ENGINES)
    return {**seconds, "three scripts": together, "ratio": seconds["edgeconv verify"] / together}


def memory(folder: Path) -> dict[str, float]:
    """Peak MiB for 1,000 and for 10,000 pictures, and the ratio."""
    bundle = folder / "resnet8-int8"
    export = edgeconv(
        *("export", RESNET, "--preprocess", "none", "--calibration", f"{CIFAR}:train"),
        *("--parity", f"{CIFAR}:test", "--output", bundle),
    )
    finished("export", export)
    peaks = {}
    with np.load(CIFAR) as sample:
        x, y = sample["x_test"], sample["y_test"]
    for count in (1000, 10_000):
        order = np.arange(count) % len(x)
        path = folder / f"{count}.npz"
        np.savez(path, x=x[order], y=y[order])
        verify = edgeconv(
            *("verify", bundle, "--against", RESNET, "--preprocess", "none", "--data", path),
            *("--blame", "never", "--json"),
        )
        peaks[f"{count}"] = finished(f"{count} pictures", verify).peak_mib
    return {**peaks, "ratio": peaks["10000"] / peaks["1000"]}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, in turn (3)")
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--plain", choices=ENGINES, help=argparse.SUPPRESS)
    parser.add_argument("--bundle", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.plain:
        plain(args.plain, args.bundle)
        return 0
    if not MODEL.is_file():
        sys.exit(f"needs {MODEL}; say where the data is with EDGECONV_DATA")
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as name:
        if args.only != "memory":
            found["seconds"] = speed(Path(name), args.repeat)
        if args.only != "speed":
            found["peak MiB"] = memory(Path(name))
    table = Table("", "measured", title="edgeconv verify")
    for unit, figures in found.items():
        for label, value in figures.items():
            digits = 2 if label == "ratio" else 1
            table.add_row(f"{label}, {unit}", f"{value:.{digits}f}")
    Console(width=100).print(table)
    met = (
        found.get("seconds", {}).get("ratio", 0.0) <= WALL_RATIO_BOUND
        and found.get("peak MiB", {}).get("ratio", 0.0) <= PEAK_RATIO_BOUND
    )
    if args.json:
        content = {"schema_version": 1, "met": met, **found}
        args.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
