"""Models whose channels differ in scale: how far int8 falls, and what `equalize` repairs.

A sabotaged twin (tests/twins.py) is the same function in float, its channels multiplied
by factors from 1/32 to 32. Every tool quantizes it from the same calibration pictures;
every file is judged on the same others, beside the answers of the original. Writes
docs/twins.json and prints its tables.

    python benchmarks/twins.py [--models NAME ...] [--seeds 0 1 2 3 4] [--resume]

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_cases import CASES, DATA, HERE
from accuracy_judge import figures, opened
from rich.console import Console

from edgeconv import data, load, making
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Array, Batch, Recipe, SourceModel
from edgeconv.workshop import Workshop

RESULTS = HERE.parent / "docs" / "twins.json"
MODELS = ("mobilenetv2", "squeezenet11", "resnet8")
#: Enough for ranges; more only take time.
CALIBRATION_ITEMS = 100
PLAIN = Recipe()
RECIPES = {
    "edgeconv without equalize": replace(
        PLAIN, passes=tuple(name for name in PLAIN.passes if name != "equalize")
    ),
    "edgeconv": PLAIN,
}
STOCK = ("TFLiteConverter", "quantize_static MinMax")


class Pictures:
    """Arrays as a dataset."""

    name, fingerprint, labelled = "calibration", "", False

    def __init__(self, x: Array) -> None:
        self._x = x

    def __len__(self) -> int:
        return len(self._x)

    def batches(self, size: int) -> Iterator[Batch]:
        for start in range(0, len(self._x), size):
            x = self._x[start : start + size]
            yield Batch((x,), None, tuple(f"array {start + i}" for i in range(len(x))))


def save_stock(
    state: dict[str, Any], progress: Any, *, model: str, x: str, out: str
) -> dict[str, str]:
    """The workshop's side: what the stock tools make of a Keras file, by their names."""
    import keras
    import stock_int8

    logits = stock_int8.to_logits(keras.models.load_model(model, compile=False))
    found = {}
    for name in STOCK:
        path = stock_int8.TOOLS[name](logits, np.load(x), Path(out))
        found[name] = str(path)
    return found


class Bench:
    """One model: its data, and the float answers of the original."""

    def __init__(self, name: str, workshop: Workshop, folder: Path) -> None:
        self.case, self._workshop, self._folder = CASES[name], workshop, folder
        request = data.DataRequest(
            str(DATA / self.case.calibration), str(DATA / str(self.case.parity))
        )
        self.file = DATA / self.case.model
        source = self._load(self.file)
        calibration, parity = data.choose(request, source, True, Silent())
        assert calibration is not None
        calibration = calibration.take(CALIBRATION_ITEMS)
        self._seen = np.concatenate([batch.x[0] for batch in calibration.batches(50)])
        np.save(folder / "calibration.npy", self._seen)
        batches = list(parity.batches(50))
        self._x = np.concatenate([batch.x[0] for batch in batches])
        self._y = np.concatenate([batch.y for batch in batches if batch.y is not None])
        self._logits = np.array(load.answers(source, parity, workshop, folder)[0])
        self.float_top1 = 100 * float(np.mean(self._logits.argmax(1) == self._y))
        self.items = len(self._x)

    def rows(self, seed: int | None) -> Iterator[dict[str, Any]]:
        """Every tool's file of the twin, or of the model itself, judged."""
        with tempfile.TemporaryDirectory(dir=self._folder) as scratch:
            folder = Path(scratch)
            model = self.file
            if seed is not None:
                model = folder / "twin.keras"
                self._workshop.call(
                    "tests.twins:save_twin", model=str(self.file), seed=seed, out=str(model)
                )
            source = self._load(model)
            for tool, path in (*self._stock(model, folder), *self._ours(source, folder)):
                score = opened(path)
                scores = np.concatenate([score(x[np.newaxis]) for x in self._x])
                judged = figures(self._logits, scores, self._y)
                yield {"seed": seed, "tool": tool, "format": path.suffix[1:], **judged}

    def _load(self, model: Path) -> SourceModel:
        request = load.LoadRequest(str(model), preprocess=self.case.preprocess)
        return load.load(request, self._workshop, self._folder, Silent())

    def _stock(self, model: Path, folder: Path) -> Iterator[tuple[str, Path]]:
        found = self._workshop.call(
            "twins:save_stock",
            model=str(model),
            x=str(self._folder / "calibration.npy"),
            out=str(folder),
        )
        for tool, path in found.items():
            yield tool, Path(path)

    def _ours(self, source: SourceModel, folder: Path) -> Iterator[tuple[str, Path]]:
        for target in TARGETS.values():
            graph = target.lower(source, self._workshop, folder)
            piece = making.observe(graph, Pictures(self._seen), PLAIN, Silent())
            for tool, recipe in RECIPES.items():
                place = folder / tool.replace(" ", "-")
                place.mkdir(exist_ok=True)
                yield tool, making.make(piece, recipe, place)[0].path


def table(results: dict[str, Any]) -> str:
    """Means over the seeds, beside the untouched model."""
    lines = [
        "| model | tool | format | untouched: top-1, % | agreement, % "
        "| twins: top-1, % (worst) | drop, points | agreement, % (worst) |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, result in results.items():
        rows = result["rows"]
        for tool, format in dict.fromkeys((row["tool"], row["format"]) for row in rows):
            own = [row for row in rows if (row["tool"], row["format"]) == (tool, format)]
            (plain,) = [row for row in own if row["seed"] is None]
            twins = [row for row in own if row["seed"] is not None]
            top1, agreement, drop = (
                [row[key] for row in twins] for key in ("top1", "agreement", "drop")
            )
            lines.append(
                f"| {name} | {tool} | {TARGETS[format].title} "
                f"| {plain['top1']:.1f} | {plain['agreement']:.1f} "
                f"| {statistics.mean(top1):.1f} ({min(top1):.1f}) | {statistics.mean(drop):.1f} "
                f"| {statistics.mean(agreement):.1f} ({min(agreement):.1f}) |"
            )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--resume", action="store_true", help="keep what was measured before")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = f"{HERE}:{HERE.parent}"  # the workshop calls both folders
    console = Console(stderr=True)
    known = json.loads(RESULTS.read_text()) if args.resume and RESULTS.is_file() else {}
    results: dict[str, Any] = dict(known)
    for name in args.models:
        with tempfile.TemporaryDirectory(prefix="edgeconv-") as scratch:
            folder = Path(scratch)
            with Workshop(folder) as workshop:
                bench = Bench(name, workshop, folder)
                rows = list(known.get(name, {}).get("rows", []))
                for seed in (None, *args.seeds):
                    if any(row["seed"] == seed for row in rows):
                        continue
                    console.print(f"{name}: {'untouched' if seed is None else f'twin {seed}'}")
                    rows += bench.rows(seed)
                    float_top1 = round(bench.float_top1, 2)
                    results[name] = {"items": bench.items, "top1_float": float_top1, "rows": rows}
                    RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
