"""edgeconv against the script that a user would write without it.

Both take the same Keras model and the same pictures to int8 TFLite and int8
ONNX and score both files on the evaluation split; each run is a process of
its own, in turn. Prints a table and exits with 1 where a bound is missed.

    python benchmarks/export.py [--repeat 3] [--cache] [--json FILE]

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from measure import Run, measure
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EDGECONV_DATA", HERE.parent.parent / "shared" / "data"))
MODEL = DATA / "models" / "mobilenetv2_imagenet.keras"
MANIFEST = DATA / "imagenet-sample" / "manifest.csv"

# What edgeconv promises: seconds as a share of the stock script's, and no more memory.
WALL_RATIO_BOUND = 0.6
PEAK_RATIO_BOUND = 1.0


def edgeconv_command(output: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "edgeconv", "export", str(MODEL)),
        *("--preprocess", "mobilenetv2", "--int8", "--format", "tflite,onnx"),
        *("--calibration", f"{MANIFEST}:calibration", "--parity", f"{MANIFEST}:evaluation"),
        *("--output", str(output), "--json"),
    ]


def stock_command(output: Path) -> list[str]:
    return [
        *(sys.executable, str(HERE / "stock_export.py"), "--model", str(MODEL)),
        *("--manifest", str(MANIFEST), "--output", str(output)),
    ]


COMMANDS = {"edgeconv export": edgeconv_command, "stock script": stock_command}


def run_once(name: str, options: list[str]) -> Run:
    with tempfile.TemporaryDirectory() as folder:
        run = measure(COMMANDS[name](Path(folder) / "out") + options)
    # 1 is a verdict: it ran to its end, and the table shows what was lost.
    if run.code not in (0, 1):
        sys.exit(f"{name} ended with code {run.code}:\n{run.stdout[-2000:]}\n{run.stderr[-2000:]}")
    return run


def scores(name: str, stdout: str) -> str:
    """Top-1 and agreement of each int8 file, as the run itself printed them."""
    report = json.loads(stdout.splitlines()[-1] if name == "stock script" else stdout)
    if name == "stock script":
        found = {format: report[format] for format in ("tflite", "onnx")}
    else:
        found = {a["format"]: a["metrics"] for a in report["verdict"]["artifacts"]}
    return ", ".join(
        f"{format} {m['top1']:.1f} % ({m['agreement']:.1f} %)" for format, m in found.items()
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, in turn (3)")
    parser.add_argument("--cache", action="store_true", help="use what an earlier export lowered")
    parser.add_argument("--json", type=Path, help="write every run to this file")
    args = parser.parse_args()
    if not MODEL.is_file():
        sys.exit(f"needs {MODEL}; say where the data is with EDGECONV_DATA")

    runs: dict[str, list[Run]] = {name: [] for name in COMMANDS}
    for turn in range(args.repeat):
        for name in COMMANDS:
            own = name == "edgeconv export" and not args.cache
            runs[name].append(run_once(name, ["--no-cache"] if own else []))
            last = runs[name][-1]
            print(
                f"run {turn + 1}: {name}: {last.wall_s:.1f} s, {last.peak_mib:.0f} MiB",
                file=sys.stderr,
            )

    wall_s = {n: statistics.median(r.wall_s for r in rs) for n, rs in runs.items()}
    peak_mib = {n: max(r.peak_mib for r in rs) for n, rs in runs.items()}
    ours, stock = COMMANDS
    ratios = {"wall": wall_s[ours] / wall_s[stock], "peak": peak_mib[ours] / peak_mib[stock]}
    met = ratios["wall"] <= WALL_RATIO_BOUND and ratios["peak"] <= PEAK_RATIO_BOUND

    table = Table(title=f"MobileNetV2 to int8 TFLite and ONNX, {args.repeat} runs of each in turn")
    table.add_column("")
    table.add_column("seconds (median)", justify="right")
    table.add_column("peak MiB (highest)", justify="right")
    table.add_column("top-1 (agreement)")
    for name in COMMANDS:
        row = (f"{wall_s[name]:.1f}", f"{peak_mib[name]:.0f}", scores(name, runs[name][-1].stdout))
        table.add_row(name, *row)
    table.add_row("ratio", f"{ratios['wall']:.2f}", f"{ratios['peak']:.2f}", "")
    table.add_row("bound", f"{WALL_RATIO_BOUND:.2f}", f"{PEAK_RATIO_BOUND:.2f}", "")
    Console(width=110).print(table)

    if args.json:
        content = {
            "schema_version": 1,
            "ratios": ratios,
            "met": met,
            "runs": {
                name: [{k: v for k, v in asdict(r).items() if k != "stderr"} for r in rs]
                for name, rs in runs.items()
            },
        }
        args.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
