"""The small models over several splits of their data, where one split tells tools apart by luck.

Five hundred recordings or two thousand small pictures put tools in another order with every
split: three answers are half a point. So all items of a model are pooled, divided anew by each seed
into calibration and parity sets of the sizes that benchmarks/accuracy.py has, and
every tool, edgeconv too, gets each of them. Prints the table of docs/accuracy.md; what was
measured stays in docs/splits.json. (The CIFAR-10 models were trained on a third of the pooled
pictures: accuracies compare forms of a model, and are no claim.)

    python benchmarks/splits.py [--models NAME ...] [--seeds 1 2 3 4 5] [--efforts balanced best]
    python benchmarks/splits.py --again ...        edgeconv's rows alone
    python benchmarks/splits.py --render

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from accuracy import Made, judged, our_files, published_files, stock_files
from accuracy_cases import CASES, DATA, HERE, Case, Work, lay_out
from accuracy_page import TITLES
from rich.console import Console

RESULTS = HERE.parent / "docs" / "splits.json"
MODELS = ("ds-cnn", "mobilenetv3small", "resnet8")
#: Of a row; a published file gives out probabilities, which have no SQNR beside logits.
KEPT = (
    *("seed", "tool", "by", "effort", "kept", "format"),
    *("agreement", "sqnr_db", "top1", "drop"),
)

Row = dict[str, Any]


def pooled(case: Case, seed: int, folder: Path) -> Case:
    """The case with its pictures divided anew; a case of one set is divided by edgeconv's seed."""
    if case.parity is None:
        return case
    file, _, train = case.calibration.rpartition(":")
    test = case.parity.rpartition(":")[2]
    arrays = np.load(DATA / file)
    x, y = (np.concatenate([arrays[f"{k}_{part}"] for part in (train, test)]) for k in "xy")
    order = np.random.default_rng(seed).permutation(len(x))
    first, rest = np.split(order, [len(arrays[f"x_{train}"])])
    path = folder / "pictures.npz"
    np.savez(path, x_train=x[first], y_train=y[first], x_test=x[rest], y_test=y[rest])
    return replace(case, calibration=f"{path}:train", parity=f"{path}:test")


def rows(work: Work, folder: Path, seed: int, efforts: Sequence[str], stock: bool) -> list[Row]:
    """Every file of the wanted tools, judged."""
    made: list[Made] = []
    if stock:
        (folder / "stock").mkdir()
        made += [row for row in stock_files(work, folder / "stock") if row[0]["by"] == "stock"]
        made += published_files(work)
    for effort in efforts:
        made += our_files(work, folder / effort, effort)
    found = [{"seed": seed, **judged(each, work, folder)} for each in made]
    failed = [f"{row['tool']}: {row['error']}" for row in found if "error" in row]
    if failed:
        raise SystemExit("\n".join(failed))
    return [{key: row[key] for key in KEPT if key in row} for row in found]


def table(results: dict[str, Any]) -> str:
    """Means over the seeds."""
    lines = [
        "| model | tool | format | agreement, % (lowest) | SQNR, dB | top-1, % | drop, points |",
        "| --- | --- | --- | ---: | ---: | ---: | ---: |",
    ]
    for name, found in results.items():
        for tool, format in dict.fromkeys((row["tool"], row["format"]) for row in found):
            own = [row for row in found if (row["tool"], row["format"]) == (tool, format)]
            agreement = [row["agreement"] for row in own]
            top1, drop = (mean(row[key] for row in own) for key in ("top1", "drop"))
            sqnr = [row["sqnr_db"] for row in own if "sqnr_db" in row]
            sqnr_db = f"{mean(sqnr):.1f}" if sqnr else "–"
            found_by = f"| {name} | {tool} | {TITLES[format]} "
            agreed = f"| {mean(agreement):.2f} ({min(agreement):.1f}) | {sqnr_db} "
            lines.append(f"{found_by}{agreed}| {top1:.2f} | {drop:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--efforts", nargs="+", default=["balanced", "best"])
    parser.add_argument("--again", action="store_true", help="measure edgeconv's rows anew")
    parser.add_argument("--render", action="store_true", help="only print the table again")
    args = parser.parse_args()
    os.environ["PYTHONPATH"] = f"{HERE}:{HERE.parent}"
    results: dict[str, list[Row]] = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    for name in [] if args.render else args.models:
        known = results.setdefault(name, [])
        for seed in args.seeds:
            own = [row for row in known if row["seed"] == seed]
            efforts = args.efforts
            if not args.again:
                efforts = [e for e in efforts if e not in {row.get("effort") for row in own}]
            stock = not any(row["by"] == "stock" for row in own)
            if not efforts and not stock:
                continue
            Console(stderr=True).print(f"{name}: split {seed}")
            with tempfile.TemporaryDirectory(prefix="edgeconv-") as scratch:
                folder = Path(scratch)
                work = lay_out(pooled(CASES[name], seed, folder), folder, seed)
                found = rows(work, folder, seed, efforts, stock)
            keys = {(row["seed"], row["tool"], row["format"]) for row in found}
            known = [row for row in known if (row["seed"], row["tool"], row["format"]) not in keys]
            results[name] = known = [*known, *found]
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
