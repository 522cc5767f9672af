"""What training int8 weights with their rounding brings, beside what needs no training.

    python benchmarks/qat.py [--model NAME] [--epochs N] [--seed N]

One row a format of `edgeconv export` with plain int8 (--effort fast), with all that needs no
training (--effort best), and the same with --qat: 1,000 CIFAR-10 pictures to calibrate and
train (200 of them held back, to judge rungs by), 2,000 others to judge. Data is looked for in
EDGECONV_DATA (default: ../shared/data). The figures stand in docs/quantization.md.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EDGECONV_DATA", HERE.parent.parent / "shared" / "data"))
MODELS = {
    "mobilenetv3small": DATA / "models" / "mobilenetv3small_cifar10.keras",
    "resnet8": DATA / "mlperf-tiny" / "image_classification" / "pretrainedResnet.h5",
}
PICTURES = DATA / "cifar10" / "cifar10_sample.npz"
HEADINGS = (
    "int8", "format", "kept", "top-1, %", "drop, points (95%)", "agreement, %", "KL, nats",
    "SQNR, dB", "CPU, s",
)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=MODELS, default="mobilenetv3small")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    epochs = [] if args.epochs is None else ["--qat-epochs", str(args.epochs)]
    orders = {
        "plain": ["--effort", "fast"],
        "best without training": ["--effort", "best"],
        "best with `--qat`": ["--effort", "best", "--qat", *epochs],
    }
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + " --- |" * len(HEADINGS))
    for name, order in orders.items():
        for row in rows(name, MODELS[args.model], [*order, "--seed", str(args.seed)]):
            print(row, flush=True)
    return 0


def rows(name: str, model: Path, order: list[str]) -> Iterator[str]:
    """One line an artifact."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    found = export(model, order)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    rungs = (found["recovery"] or {"rungs": []})["rungs"]
    kept = ", ".join(rung["name"] for rung in rungs[1:] if rung["kept"]) or "-"
    for artifact in found["verdict"]["artifacts"]:
        metrics = artifact["metrics"]
        drop = metrics["top1_drop"]
        yield (
            f"| {name} | {artifact['format']} | {kept} | {metrics['top1']:.2f}"
            f" | {drop['estimate']:.2f} ({drop['ci95'][0]:.1f} to {drop['ci95'][1]:.1f})"
            f" | {metrics['agreement']:.2f} | {metrics['mean_kl']:.4f} | {metrics['sqnr_db']:.1f}"
            f" | {seconds:.0f} |"
        )


def export(model: Path, order: list[str]) -> dict[str, Any]:
    """The object that ``edgeconv export --json`` prints."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable, "-m", "edgeconv", "export", model, "--preprocess", "none",
            "--calibration", f"{PICTURES}:train", "--parity", f"{PICTURES}:test",
            "--output", f"{folder}/bundle", "--no-cache", "--json", *order,
        ]  # fmt: skip
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise SystemExit(done.stderr or done.stdout)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


if __name__ == "__main__":
    sys.exit(main())
