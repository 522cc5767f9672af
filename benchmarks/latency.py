"""int8 beside float on one thread: whole models, or single operators.

    python benchmarks/latency.py [MODEL ...]               the zoo up to 30 M parameters, or these
    python benchmarks/latency.py MODEL ... --operators     by type of operator, in both formats
    python benchmarks/latency.py --operators               what a pass replaces, and by what

Models have random weights (as ``--weights none``), ranges of a few built-in pictures and
batch 1. Float and int8 run in turn; what counts is the processor time of the one thread,
which other programs on the machine lengthen less than the wall clock's.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from latency_operators import one_by_one, replaced

from edgeconv import data, load
from edgeconv.calibrate import clip
from edgeconv.load.zoo import ZOO
from edgeconv.progress import Silent
from edgeconv.runtime.affine import quantize
from edgeconv.runtime.engines import Model, open_model
from edgeconv.runtime.operators import operator_rows
from edgeconv.targets import TARGETS
from edgeconv.types import Artifact, Recipe
from edgeconv.workshop import Workshop

LARGEST = 30_000_000
PICTURES = 4
ROUNDS = 15
FLOAT = Recipe(precision="fp32", passes=())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("models", nargs="*", metavar="MODEL")
    parser.add_argument("--operators", action="store_true")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    args = parser.parse_args()
    if args.operators and not args.models:
        replaced(sys.stdout)
        return
    names = args.models or [m.name for m in ZOO.values() if m.parameters <= LARGEST]
    print("| model | format | float ms | int8 ms | int8 / float |\n|---|---|---|---|---|")
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            for pair in made(name, Path(folder)):
                show(name, pair, args.rounds)
                if args.operators:
                    for artifact in pair:
                        by_operator(artifact)


def made(name: str, folder: Path) -> list[tuple[Artifact, Artifact]]:
    """(float, int8) of each format."""
    watch, recipe, pairs = Silent(), Recipe(), []
    with Workshop(folder) as workshop:
        source = load.load(load.LoadRequest(name, weights="none"), workshop, folder, watch)
        calibration, _ = data.choose(data.DataRequest(), source, True, watch)
        for target in TARGETS.values():
            graph = target.lower(source, workshop, folder)
            seen = target.observe(graph, calibration.take(PICTURES), watch, histograms=True)
            floating = target.quantize(graph, {}, FLOAT, folder / f"fp32{target.suffix}")
            path = folder / f"int8{target.suffix}"
            pairs.append(
                (floating, target.quantize(graph, clip(seen, recipe, graph), recipe, path))
            )
    return pairs


def show(name: str, pair: Sequence[Artifact], rounds: int) -> None:
    """A row of the table."""
    calls = [caller(artifact)[1] for artifact in pair]
    times: list[list[float]] = [[] for _ in calls]
    for _ in range(rounds):
        for call, own in zip(calls, times, strict=True):
            call()
            start = time.thread_time()
            call()
            own.append((time.thread_time() - start) * 1e3)
    floating, int8 = map(statistics.median, times)
    print(
        f"| {name} | {pair[0].format} | {floating:.2f} | {int8:.2f} | {int8 / floating:.2f} |",
        flush=True,
    )


def caller(artifact: Artifact, profile: str = "") -> tuple[Model, Callable[[], object]]:
    """The open file, and what runs it once on the same random input."""
    model = open_model(
        artifact.path.read_bytes(), artifact.format, artifact.inputs, artifact.outputs,
        profile=profile,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x = [
        quantize(rng.uniform(-1, 1, [n or 1 for n in spec.shape]).astype(np.float32), spec)
        for spec in model.inputs
    ]
    return model, lambda: model.raw(*x)


def by_operator(artifact: Artifact) -> None:
    """Milliseconds by type of operator, most first."""
    spent: Counter[str] = Counter()
    if artifact.format == "tflite":
        spent.update(one_by_one(artifact.path.read_bytes()))
    else:
        with tempfile.TemporaryDirectory() as folder:
            model, call = caller(artifact, str(Path(folder) / "trace"))
            for _ in range(ROUNDS):
                call()
            trace = Path(model.end_profiling()).read_text()
        rows = operator_rows(trace, ROUNDS - 3)
        for row in rows:
            spent[row["op"]] += row["ms"]
    print(f"{artifact.path.name}: " + ", ".join(f"{op} {ms:.2f}" for op, ms in spent.most_common()))


if __name__ == "__main__":
    main()
