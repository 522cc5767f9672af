"""``edgeconv demo``: the main job on an embedded example, each command shown as it runs."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from edgeconv.cli.arguments import whole_number
from edgeconv.cli.console import Console

__all__ = ["HELP", "configure", "run"]

HELP = "train a small model on handwritten digits, export it to int8 and run the bundle"

EPILOG = """\
It makes DIR/digits.keras with its data, labels and preprocessing, shows the two commands that
you would type for a model of your own, and runs them: export, then run.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "--output", type=Path, default=Path("demo-out"), metavar="DIR",
        help="folder to work in; default: demo-out",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=whole_number(0, 2**32 - 1), default=0, metavar="N",
        help="of the splits and the training; default 0",
    )  # fmt: skip


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, export, run; stop at the first command that doesn't end with 0."""
    from edgeconv.demo import make_demo

    demo = make_demo(args.output, args.seed, console)
    console.done()
    bundle = args.output / "digits-int8"
    export = [
        *("export", str(demo.model), "--int8"),
        *("--preprocess", str(demo.preprocess)),
        *("--labels", str(demo.labels)),
        *("--calibration", f"{demo.data}:calibration"),
        *("--parity", f"{demo.data}:test"),
        *("--output", str(bundle), "--force"),
    ]
    show = ["run", str(bundle), *map(str, demo.pictures), "--top", "3"]
    with _results_for_people(console):
        print(f"\nA small CNN, right on {demo.accuracy:.1f}% of 600 digits that it never saw.")
        code = _command(export) or _command(show)
        if code == 0:
            _farewell(bundle, demo.pictures[0])
    if console.as_json and code:
        hint = "What that command said stands on stderr."
        console.fail("demo", f"A command of the demo ended with code {code}.", hint)
    elif console.as_json:
        files = {"bundle": str(bundle), "report": str(bundle / "report.html")}
        console.result({"schema_version": 1, "accuracy": demo.accuracy, **files})
    return code


def _command(argv: list[str]) -> int:
    """Echo a command as a person would type it, and run it."""
    from edgeconv.cli import main

    text = shlex.join(["edgeconv", *argv]).replace(" --", " \\\n    --")
    print(f"\n$ {text}\n", flush=True)
    return main(argv)


def _farewell(bundle: Path, picture: Path) -> None:
    print(f"\nThe report:          {bundle / 'report.html'}")
    print(f"Without edgeconv:    python {bundle / 'infer.py'} {picture}")
    if sys.prefix != sys.base_prefix and shutil.which("edgeconv") is None:
        here = os.path.relpath(Path(sys.prefix) / "bin" / "activate")
        print(f"To type them here:   source {here}")


@contextmanager
def _results_for_people(console: Console) -> Iterator[None]:
    """With ``--json``, what the commands print goes to stderr: stdout is for one object."""
    if not console.as_json:
        yield
        return
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        sys.stdout.flush()
        os.dup2(stdout, 1)
        os.close(stdout)
