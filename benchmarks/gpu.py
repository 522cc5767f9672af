"""A GPU beside the CPU: do they answer alike, and how many items a second go through?

    python benchmarks/gpu.py agree FP32_BUNDLE BUNDLE@DEVICE --data pictures.csv:test
    python benchmarks/gpu.py throughput BUNDLE@DEVICE... [--batch 1,2,4,8,16,32,64,128]

DEVICE is cuda, tensorrt or cpu. ``agree`` asks the float32 bundle on the CPU and the
other one on its device, counts the answers that differ, and exits with 1 where there are
more than ``--most``. ``throughput`` prints a Markdown table of items a second; docs/gpu.md
has the commands around it.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.data import open_dataset
from edgeconv.data.builtin import open_builtin
from edgeconv.device.benchmark import BenchRequest, benchmark, plot
from edgeconv.errors import EdgeconvError, UsageError
from edgeconv.runtime import Session

BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True)
class Placed:
    """A bundle and where it runs."""

    bundle: Path
    device: str


class Lines:
    """Progress as lines on stderr."""

    def stage(self, title: str, total: int | None = None) -> None:
        print(f"{title} ({total} processes)", file=sys.stderr, flush=True)

    def advance(self, steps: int = 1) -> None:
        print(".", end="", file=sys.stderr, flush=True)

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    args = _parser().parse_args(argv)
    try:
        return agree(args) if args.command == "agree" else throughput(args)
    except EdgeconvError as error:
        print(f"gpu.py: {error.message}\n  {error.hint}", file=sys.stderr)
        return error.exit_code


def agree(args: argparse.Namespace) -> int:
    """Count the answers of the device that are not the CPU's."""
    reference = Session.open(args.reference, engine="onnxruntime", threads=args.threads)
    candidate = Session.open(
        args.candidate.bundle,
        device=args.candidate.device,
        engine="onnxruntime",
        allow_fallback=args.allow_fallback,
    )
    if candidate.model.note:
        print(candidate.model.note, file=sys.stderr)
    differ, total, largest, scale = _compare(reference, candidate, args)
    version = f"{candidate.model.engine} {candidate.model.version}"
    print(
        f"{candidate.manifest.precision} on {candidate.model.device} ({version}) beside "
        f"{reference.manifest.precision} on the CPU: {differ} of {total} answers differ; largest "
        f"difference of an output {largest:.3g}, of outputs up to {scale:.3g}"
    )
    return 0 if differ <= args.most else 1


def _compare(
    reference: Session, candidate: Session, args: argparse.Namespace
) -> tuple[int, int, float, float]:
    manifest = reference.manifest
    if args.data is None:
        items = open_builtin(manifest.preprocess, "parity")
    else:
        items = open_dataset(args.data, manifest.preprocess, labels=reference.labels)
    items = items.take(args.samples)
    differ = total = 0
    largest = scale = 0.0
    for batch in items.batches(args.batch):
        (expected, *_), (found, *_) = reference.model(*batch.x), candidate.model(*batch.x)
        if not np.isfinite(found).all():
            raise UsageError(
                f"An answer on {candidate.model.device} is not finite.",
                "float16 ends at 65,504: keep the layer that exceeds it in fp32 with a scope.",
            )
        differ += int((expected.argmax(-1) != found.argmax(-1)).sum())
        total += len(expected)
        largest = max(largest, float(np.abs(expected - found).max()))
        scale = max(scale, float(np.abs(expected).max()))
    return differ, total, largest, scale


def throughput(args: argparse.Namespace) -> int:
    """Measure every bundle on its device, bound and as a server calls it, and print a table."""
    rows: list[dict[str, Any]] = []
    result: dict[str, Any] = {}
    for placed in args.bundles:
        for bind in (True, False):
            request = BenchRequest(
                bundles=(placed.bundle,),
                engines=("onnxruntime",),
                device=placed.device,
                allow_fallback=args.allow_fallback,
                threads=(args.threads,),
                batch=args.batch,
                rounds=args.rounds,
                repeat=args.repeat,
                bind=bind,
                profile=False,
            )
            result = benchmark(request, Lines())
            print(file=sys.stderr)
            rows += result["rows"]
    result = {**result, "rows": rows, "operators": [], "findings": []}
    print(result["machine"])
    print(_table(rows, args.batch))
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + "\n")
    if args.svg:
        bound = [row for row in rows if row["bound"]]
        args.svg.write_text(plot({**result, "rows": bound}), encoding="utf-8")
    return 0


def _table(rows: Sequence[dict[str, Any]], batches: Sequence[int]) -> str:
    """A row a batch size, a column a bundle: items/s alone, and with the copies."""
    names = dict.fromkeys((r["bundle"], r["precision"], r["device"]) for r in rows)
    head = ["batch", *(f"{b} ({p}) on {d}" for b, p, d in names)]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for batch in batches:
        cells = [str(batch)]
        for name in names:
            rates = {
                r["bound"]: r["items_per_s"]
                for r in rows
                if (r["bundle"], r["precision"], r["device"], r["batch"]) == (*name, batch)
            }
            cells.append(f"{rates[True]:,.0f} ({rates[False]:,.0f})")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join([*lines, "", "Items a second with everything on the device (with copies)."])


def _placed(text: str) -> Placed:
    bundle, at, device = text.rpartition("@")
    if not at or device not in ("cpu", "cuda", "tensorrt"):
        raise argparse.ArgumentTypeError(f"{text!r} is not BUNDLE@cpu, @cuda or @tensorrt")
    return Placed(Path(bundle), device)


def _batches(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(","))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("agree", help="count the answers that differ")
    one.add_argument("reference", type=Path, metavar="FP32_BUNDLE")
    one.add_argument("candidate", type=_placed, metavar="BUNDLE@DEVICE")
    one.add_argument("--data", metavar="DATA[:SPLIT]", help="default: the built-in pictures")
    one.add_argument("--samples", type=int, default=250)
    one.add_argument("--most", type=int, default=1, help="answers that may differ")
    one.add_argument("--batch", type=int, default=25)
    two = commands.add_parser("throughput", help="items a second over batch sizes")
    two.add_argument("bundles", type=_placed, nargs="+", metavar="BUNDLE@DEVICE")
    two.add_argument("--batch", type=_batches, default=BATCHES)
    two.add_argument("--rounds", type=int, default=3)
    two.add_argument("--repeat", type=int)
    two.add_argument("--json", type=Path, metavar="FILE")
    two.add_argument("--svg", type=Path, metavar="FILE")
    for command in (one, two):
        command.add_argument("--threads", type=int, default=1, help="of the CPU")
        command.add_argument("--allow-fallback", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())
