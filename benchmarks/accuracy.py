"""int8 by edgeconv beside int8 by the stock tools: the same model, pictures and runs.

Every tool calibrates on one split, every file is run on another by one loop, with the
float model's answers beside it. Latencies are medians of the processor time of one
inference on one thread, the files in turns. Each row goes to docs/accuracy.json and the
tables of docs/accuracy.md as soon as it is measured; the files stay in a scratch folder,
so that --resume goes on where a run ended.

    python benchmarks/accuracy.py [--models NAME ...] [--efforts fast balanced best] [--resume]
    python benchmarks/accuracy.py --again ...        edgeconv's rows anew, beside the others
    python benchmarks/accuracy.py --render

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from accuracy_cases import CASES, DATA, HERE, Work, lay_out
from accuracy_judge import figures, latencies, opened
from accuracy_page import write
from measure import measure
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph
from rich.console import Console

RESULTS = HERE.parent / "docs" / "accuracy.json"
EFFORTS = ("fast", "balanced", "best")
STOCK_TIMEOUT_S = 1500
SCRATCH = Path(tempfile.gettempdir()) / "edgeconv-accuracy"

Row = dict[str, Any]
#: What a tool made: (its row, file or None where it failed).
Made = tuple[Row, Path | None]


def stock_files(work: Work, folder: Path) -> Iterator[Made]:
    """What each stock tool made, the float files of two of them first."""
    if not (folder / "stock.json").is_file():
        run = measure(
            [
                *("timeout", str(STOCK_TIMEOUT_S)),
                *(sys.executable, str(HERE / "stock_int8.py"), "--model", str(work.stock_model)),
                *("--calibration", str(work.calibration_x), "--output", str(folder)),
            ]
        )
        if not (folder / "stock.json").is_file():
            raise SystemExit(f"benchmarks/stock_int8.py failed:\n{run.stderr[-3000:]}")
    for tool, name in (
        ("float, TFLiteConverter", "float.tflite"),
        ("float, tf2onnx", "ready.onnx"),
    ):
        if (folder / name).is_file():
            yield {"tool": tool, "by": "float"}, folder / name
    for tool, found in json.loads((folder / "stock.json").read_text()).items():
        path = folder / found.pop("file") if "file" in found else None
        yield {"tool": tool, "by": "stock", **found}, path


def published_files(work: Work) -> Iterator[Made]:
    """The int8 file that others published of the same training."""
    if work.case.published:
        yield {"tool": "published int8 file", "by": "published"}, DATA / work.case.published


def our_files(work: Work, folder: Path, effort: str) -> Iterator[Made]:
    """What `edgeconv export` made, once a format."""
    run = measure(
        [
            *(sys.executable, "-m", "edgeconv", "export", str(work.model), "--int8", "--no-cache"),
            *("--preprocess", work.case.preprocess, "--calibration", work.calibration),
            *(("--parity", work.parity) if work.parity else ()),
            *("--effort", effort, "--seed", str(work.seed)),
            *("--output", str(folder), "--force", "--json"),
        ]
    )
    if run.code not in (0, 1):
        raise SystemExit(f"edgeconv export --effort {effort} failed:\n{run.stdout}{run.stderr}")
    for artifact in json.loads((folder / "verdict.json").read_text())["artifacts"]:
        drop = artifact["metrics"].get("top1_drop")
        yield (
            {
                "tool": f"edgeconv --effort {effort}",
                "by": "edgeconv",
                "effort": effort,
                "seconds": round(run.wall_s, 1),
                "cpu_s": round(run.cpu_s, 1),
                "peak_mib": round(run.peak_mib),
                "status": artifact["status"],
                "drop_ci95": drop["ci95"] if drop else None,
                "kept": _kept(folder / "recovery.json"),
            },
            folder / artifact["file"],
        )


def _kept(account: Path) -> list[str]:
    """The rungs that became part of the recipe."""
    if not account.is_file():
        return []
    return [rung["name"] for rung in json.loads(account.read_text())["rungs"][1:] if rung["kept"]]


def judged(made: Made, work: Work, folder: Path) -> Row:
    """The row with its figures."""
    row, path = made
    if path is None:
        return row
    try:
        score = opened(path)
        scores = np.concatenate([score(x[np.newaxis]) for x in work.x])
    except (RuntimeError, ValueError, InvalidGraph) as error:
        return row | {"error": f"does not run: {error}"}
    place = str(path.relative_to(folder if path.is_relative_to(folder) else DATA))
    found = figures(work.logits, scores, work.y)
    if row["by"] == "published":  # its scores are probabilities
        del found["sqnr_db"]
    size = {"format": path.suffix[1:], "size_mb": round(path.stat().st_size / 1e6, 3)}
    return row | {"file": place} | size | found


class Table:
    """The rows that were measured, in docs/accuracy.json as they come."""

    def __init__(self, keep: bool) -> None:
        known = json.loads(RESULTS.read_text()) if keep and RESULTS.is_file() else {}
        self.results: dict[str, Any] = known

    def start(self, name: str, work: Work) -> None:
        """The facts of a model; rows that are there stay."""
        top1 = None
        if work.y is not None:
            top1 = round(100 * float(np.mean(work.logits.argmax(1) == work.y)), 2)
        facts = {"items": len(work.x), "above_stock": work.case.above_stock, "top1_float": top1}
        rows = self.results.get(name, {}).get("rows", [])
        self.results[name] = facts | {"rows": rows}

    def rows(self, name: str) -> list[Row]:
        """Of one model."""
        found: list[Row] = self.results.get(name, {}).get("rows", [])
        return found

    def has(self, name: str, by: str, effort: str | None = None) -> bool:
        """Whether a part of a model's rows is there."""
        return any(row["by"] == by and row.get("effort") == effort for row in self.rows(name))

    def put(self, name: str, row: Row) -> None:
        """Add a row, or put it in the place of its elder."""
        keys = ("tool", "format")
        rows = self.rows(name)
        place = next(
            (i for i, r in enumerate(rows) if all(r.get(k) == row.get(k) for k in keys)), None
        )
        if place is None:
            rows.append(row)
        else:
            rows[place] = row
        self.save()

    def save(self) -> None:
        """The file and the page of it, whole or not at all."""
        order = [name for name in CASES if name in self.results]
        self.results = {name: self.results[name] for name in order}
        aside = RESULTS.with_name(f".{RESULTS.name}.part")
        aside.write_text(json.dumps(self.results, indent=1, ensure_ascii=False) + "\n")
        aside.replace(RESULTS)
        write(self.results)


def measure_model(
    name: str, table: Table, folder: Path, efforts: Sequence[str], resume: bool, again: bool
) -> None:
    """Every row of a model that isn't there yet, then the latencies of all files in turns."""
    console = Console(stderr=True)
    console.print(f"{name}: the float model's answers")
    work = lay_out(CASES[name], folder)
    table.start(name, work)
    (folder / "stock").mkdir(exist_ok=True)
    parts = [("stock", None), ("published", None), *(("edgeconv", effort) for effort in efforts)]
    for by, effort in parts:
        if resume and table.has(name, by, effort) and not (again and by == "edgeconv"):
            continue
        console.print(f"{name}: {by} {effort or ''}")
        if by == "edgeconv":
            found = our_files(work, folder / str(effort), str(effort))
        else:
            found = stock_files(work, folder / "stock") if by == "stock" else published_files(work)
        for made in found:
            table.put(name, judged(made, work, folder))
    files = {
        str(i): (DATA if r["by"] == "published" else folder) / r["file"]
        for i, r in enumerate(table.rows(name))
        if "file" in r
    }
    if not all(path.is_file() for path in files.values()):
        console.print(f"{name}: earlier files are gone, so are latencies beside them")
        return
    for place, ms in latencies(files, work.x[:1]).items():
        table.rows(name)[int(place)]["ms"] = round(ms, 2)
    table.save()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--efforts", nargs="*", choices=EFFORTS, default=list(EFFORTS))
    parser.add_argument("--resume", action="store_true", help="keep what was measured before")
    parser.add_argument("--again", action="store_true", help="measure edgeconv's rows anew")
    parser.add_argument("--render", action="store_true", help="only write the page again")
    parser.add_argument("--scratch", type=Path, default=SCRATCH, help="where files are kept")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = f"{HERE}:{HERE.parent}"  # the workshop calls save_alive
    table = Table(keep=True)
    for name in [] if args.render else args.models:
        folder = args.scratch / name
        resume = args.resume or args.again
        if not resume:
            shutil.rmtree(folder, ignore_errors=True)
            table.results.pop(name, None)
        folder.mkdir(parents=True, exist_ok=True)
        start = time.perf_counter()
        measure_model(name, table, folder, args.efforts, resume, args.again)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr)
    table.save()
    return 0


if __name__ == "__main__":
    sys.exit(main())
