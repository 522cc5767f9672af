"""``edgeconv bench``: how fast a bundle is, here or on a device."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeconv.cli.arguments import filled_path, whole_number
from edgeconv.cli.console import Console
from edgeconv.cli.files import write_text
from edgeconv.errors import UsageError
from edgeconv.pictures import printable

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "measure latency, throughput, load time and memory of a bundle"

EPILOG = """\
examples:
  edgeconv bench mobilenetv2-int8 --threads 1,2,4
      each engine that is installed; median and 95th percentile after warm-up
  edgeconv bench mobilenetv2-int8 --compare mobilenetv2-fp32
      float beside int8, and where int8 is no gain, which operators are to blame
  edgeconv bench mobilenetv2-int8 --on ssh://pi@raspberrypi --threads 1,4 --output pi.svg
      on a device: needs Python 3.9, NumPy, Pillow and one engine there
  edgeconv bench mobilenetv2-fp16 --device cuda --batch 1,2,4,8,16,32,64,128 --bind
      throughput of a GPU; --bind leaves the copies to it and back out (docs/gpu.md)

Every measurement is a process of its own; all cases take turns, in --rounds rounds.
docs/bench.md says how the figures are made.
"""

_SHOWN_OPERATORS = 5


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    from edgeconv.runtime.engines import ENGINES
    from edgeconv.runtime.providers import DEVICES

    add = parser.add_argument
    add("bundle", type=filled_path, metavar="BUNDLE", help="the folder that export made")
    add(
        "--compare", type=filled_path, action="append", default=[], metavar="BUNDLE",
        help="another one beside it, such as the float export; may be given again",
    )  # fmt: skip
    add("--on", metavar="TARGET", help="local, ssh://user@host, adb:SERIAL or qemu:aarch64")
    add("--python", metavar="PATH", help="the interpreter on the target")
    add(
        "--engine", type=_names(ENGINES), default=(), metavar="NAMES",
        help=f"of {', '.join(ENGINES)}, with commas between; by default each that is there",
    )  # fmt: skip
    add("--device", choices=list(DEVICES), default="cpu", help="default: cpu")
    add(
        "--allow-fallback", action="store_true",
        help="take the CPU where the device can't, and say so (default: an error)",
    )  # fmt: skip
    add(
        "--threads", type=_numbers(1024), default=(1,), metavar="N,N",
        help="threads an inference, with commas between (default: 1)",
    )  # fmt: skip
    add(
        "--batch", type=_numbers(4096), default=(1,), metavar="N,N",
        help="items a call, with commas between (default: 1)",
    )  # fmt: skip
    add(
        "--repeat", type=whole_number(1, 1_000_000), metavar="N",
        help="timed calls a measurement (default: about a second, 10 to 200 calls)",
    )  # fmt: skip
    add("--rounds", type=whole_number(1, 100), default=3, metavar="N", help="default: 3")
    add(
        "--warmup", type=whole_number(0, 1_000_000), default=5, metavar="N",
        help="calls before the clock starts (default: 5)",
    )  # fmt: skip
    add("--bind", action="store_true", help="keep inputs and outputs on the device (ONNX Runtime)")
    add(
        "--output", type=Path, action="append", default=[], metavar="FILE",
        help="write FILE.json or FILE.svg; may be given again",
    )  # fmt: skip


def run(args: argparse.Namespace, console: Console) -> int:
    """Measure, show the table and what it means, write what was asked for."""
    from edgeconv.device.benchmark import BenchRequest, benchmark
    from edgeconv.package.infer import build_infer_script

    _check_outputs(args.output)
    request = BenchRequest(
        bundles=(args.bundle, *args.compare),
        on=args.on,
        python=args.python,
        engines=args.engine,
        device=args.device,
        allow_fallback=args.allow_fallback,
        threads=args.threads,
        batch=args.batch,
        repeat=args.repeat,
        rounds=args.rounds,
        warmup=args.warmup,
        bind=args.bind,
        script=build_infer_script() if args.on else "",
    )
    result = benchmark(request, console)
    console.done()
    for path in args.output:
        _write(path, result)
    if console.as_json:
        console.result(result)
    else:
        _show(result, console)
    return 0


def _show(result: dict[str, Any], console: Console) -> None:
    where = "" if result["target"] == "here" else f"{result['target']}: "
    console.print(printable(f"{where}{result['machine']}"))
    console.print(_table(result["rows"]))
    for profile in result["operators"]:
        _show_operators(profile, console)
    fallbacks = {row["fallback"] for row in result["rows"]} - {None}
    for sentence in [*sorted(fallbacks), *result["findings"]]:
        console.print(printable(sentence))


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("bundle", "precision", "engine", "device"):
        table.add_column(title)
    for title in ("threads", "batch", "median ms", "p95 ms", "items/s", "load ms", "peak MiB"):
        table.add_column(title, justify="right")
    for row in rows:
        peak = row["peak_memory_kib"]
        table.add_row(
            *(
                escape(printable(str(row[key])))
                for key in ("bundle", "precision", "engine", "device")
            ),
            str(row["threads"]),
            str(row["batch"]),
            f"{row['latency_ms_median']:.2f}",
            f"{row['latency_ms_p95']:.2f}",
            f"{row['items_per_s']:.1f}",
            f"{row['load_ms']:.0f}",
            "-" if peak is None else f"{peak / 1024:.1f}",
        )
    return table


def _show_operators(profile: dict[str, Any], console: Console) -> None:
    name = f"{profile['bundle']}, {profile['engine']}"
    if profile["note"]:
        console.print(printable(f"{name}: {profile['note']}"))
        return
    slowest = sorted(profile["rows"], key=lambda row: -row["ms"])[:_SHOWN_OPERATORS]
    console.print(printable(f"{name}: the slowest of {len(profile['rows'])} operators"))
    for row in slowest:
        line = f"  {row['ms']:8.3f} ms  {row['percent']:5.1f}%  {row['op']:<18} {row['layer']}"
        console.print(printable(line))


def _check_outputs(paths: list[Path]) -> None:
    """Before minutes are spent."""
    for path in paths:
        if path.suffix not in (".json", ".svg"):
            raise UsageError(f"{path} is neither .json nor .svg.", "Name a file that ends so.")
        if path.is_dir():
            raise UsageError(f"{path} is a folder.", "Name a file.")
        if not path.absolute().parent.is_dir():
            raise UsageError(f"There is no folder {path.absolute().parent}.", "Make it first.")


def _write(path: Path, result: dict[str, Any]) -> None:
    import json

    from edgeconv.device.benchmark import plot

    write_text(path, plot(result) if path.suffix == ".svg" else json.dumps(result, indent=2) + "\n")


def _numbers(high: int) -> Callable[[str], tuple[int, ...]]:
    one = whole_number(1, high)

    def parse(text: str) -> tuple[int, ...]:
        return tuple(dict.fromkeys(one(part.strip()) for part in text.split(",")))

    return parse


def _names(known: dict[str, Any]) -> Callable[[str], tuple[str, ...]]:
    def parse(text: str) -> tuple[str, ...]:
        names = tuple(dict.fromkeys(part.strip() for part in text.split(",")))
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(known)}")
        return names

    return parse
