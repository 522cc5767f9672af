"""What edgeconv costs before and around the engine: start-up and time an image.

Each figure is measured beside its baseline, in turn in one go; medians.
Prints a table and exits with 1 where a bound is missed.

    python benchmarks/startup.py BUNDLE PICTURE [--repeat 7] [--json FILE]

Take a bundle of real size, such as MobileNetV2's: the demo's model answers in
microseconds, of which one Python call is a large part.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

ENGINES = {"litert": "ai_edge_litert.interpreter", "onnxruntime": "onnxruntime"}

# What edgeconv promises.
HELP_BOUND_S = 0.3
IMPORT_BOUND_S = 0.3
FIRST_ANSWER_BOUND_S = 1.5
RUN_BOUND_S = 1.0
OVERHEAD_BOUND_PERCENT = 5.0

# Calls in one round, and rounds; the ratio of a round's medians is what a drift of the
# machine's speed moves least.
CALLS, ROUNDS, WARM_UP = 60, 7, 10


@dataclass(frozen=True)
class Row:
    """One figure: ``value`` in ``unit``, against ``bound`` where there is one."""

    what: str
    value: float
    bound: float | None
    unit: str
    beside: str

    @property
    def met(self) -> bool:
        return self.bound is None or self.value <= self.bound


def medians_s(repeat: int, *commands: list[str]) -> list[float]:
    """Median wall seconds of each command, run in turn."""
    times: list[list[float]] = [[] for _ in commands]
    for turn in range(repeat + 1):
        for command, found in zip(commands, times, strict=True):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if turn:  # the first turn fills the disk cache
                found.append(time.perf_counter() - start)
    return [statistics.median(found) for found in times]


def start_up(repeat: int) -> list[Row]:
    python = [sys.executable, "-c"]
    help_s, bare_s = medians_s(
        repeat, [sys.executable, "-m", "edgeconv", "--help"], [*python, "pass"]
    )
    rows = [Row("edgeconv --help", help_s, HELP_BOUND_S, "s", f"bare Python {bare_s:.2f} s")]
    for engine, module in ENGINES.items():
        alone_s, both_s = medians_s(
            repeat,
            [*python, f"import {module}"],
            [*python, f"import {module}, edgeconv.runtime"],
        )
        row = Row(
            f"import edgeconv.runtime, more than {engine}",
            both_s - alone_s,
            IMPORT_BOUND_S,
            "s",
            f"{engine} alone {alone_s:.2f} s",
        )
        rows.append(row)
    return rows


def first_answers(bundle: Path, picture: Path, repeat: int) -> list[Row]:
    infer = [sys.executable, str(bundle / "infer.py"), str(picture), "--engine"]
    run = [sys.executable, "-m", "edgeconv", "run", str(bundle), str(picture), "--engine"]
    found = medians_s(
        repeat, *([*infer, engine] for engine in ENGINES), *([*run, engine] for engine in ENGINES)
    )
    names = [f"infer.py to first answer, {engine}" for engine in ENGINES]
    names += [f"edgeconv run of one picture, {engine}" for engine in ENGINES]
    bounds = [FIRST_ANSWER_BOUND_S] * len(ENGINES) + [RUN_BOUND_S] * len(ENGINES)
    return [
        Row(name, seconds, bound, "s", "")
        for name, seconds, bound in zip(names, found, bounds, strict=True)
    ]


def load_infer(bundle: Path) -> ModuleType:
    """The bundle's own infer.py, as a module."""
    spec = importlib.util.spec_from_file_location("infer", bundle / "infer.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["infer"] = module  # dataclasses look their module up there
    spec.loader.exec_module(module)
    return module


def bare_call(engine: str, content: bytes) -> Callable[[np.ndarray], Any]:
    """One inference as the engine's own documentation writes it, on one thread."""
    if engine == "onnxruntime":
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]

    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    given = interpreter.get_input_details()[0]["index"]
    taken = interpreter.get_output_details()[0]["index"]

    def call(x: np.ndarray) -> Any:
        interpreter.set_tensor(given, x)
        interpreter.invoke()
        return interpreter.get_tensor(taken)

    return call


def compare(ours: Callable[[], Any], bare: Callable[[], Any]) -> tuple[float, float]:
    """Overhead of ``ours`` over ``bare`` in percent, and bare's median in ms."""
    for _ in range(WARM_UP):
        ours(), bare()
    ratios, bare_s = [], []
    for _ in range(ROUNDS):
        times: dict[Callable[[], Any], list[float]] = {ours: [], bare: []}
        for turn in range(CALLS):
            for call in (ours, bare) if turn % 2 else (bare, ours):
                start = time.perf_counter()
                call()
                times[call].append(time.perf_counter() - start)
        ratios.append(statistics.median(times[ours]) / statistics.median(times[bare]))
        bare_s.append(statistics.median(times[bare]))
    return 100 * (statistics.median(ratios) - 1), 1000 * statistics.median(bare_s)


def with_the_textbook_formula(bare: Callable[[Any], Any], model: Any) -> Callable[[Any], Any]:
    """``bare`` on real values, as a user writes it around an engine that takes integers."""
    given, taken = model.inputs[0], model.outputs[0]
    if given.scale is None:
        return bare

    def call(x: np.ndarray) -> np.ndarray:
        q = np.clip(np.round(x / given.scale + given.zero_point), -128, 127).astype(np.int8)
        return (bare(q).astype(np.float32) - taken.zero_point) * taken.scale

    return call


def per_image(bundle: Path) -> list[Row]:
    infer = load_infer(bundle)
    rows = []
    for engine in ENGINES:
        session = infer.Session.open(bundle, engine=engine, threads=1)
        model, spec = session.model, session.model.inputs[0]
        real = np.random.default_rng(0).normal(size=(1, *spec.shape[1:])).astype(np.float32)
        ready = infer.quantize(real, spec)
        bare = bare_call(engine, (bundle / session.artifact.file).read_bytes())
        assert np.array_equal(model.raw(ready)[0], bare(ready)), f"{engine}: the answers differ"
        by_hand = with_the_textbook_formula(bare, model)
        # Floats are checked for NaN too, which the formula written by hand is not.
        for what, ours, theirs, bound in (
            (
                "ready arrays",
                partial(model.raw, ready),
                partial(bare, ready),
                OVERHEAD_BOUND_PERCENT,
            ),
            ("float arrays, checked", partial(model, real), partial(by_hand, real), None),
        ):
            percent, bare_ms = compare(ours, theirs)
            beside = f"bare engine {bare_ms:.2f} ms"
            what = f"infer.py an image, {engine}, {what}"
            rows.append(Row(what, percent, bound, "%", beside))
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--repeat", type=int, default=7, help="runs of each command (7)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    args = parser.parse_args()

    rows = start_up(args.repeat)
    rows += first_answers(args.bundle, args.picture, args.repeat)
    rows += per_image(args.bundle)

    table = Table(title=f"Start-up and overhead, medians; bundle {args.bundle.name}")
    for column, side in (("", "left"), ("measured", "right"), ("bound", "right"), ("", "left")):
        table.add_column(column, justify=side)
    for row in rows:
        bound = "" if row.bound is None else f"{row.bound:.1f} {row.unit}"
        value = f"{row.value:.2f} {row.unit}" + ("" if row.met else "  missed")
        table.add_row(row.what, value, bound, row.beside)
    Console(width=130).print(table)
    if args.json:
        content = {"schema_version": 1, "rows": [asdict(row) | {"met": row.met} for row in rows]}
        args.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
