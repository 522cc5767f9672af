"""``edgeconv verify``: the parity gate, for people and for CI."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from edgeconv.cli.arguments import filled, filled_path, whole_number
from edgeconv.cli.console import Console
from edgeconv.errors import UsageError
from edgeconv.pictures import printable
from edgeconv.types import Task

if TYPE_CHECKING:
    from edgeconv.load import LoadRequest
    from edgeconv.verification import VerifyRequest
    from edgeconv.verification.on_device import DeviceOrder
    from edgeconv.verify import Policy

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "hold a bundle or a model file against its original, as a gate"

EPILOG = """\
examples:
  edgeconv verify mobilenetv2-int8 --data pictures.csv:test
      a bundle of a zoo model against that model; exit code 1 where parity is lost
  edgeconv verify flowers-int8 --against flowers.keras --data flowers/ --policy parity.toml
      your own model, by the thresholds in parity.toml (docs/ci.md describes it)
  edgeconv verify flowers-int8 --against flowers.keras
      an original of edgeconv finetune says by itself which pictures training never saw
  edgeconv verify model.tflite --against model.keras --preprocess unit --data test.npz
      somebody else's conversion
  edgeconv verify flowers-int8 --compare flowers-int8-v1 --data flowers/
      against the last release; neither TensorFlow nor the original is needed
  edgeconv verify flowers-int8 --on ssh://pi@board --data flowers/
      the bundle on a device against the bundle here; with --against the original too
  edgeconv verify flowers-int8 --against flowers.keras --data flowers/ --report parity.html
      as a page, with the pictures whose answer changed
  edgeconv verify flowers-int8 --against flowers.keras --data flowers/ --junit parity.xml --json
      for CI; where GITHUB_STEP_SUMMARY is set, a table is added to the job's page

A bundle is run with its own preprocessing and labels, the original with its own, so a
mistake in either is caught. What an original doesn't say is taken from the bundle.

exit codes:
  0  parity is kept                        4  model not supported
  1  lost, or undecided (the default of    5  an optional package is missing
     --on-inconclusive here is fail)       6  disk or network
  2  usage
  3  input refused as unsafe or corrupt
"""

#: Suffixes of what a conversion makes; none is an original.
_CONVERTED = (".tflite", ".onnx")
#: What the loading of a Keras model is told.
_OF_THE_ORIGINAL = ("weights", "preprocess", "labels", "input_size", "task", "trust", "custom")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "candidate",
        type=filled_path,
        metavar="BUNDLE|FILE",
        help="a bundle, a .tflite or an .onnx file",
    )
    _configure_reference(parser.add_argument_group("the reference"))
    _configure_data(parser.add_argument_group("the data"))
    _configure_gate(parser.add_argument_group("the gate"))
    _configure_device(parser.add_argument_group("the device"))


def _configure_reference(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--against",
        type=filled,
        metavar="MODEL|BUNDLE",
        help="the original: zoo name, .keras or .h5 file, SavedModel folder, or another bundle; "
        "by default the zoo model that the bundle was made from",
    )
    group.add_argument(
        "--compare",
        type=filled_path,
        metavar="BUNDLE",
        help="the last release, in place of the original",
    )
    group.add_argument(
        "--weights", metavar="FILE|imagenet|none", help="of a zoo model, as export was given them"
    )
    group.add_argument(
        "--preprocess",
        metavar="NAME|FILE.toml",
        help="how pictures become the original's inputs; by default as the bundle says",
    )
    group.add_argument(
        "--labels", type=filled_path, metavar="FILE", help="the original's class names"
    )
    group.add_argument(
        "--input-size", type=whole_number(1, 8192), metavar="N", help="rows and columns"
    )
    group.add_argument("--task", choices=get_args(Task), help="what the outputs mean")
    group.add_argument("--trust", action="store_true", help="run code that the file brings along")
    group.add_argument("--custom", metavar="MODULE", help="import it first; needs --trust")


def _configure_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        type=filled,
        metavar="DATA",
        help="folder (one subfolder a class), CSV manifest or .npz; PATH:SPLIT picks a split; "
        "by default the test pictures that a fine-tuned original names (DIR:test where they lie "
        "now), else built-in ones, which have no labels",
    )
    group.add_argument("--x-key", default="x", metavar="NAME", help="array of inputs in .npz")
    group.add_argument("--y-key", default="y", metavar="NAME", help="array of labels in .npz")


def _configure_gate(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--policy", type=filled_path, metavar="FILE", help="thresholds, such as parity.toml"
    )
    group.add_argument(
        "--max-drop",
        metavar="METRIC=N",
        help="what may be lost, such as top1=1.0 (points, the default)",
    )
    group.add_argument(
        "--on-inconclusive",
        choices=("estimate", "fail"),
        help="where the data can't decide: fail (default), or go by the estimate",
    )
    group.add_argument(
        "--blame",
        choices=("auto", "always", "never"),
        default="auto",
        help="look for the layer that is to blame; auto: where parity is lost",
    )
    group.add_argument(
        "--junit", type=filled_path, metavar="FILE", help="write a test report as XML"
    )
    group.add_argument(
        "--report", type=filled_path, metavar="FILE", help="write report.html: one page, offline"
    )


def _configure_device(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--on",
        metavar="TARGET",
        help="run a sample there too: local, ssh://user@host[:port], adb:SERIAL or qemu:aarch64",
    )
    group.add_argument("--python", metavar="PATH", help="the interpreter there (default: python3)")
    group.add_argument(
        "--engine",
        metavar="NAME",
        help="litert, tflite-runtime or onnxruntime; by default the first that is there",
    )
    group.add_argument(
        "--samples",
        type=whole_number(1, 100_000),
        metavar="N",
        help="items that the device is given, evenly spread (default: 100)",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Verify, write what was asked for, return the exit code."""
    from edgeconv import verification, verify
    from edgeconv.cli import verify_output

    request = _request(args)
    for path in (args.junit, args.report):
        verify_output.check_folder(path)
    if args.junit is not None and args.junit == args.report:
        raise UsageError("--junit and --report name the same file.", "Name two.")
    console.quiet()
    result = verification.verify(request, console)
    console.done()
    code = verify.exit_code(result.verdict, request.policy.on_inconclusive)
    verify_output.write(result, request, args.junit, args.report, console)
    verify_output.show(result, request, console, code)
    return code


def _request(args: argparse.Namespace) -> VerifyRequest:
    from edgeconv import data
    from edgeconv.verification import VerifyRequest

    return VerifyRequest(
        candidate=args.candidate,
        against=_against(args),
        data=data.DataRequest(parity=args.data, x_key=args.x_key, y_key=args.y_key),
        policy=_policy(args),
        blame=args.blame,
        on=_order(args),
    )


def _order(args: argparse.Namespace) -> DeviceOrder | None:
    from edgeconv.verification.on_device import DeviceOrder

    if args.on is None:
        for name in ("python", "engine", "samples"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} is of a device.", "Name it: --on TARGET")
        return None
    return DeviceOrder(args.on, args.python, args.engine, args.samples or 100)


def _against(args: argparse.Namespace) -> LoadRequest | Path | None:
    from edgeconv.load import LoadRequest
    from edgeconv.verification.candidate import is_bundle

    if args.compare is not None and args.against is not None:
        raise UsageError(
            "--against and --compare are two references.", "Give one of them; run twice."
        )
    against = args.compare or (None if args.against is None else Path(args.against))
    if against is None or args.compare is not None or is_bundle(against):
        _refuse_what_is_of_an_original(args)
        return against
    if against.suffix.lower() in _CONVERTED:
        raise UsageError(
            f"{printable(against)} is a converted file, no original.",
            "Give it first, and after --against the model that it was made from.",
        )
    return LoadRequest(
        model=args.against,
        weights=args.weights,
        preprocess=args.preprocess,
        labels=args.labels,
        input_size=args.input_size,
        task=args.task,
        trust=args.trust,
        custom=args.custom,
    )


def _refuse_what_is_of_an_original(args: argparse.Namespace) -> None:
    """Nothing that was said may be passed over without a word."""
    for name in _OF_THE_ORIGINAL:
        if getattr(args, name) not in (None, False):
            raise UsageError(
                f"--{name.replace('_', '-')} tells how an original is loaded; none is named.",
                "Name it with --against MODEL. A bundle says everything about itself.",
            )


def _policy(args: argparse.Namespace) -> Policy:
    from edgeconv import verify

    if args.policy is not None and args.max_drop is not None:
        raise UsageError(
            "--max-drop and --policy are two policies.", "Write the margin into the policy file."
        )
    policy = verify.Policy()
    if args.policy is not None:
        policy = verify.read_policy(args.policy)
    elif args.max_drop is not None:
        policy = verify.Policy(gate=verify.parse_max_drop(args.max_drop))
    if args.on_inconclusive is not None:
        policy = replace(policy, on_inconclusive=args.on_inconclusive)
    return policy
