"""int8 by edgeconv beside int8 by the stock tools: the same model, pictures and runs.

Every tool calibrates on one split, every file is run on another by one loop, with the
float model's answers beside it. Latencies are medians of one inference on one thread,
the files in turns. Writes docs/accuracy.json, and the tables of docs/accuracy.md from it.

    python benchmarks/accuracy.py [--models NAME ...] [--efforts fast balanced best] [--resume]

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from measure import measure
from rich.console import Console

from edgeconv import data, load
from edgeconv.progress import Silent
from edgeconv.types import Array
from edgeconv.workshop import Workshop

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EDGECONV_DATA", HERE.parent.parent / "shared" / "data"))
RESULTS = HERE.parent / "docs" / "accuracy.json"
PAGE = HERE.parent / "docs" / "accuracy.md"
MARKS = ("<!-- tables: written by benchmarks/accuracy.py -->", "<!-- end of tables -->")
PICTURES = "imagenet-sample/manifest.csv"
CIFAR = "cifar10/cifar10_sample.npz"
EFFORTS = ("fast", "balanced", "best")
LATENCY_ROUNDS = 25
#: Items of each part for models with random weights, whose answers mean nothing.
ALIVE_ITEMS = 64

Score = Callable[[Array], Array]


@dataclass(frozen=True)
class Case:
    """A model with its data.

    Attributes:
        model: File under the data's folder, or a zoo name: random weights, made alive.
        preprocess: As ``--preprocess`` takes it.
        calibration: As ``--calibration`` takes it, under the data's folder.
        parity: As ``--parity`` takes it; None for the half that is held back.
        stock_model: The same model in a file that Keras 3 loads, where ``model`` isn't one.
    """

    model: str
    preprocess: str
    calibration: str
    parity: str | None
    stock_model: str = ""

    @property
    def alive(self) -> bool:
        """Whether the weights are random."""
        return "/" not in self.model


def _photographs(model: str, preprocess: str) -> Case:
    return Case(model, preprocess, f"{PICTURES}:calibration", f"{PICTURES}:evaluation")


CASES = {
    "mobilenetv2": _photographs("models/mobilenetv2_imagenet.keras", "mobilenetv2"),
    "squeezenet11": _photographs("models/squeezenet11_imagenet.keras", "torch"),
    "mobilenetv3small": Case(
        "models/mobilenetv3small_cifar10.keras", "none", f"{CIFAR}:train", f"{CIFAR}:test"
    ),
    "resnet8": Case(
        "mlperf-tiny/image_classification/pretrainedResnet.h5",
        "none",
        f"{CIFAR}:train",
        f"{CIFAR}:test",
    ),
    "ds-cnn": Case(
        "mlperf-tiny/keyword_spotting/kws_ref_model",
        "array",
        "mlperf-tiny/kws01.npz",
        None,
        stock_model="mlperf-tiny/keras3/kws_ref_model.keras",
    ),
    "efficientnetb0 (random)": _photographs("efficientnetb0", "efficientnetb0"),
    "nasnetmobile (random)": _photographs("nasnetmobile", "nasnetmobile"),
    "convnexttiny (random)": _photographs("convnexttiny", "convnexttiny"),
}


@dataclass(frozen=True)
class Work:
    """A case laid out in a folder: what every tool gets.

    Attributes:
        name: Of the case.
        model: What edgeconv loads.
        stock_model: What Keras 3 loads.
        preprocess: As ``--preprocess`` takes it.
        calibration: As ``--calibration`` takes it.
        parity: As ``--parity`` takes it.
        calibration_x: .npy, float32, preprocessed.
        x: float32 [N, ...], preprocessed: what every file is judged on.
        y: int64 [N]; None where the answers mean nothing.
        logits: Of the float model, [N, classes].
    """

    name: str
    model: Path
    stock_model: Path
    preprocess: str
    calibration: str
    parity: str | None
    calibration_x: Path
    x: Array
    y: Array | None
    logits: Array


def lay_out(name: str, case: Case, folder: Path) -> Work:
    """Make a case's model and arrays."""
    if case.alive:
        model = stock = folder / f"{case.model}.keras"
        calibration, parity = str(folder / "some.npz:train"), str(folder / "some.npz:test")
        _some_pictures(folder / "some.npz")
    else:
        model, stock = DATA / case.model, DATA / (case.stock_model or case.model)
        calibration = str(DATA / case.calibration)
        parity = str(DATA / case.parity) if case.parity else None
    request = data.DataRequest(calibration, parity)
    with Workshop(folder) as workshop:
        if case.alive:
            workshop.call("accuracy:save_alive", name=case.model, out=str(model))
        source = load.load(
            load.LoadRequest(str(model), preprocess=case.preprocess), workshop, folder, Silent()
        )
        source = data.with_input_scale(request, source, Silent())
        seen, judged = data.choose(request, source, True, Silent())
        assert seen is not None
        logits = np.array(load.answers(source, judged, workshop, folder)[0])
    calibration_x = folder / "calibration.npy"
    np.save(calibration_x, np.concatenate([batch.x[0] for batch in seen.batches(50)]))
    batches = list(judged.batches(50))
    y = None if case.alive else np.concatenate([b.y for b in batches if b.y is not None])
    x = np.concatenate([batch.x[0] for batch in batches])
    return Work(
        name, model, stock, case.preprocess, calibration, parity, calibration_x, x, y, logits
    )


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
    import csv

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


def stock_files(work: Work, folder: Path) -> Iterator[tuple[str, dict[str, Any], Path | None]]:
    """What each stock tool made: (tool, seconds or error, file)."""
    run = measure(
        [
            *(sys.executable, str(HERE / "stock_int8.py"), "--model", str(work.stock_model)),
            *("--calibration", str(work.calibration_x), "--output", str(folder)),
        ]
    )
    if run.code != 0:
        raise SystemExit(f"benchmarks/stock_int8.py failed:\n{run.stderr[-3000:]}")
    for tool, found in json.loads((folder / "stock.json").read_text()).items():
        yield tool, found, folder / found["file"] if "file" in found else None


def our_files(
    work: Work, folder: Path, efforts: Sequence[str]
) -> Iterator[tuple[str, dict[str, Any], Path | None]]:
    """What `edgeconv export` made at each effort, once a format."""
    for effort in efforts:
        output = folder / effort
        run = measure(
            [
                *(sys.executable, "-m", "edgeconv", "export", str(work.model), "--int8"),
                *("--preprocess", work.preprocess, "--calibration", work.calibration),
                *(("--parity", work.parity) if work.parity else ()),
                *("--effort", effort, "--output", str(output), "--json"),
            ]
        )
        if run.code not in (0, 1):
            raise SystemExit(f"edgeconv export --effort {effort} failed:\n{run.stdout}{run.stderr}")
        said = json.loads((output / "verdict.json").read_text())["artifacts"]
        for artifact in said:
            drop = artifact["metrics"].get("top1_drop")
            facts = {
                "seconds": round(run.wall_s, 1),
                "peak_mib": round(run.peak_mib),
                "status": artifact["status"],
                "drop_ci95": drop["ci95"] if drop else None,
            }
            yield f"edgeconv --effort {effort}", facts, output / artifact["file"]


def rows(work: Work, folder: Path, efforts: Sequence[str]) -> list[dict[str, Any]]:
    """Every file that any tool made, measured alike."""
    found = [*stock_files(work, folder / "stock"), *our_files(work, folder / "ours", efforts)]
    runners = {path: opened(path) for _, _, path in found if path is not None}
    ms = latencies(runners, work.x[:1])
    made = []
    for tool, facts, path in found:
        row: dict[str, Any] = {"tool": tool, **facts}
        row.pop("file", None)
        if path is not None:
            scores = np.concatenate([runners[path](work.x[i : i + 1]) for i in range(len(work.x))])
            row |= {
                "format": path.suffix[1:],
                "size_mb": round(path.stat().st_size / 1e6, 3),
                "ms": round(ms[path], 2),
                **figures(work.logits, scores, work.y),
            }
        made.append(row)
    return made


def opened(path: Path) -> Score:
    """What runs any tool's file: float32 [1, ...] -> float [1, classes]."""
    return _tflite(path) if path.suffix == ".tflite" else _onnx(path)


def _tflite(path: Path) -> Score:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=path.read_bytes(), num_threads=1)
    interpreter.allocate_tensors()
    (given,), (taken,) = interpreter.get_input_details(), interpreter.get_output_details()

    def score(x: Array) -> Array:
        interpreter.set_tensor(given["index"], _quantized(x, given))
        interpreter.invoke()
        y = interpreter.get_tensor(taken["index"])
        scale, zero_point = taken["quantization"]
        return (y.astype(np.float32) - zero_point) * scale if scale else y

    return score


def _quantized(x: Array, given: dict[str, Any]) -> Array:
    scale, zero_point = given["quantization"]
    if given["dtype"] == np.float32:
        return x
    return np.clip(np.round(x / scale + zero_point), -128, 127).astype(given["dtype"])


def _onnx(path: Path) -> Score:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def score(x: Array) -> Array:
        return np.asarray(session.run(None, {name: x})[0])

    return score


def latencies(runners: dict[Path, Score], x: Array) -> dict[Path, float]:
    """Median milliseconds of one inference, the files in turns."""
    times: dict[Path, list[float]] = {path: [] for path in runners}
    for _ in range(LATENCY_ROUNDS):
        for path, score in runners.items():
            start = time.perf_counter()
            score(x)
            times[path].append((time.perf_counter() - start) * 1e3)
    return {path: statistics.median(each) for path, each in times.items()}


def figures(reference: Array, scores: Array, y: Array | None) -> dict[str, float]:
    """Percent, points and dB; of logits [N, classes]."""
    answers, original = scores.argmax(1), reference.argmax(1)
    error = np.square(reference - scores, dtype=np.float64).sum()
    found = {
        "agreement": round(100 * float(np.mean(answers == original)), 2),
        "sqnr_db": round(
            10 * float(np.log10(np.square(reference, dtype=np.float64).sum() / error)), 2
        ),
    }
    if y is not None:
        top1, top1_reference = (100 * float(np.mean(a == y)) for a in (answers, original))
        found |= {"top1": round(top1, 2), "drop": round(top1_reference - top1, 2)}
    return found


def tables(results: dict[str, Any]) -> str:
    """All that was measured, as Markdown."""
    parts = []
    for name, result in results.items():
        parts.append(f"### {name}\n")
        float_top1 = result["top1_float"]
        judged = f"{result['items']} items"
        parts.append(
            f"Judged on {judged}; the float model's top-1 is {float_top1:.1f}%.\n"
            if float_top1 is not None
            else f"Judged on {judged} by the SQNR of the logits; the weights are random.\n"
        )
        parts.append(
            "| tool | format | top-1, % | drop, points | agreement, % | SQNR, dB | MB | ms | s |\n"
            "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
            + "\n".join(_line(row) for row in result["rows"])
            + "\n"
        )
    return "\n".join(parts)


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"| {row['tool']} | failed: {row['error'].splitlines()[0][:90]} |||||||| "
    cells = [
        row["tool"],
        {"tflite": "TFLite", "onnx": "ONNX"}[row["format"]],
        *(f"{row[key]:.1f}" if key in row else "–" for key in ("top1", "drop")),
        f"{row['agreement']:.1f}",
        f"{row['sqnr_db']:.1f}",
        f"{row['size_mb']:.2f}",
        f"{row['ms']:.1f}",
        f"{row['seconds']:.0f}",
    ]
    return f"| {' | '.join(cells)} |"


def write(results: dict[str, Any]) -> None:
    RESULTS.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    page = PAGE.read_text() if PAGE.is_file() else "\n".join(("# Accuracy\n", *MARKS))
    before, _, rest = page.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}\n\n{tables(results)}\n{MARKS[1]}{after}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--efforts", nargs="+", choices=EFFORTS, default=list(EFFORTS))
    parser.add_argument("--resume", action="store_true", help="keep what was measured before")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = str(HERE)  # the workshop calls save_alive
    console = Console(stderr=True)
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in args.models:
        if args.resume and name in results:
            continue
        with tempfile.TemporaryDirectory(prefix="edgeconv-") as scratch:
            folder = Path(scratch)
            (folder / "ours").mkdir()
            console.print(f"{name}: the float model's answers")
            work = lay_out(name, CASES[name], folder)
            console.print(f"{name}: the stock tools, then edgeconv at {', '.join(args.efforts)}")
            made = rows(work, folder, args.efforts)
        top1 = None
        if work.y is not None:
            top1 = round(100 * float(np.mean(work.logits.argmax(1) == work.y)), 2)
        results[name] = {"items": len(work.x), "top1_float": top1, "rows": made}
        write(dict(sorted(results.items(), key=lambda item: list(CASES).index(item[0]))))
    print(tables({name: results[name] for name in args.models}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
