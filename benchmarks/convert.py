"""Time and memory of converting a model of the zoo, against the script that a user would write.

Both take the same .keras file (seeded random weights, made alive and saved once,
which is not measured) and the same few pictures to int8 TFLite and int8 ONNX, and run
both files; each run is a process of its own, in turn. Few pictures, so that converting
is what is measured. Prints a table and exits with 1 where a bound is missed:

    seconds   at most a third of the stock script's (median, of the models that ask for it)
    peak      at most 2.0 GB + 8 x the float32 weights, summed PSS of the process tree

    python benchmarks/convert.py [--models densenet121,vgg16] [--pictures 8] [--repeat 1]
                                 [--no-stock] [--json FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from measure import Run, measure
from rich.console import Console
from rich.table import Table

from edgeconv.load.zoo import ZOO, ZooModel

HERE = Path(__file__).resolve().parent
PICTURES = HERE.parent / "calibration" / "pictures"

WALL_RATIO_BOUND = 1 / 3
# Of the conversion as a whole; stock tools are not held to it.
FIXED_BYTES, BYTES_A_WEIGHT_BYTE = 2.0e9, 8
FLOAT32_BYTES = 4


def write_manifest(folder: Path, pictures: int) -> Path:
    """Two splits of as many pictures; with random weights the classes mean nothing."""
    found = sorted(PICTURES.rglob("*.jpg"))
    if len(found) < 2 * pictures:
        sys.exit(f"{PICTURES} has {len(found)} pictures; --pictures can be {len(found) // 2}")
    lines = ["file,split,class_index"]
    for i, picture in enumerate(found[: 2 * pictures]):
        shutil.copy(picture, folder / picture.name)
        split = "calibration" if i < pictures else "evaluation"
        lines.append(f"{picture.name},{split},{i % 10}")
    path = folder / "manifest.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def edgeconv_command(model: Path, manifest: Path, output: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "edgeconv", "export", str(model), "--int8"),
        # What the stock script does to pictures: crop, and scale to [-1, 1].
        *("--preprocess", "mobilenetv2"),
        *("--calibration", f"{manifest}:calibration", "--parity", f"{manifest}:evaluation"),
        *("--output", str(output), "--json"),
    ]


def stock_command(model: Path, manifest: Path, output: Path) -> list[str]:
    return [
        *(sys.executable, str(HERE / "stock_export.py"), "--model", str(model)),
        *("--manifest", str(manifest), "--output", str(output)),
    ]


COMMANDS = {"edgeconv": edgeconv_command, "stock": stock_command}


def save_model(model: ZooModel, folder: Path) -> Path:
    path = folder / f"{model.name}.keras"
    command = [sys.executable, str(HERE / "make_keras.py"), model.name, str(path)]
    subprocess.run(command, check=True, capture_output=True)
    return path


def run_once(name: str, model: Path, pictures: int) -> Run:
    with tempfile.TemporaryDirectory() as name_of_folder:
        folder = Path(name_of_folder)
        command = COMMANDS[name](model, write_manifest(folder, pictures), folder / "out")
        # A cache would answer the second run of ours.
        run = measure(command, EDGECONV_CACHE=str(folder / "cache"))
    print(
        f"{model.stem}: {name}: {run.wall_s:.1f} s ({run.cpu_s:.1f} of the processor), "
        f"{run.peak_mib:.0f} MiB, code {run.code}",
        file=sys.stderr,
    )
    if run.code not in (0, 1):
        print(run.stdout[-2000:] + run.stderr[-2000:], file=sys.stderr)
    return run


def without_text(run: Run) -> dict[str, Any]:
    return {k: v for k, v in asdict(run).items() if k not in ("stdout", "stderr")}


def judge(model: ZooModel, runs: dict[str, list[Run]]) -> dict[str, Any]:
    """Medians, ratio and bounds of one model."""
    wall_s = {name: statistics.median(run.wall_s for run in of) for name, of in runs.items()}
    peak_gb = {name: max(run.peak_mib for run in of) * 2**20 / 1e9 for name, of in runs.items()}
    weights = model.parameters * FLOAT32_BYTES
    bound_gb = (FIXED_BYTES + BYTES_A_WEIGHT_BYTE * weights) / 1e9
    failed = sorted(name for name, of in runs.items() if any(r.code not in (0, 1) for r in of))
    cpu_s = {name: statistics.median(run.cpu_s for run in of) for name, of in runs.items()}
    paired = "stock" in runs and not failed
    ratio = wall_s["edgeconv"] / wall_s["stock"] if paired else None
    return {
        "model": model.name,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
        "peak_gb": peak_gb,
        "weights_mb": weights / 1e6,
        "peak_bound_gb": bound_gb,
        "wall_ratio": ratio,
        "failed": failed,
        "met": "edgeconv" not in failed
        and peak_gb["edgeconv"] <= bound_gb
        and (ratio is None or ratio <= WALL_RATIO_BOUND),
        "runs": {name: [without_text(run) for run in of] for name, of in runs.items()},
    }


def show(rows: list[dict[str, Any]], title: str) -> None:
    table = Table(title=title)
    columns = ("model", "weights MB", "", "seconds", "CPU s", "peak GB", "bound GB", "ratio", "met")
    for column in columns:
        table.add_column(column, justify="left" if column in ("model", "", "met") else "right")
    for row in rows:
        for name in row["wall_s"]:
            ours = name == "edgeconv"
            ratio = row["wall_ratio"]
            table.add_row(
                row["model"] if ours else "",
                f"{row['weights_mb']:.0f}" if ours else "",
                name + (" (failed)" if name in row["failed"] else ""),
                f"{row['wall_s'][name]:.1f}",
                f"{row['cpu_s'][name]:.1f}",
                f"{row['peak_gb'][name]:.2f}",
                f"{row['peak_bound_gb']:.2f}" if ours else "",
                f"{ratio:.2f}" if ours and ratio is not None else "",
                ("yes" if row["met"] else "NO") if ours else "",
            )
    Console(width=110).print(table)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default="densenet121", help="zoo names, comma between")
    parser.add_argument("--pictures", type=int, default=8, help="to calibrate on, and to judge on")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each, in turn (1)")
    parser.add_argument("--no-stock", action="store_true", help="measure edgeconv alone")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    args = parser.parse_args()
    entries = {model.name: model for model in ZOO}
    unknown = [name for name in args.models.split(",") if name not in entries]
    if unknown:
        sys.exit(f"no such model: {', '.join(unknown)}; edgeconv models lists them")

    names = ["edgeconv"] if args.no_stock else list(COMMANDS)
    rows = []
    for model in (entries[name] for name in args.models.split(",")):
        runs: dict[str, list[Run]] = {name: [] for name in names}
        with tempfile.TemporaryDirectory() as folder:
            path = save_model(model, Path(folder))
            for _ in range(args.repeat):
                for name in names:
                    runs[name].append(run_once(name, path, args.pictures))
        rows.append(judge(model, runs))
    show(rows, f"int8 TFLite and ONNX, {args.pictures} pictures, {args.repeat} runs of each")
    if args.json:
        args.json.write_text(json.dumps({"schema_version": 1, "models": rows}, indent=2) + "\n")
    return 0 if all(row["met"] for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
