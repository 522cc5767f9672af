"""`edgeconv finetune` and then `export --int8` on CIFAR-10 pictures: accuracy, time, memory.

The 1,000 training pictures and the 2,000 test pictures of cifar10_sample.npz become folders,
one a class. 85% of the former train, the others say when to stop. Also how much faster an
epoch of the head is because the frozen base's features are computed once. Puts its rows
into docs/finetune.json and prints them all.

    python benchmarks/finetune.py [--sizes 160] [--weights imagenet none] [--epochs 12]

Data is looked for in EDGECONV_DATA (default: ../shared/data).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measure import Run, measure
from PIL import Image
from rich.console import Console
from rich.table import Table

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("EDGECONV_DATA", HERE.parent.parent / "shared" / "data"))
RESULTS = HERE.parent / "docs" / "finetune.json"
WEIGHTS = DATA / "models" / "mobilenetv2_imagenet.keras"
BASE = "mobilenetv2"


def write_folders(folder: Path) -> None:
    """``train/CLASS/0001.png``, ...; ``test`` likewise."""
    with np.load(DATA / "cifar10" / "cifar10_sample.npz", allow_pickle=False) as sample:
        names = [str(name) for name in sample["classes"]]
        for split in ("train", "test"):
            for name in names:
                (folder / split / name).mkdir(parents=True)
            pairs = zip(sample[f"x_{split}"], sample[f"y_{split}"], strict=True)
            for number, (pixels, index) in enumerate(pairs):
                place = folder / split / names[int(index)] / f"{number:04}.png"
                Image.fromarray(pixels).save(place)


def edgeconv(*arguments: object) -> tuple[Run, dict[str, Any]]:
    """The command line, measured, with its JSON."""
    run = measure([sys.executable, "-m", "edgeconv", *map(str, arguments), "--json"])
    if not run.stdout:
        sys.exit(run.stderr)
    return run, json.loads(run.stdout)


def train(folder: Path, size: int, weights: str, epochs: int) -> dict[str, Any]:
    """One model, trained, exported and judged."""
    model = folder / f"cifar-{size}-{weights}.keras"
    source = WEIGHTS if weights == "imagenet" else "none"
    order = ("finetune", BASE, "--weights", source, "--size", size, "--epochs", epochs)
    places = ("--data", folder / "train", "--test", folder / "test", "--output", model)
    run, found = edgeconv(*order, *places, "--force")
    bundle = folder / f"bundle-{size}-{weights}"
    export, exported = edgeconv("export", model, "--int8", "--output", bundle, "--force")
    heads = [epoch["seconds"] for epoch in found["epochs"] if epoch["phase"] == "head"]
    looked = re.search(r"features of .*?([0-9.]+) s", run.stderr)
    return {
        "base": BASE,
        "weights": weights,
        "size": size,
        "top1": found["test_accuracy"],
        "ci95": found["test_accuracy_ci95"],
        "epochs": len(found["epochs"]),
        "best_epoch": found["best_epoch"],
        "wall_s": run.wall_s,
        "cpu_s": run.cpu_s,
        "peak_mib": run.peak_mib,
        "features_s": float(looked[1]) if looked else None,
        "head_epoch_s": float(np.median(heads[1:])) if heads[1:] else None,
        "export_wall_s": export.wall_s,
        "export_code": export.code,
        "artifacts": [
            {name: each[name] for name in ("file", "status", "metrics")}
            for each in exported["verdict"]["artifacts"]
        ],
    }


def _case(row: dict[str, Any]) -> tuple[str, int]:
    return row["weights"], row["size"]


def show(rows: list[dict[str, Any]], console: Console) -> None:
    """What is in docs/finetune.json, for people."""
    table = Table(title="fine-tuned on CIFAR-10's pictures")
    heads = ("weights", "size", "top-1", "epochs", "wall", "CPU", "peak")
    for head in (*heads, "head: an epoch, cached", "the same, computed anew", "int8"):
        table.add_column(head)
    for row in rows:
        cached, looked = row["head_epoch_s"], row["features_s"]
        ratio = f"{looked + cached:.1f} s, {1 + looked / cached:.0f} times" if cached else "-"
        int8 = [f"{a['file']} {a['metrics']['top1']:.1f}% {a['status']}" for a in row["artifacts"]]
        table.add_row(
            row["weights"],
            str(row["size"]),
            f"{row['top1']:.1f}%",
            f"{row['best_epoch']} of {row['epochs']}",
            f"{row['wall_s']:.0f} s",
            f"{row['cpu_s']:.0f} s",
            f"{row['peak_mib']:.0f} MiB",
            f"{cached:.2f} s" if cached else "-",
            ratio,
            "; ".join(int8),
        )
    console.print(table)


def main() -> None:
    """Measure each case in turn."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[160])
    parser.add_argument("--weights", nargs="+", default=["imagenet", "none"])
    parser.add_argument("--epochs", type=int, default=12)
    args = parser.parse_args()
    rows = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    with tempfile.TemporaryDirectory() as name:
        write_folders(Path(name))
        for weights in args.weights:
            for size in args.sizes:
                row = train(Path(name), size, weights, args.epochs)
                rows = [each for each in rows if _case(each) != _case(row)] + [row]
                rows.sort(key=_case)
                RESULTS.write_text(json.dumps(rows, indent=1) + "\n")
    show(rows, Console(width=160))


if __name__ == "__main__":
    main()
