"""The options that ``infer.py`` and ``edgeconv run`` share, and what they ask for."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Optional

from edgeconv.errors import HostFailure, UsageError
from edgeconv.runtime.engines import ENGINES
from edgeconv.runtime.measure import Work
from edgeconv.runtime.providers import DEVICES
from edgeconv.runtime.session import Session

__all__ = ["add_bench_arguments", "add_run_arguments", "open_session", "wants_work", "work_of"]

_MAX_BATCH = 4096
_MAX_CALLS = 1_000_000


def add_run_arguments(parser: argparse.ArgumentParser) -> None:
    """What ``infer.py`` and ``edgeconv run`` share."""
    parser.add_argument(
        "--top",
        type=_count(1_000_000),
        default=5,
        metavar="N",
        help="how many classes to print (default: 5)",
    )
    parser.add_argument(
        "--engine", choices=list(ENGINES), help="default: the first that is installed"
    )
    parser.add_argument(
        "--device",
        choices=list(DEVICES),
        default="cpu",
        help="default: cpu; gpu is TensorRT where it starts, else CUDA",
    )
    parser.add_argument(
        "--allow-fallback",
        action="store_true",
        help="take the CPU where the device can't, and say so (default: an error)",
    )
    parser.add_argument(
        "--threads",
        type=_count(1024),
        default=1,
        metavar="N",
        help="threads an inference (default: 1)",
    )
    parser.add_argument(
        "--batch",
        type=_count(_MAX_BATCH),
        default=1,
        metavar="N",
        help="items that go through the model at once (default: 1)",
    )
    parser.add_argument(
        "--inputs-npz",
        type=Path,
        metavar="X.npz",
        help="in place of INPUT: x0, x1, ..., preprocessed float32 [N, ...], one a model input",
    )
    parser.add_argument(
        "--outputs-npz",
        type=Path,
        metavar="Y.npz",
        help="write the raw outputs of --inputs-npz: y0, y1, ..., in the model file's own dtype",
    )


def add_bench_arguments(parser: argparse.ArgumentParser) -> None:
    """What only ``infer.py`` has."""
    parser.add_argument(
        "--bench",
        action="store_true",
        help="time the model on --inputs-npz, or on the bundle's golden inputs",
    )
    parser.add_argument(
        "--repeat",
        type=_count(_MAX_CALLS),
        default=50,
        metavar="N",
        help="calls that --bench times (default: 50)",
    )
    parser.add_argument(
        "--warmup",
        type=_count(_MAX_CALLS, low=0),
        metavar="N",
        help="calls before the clock starts (default: 5 with --bench, else 0)",
    )
    parser.add_argument(
        "--bind",
        action="store_true",
        help="with --bench: keep inputs and outputs on the device, and time the model alone",
    )
    parser.add_argument(
        "--profile",
        action="store_true",
        help="with --bench: how long each operator takes, where the engine can tell",
    )


def work_of(args: argparse.Namespace) -> Work:
    """What ``--inputs-npz`` and ``--bench`` ask for.

    Raises:
        UsageError: Options that exclude each other.
        HostFailure: The outputs have no folder to stand in.
    """
    bench = getattr(args, "bench", False)
    if args.inputs:
        raise UsageError(
            f"{'--inputs-npz' if args.inputs_npz else '--bench'} takes no INPUT.",
            "Pass the arrays of an .npz file, or pictures, not both.",
        )
    _check_outputs(args.inputs_npz, args.outputs_npz)
    warmup = getattr(args, "warmup", None)
    if warmup is None:
        warmup = 5 if bench else 0
    return Work(
        inputs=args.inputs_npz,
        outputs=args.outputs_npz,
        bench=bench,
        batch=args.batch,
        repeat=getattr(args, "repeat", 1),
        warmup=warmup,
        bind=getattr(args, "bind", False),
        profile=getattr(args, "profile", False),
    )


def _check_outputs(inputs: Optional[Path], outputs: Optional[Path]) -> None:
    """Before minutes are spent: what can't be written, or should not be."""
    if outputs is None:
        return
    if outputs.is_dir():
        raise HostFailure(f"{outputs} can't be written: it is a folder.", "Name a file.")
    if not outputs.parent.is_dir():
        raise HostFailure(
            f"{outputs} can't be written: there is no folder {outputs.parent}.", "Make it first."
        )
    if inputs is not None and outputs.resolve() == inputs.resolve():
        raise UsageError(
            "--inputs-npz and --outputs-npz name the same file.", "Name another for the outputs."
        )


def wants_work(args: argparse.Namespace) -> bool:
    """Whether arrays are to be run raw or timed, in place of answering inputs.

    Raises:
        UsageError: There is nothing to be run.
    """
    if args.inputs_npz is not None or getattr(args, "bench", False):
        return True
    if args.outputs_npz is not None:
        raise UsageError("--outputs-npz has no --inputs-npz.", "Pass both.")
    if not args.inputs:
        raise UsageError("No INPUT was given.", "Pass pictures, .npy files or --inputs-npz.")
    return False


def open_session(folder: Path, args: argparse.Namespace) -> tuple[Session, float]:
    """The bundle as the options ask for it, and the milliseconds that it took."""
    start = time.perf_counter()
    session = Session.open(folder, args.device, args.engine, args.allow_fallback, args.threads)
    return session, (time.perf_counter() - start) * 1e3


def _count(high: int, low: int = 1) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal()) or int(text[:12]) < low:
            raise argparse.ArgumentTypeError(f"{text!r} is no count of {low} or more")
        if len(text) > 12 or int(text) > high:
            raise argparse.ArgumentTypeError(f"{text!r} is more than {high}")
        return int(text)

    return parse
