"""``edgeconv verify``: the parity gate, for people and for CI."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from edgeconv.cli.arguments import whole_number
from edgeconv.cli.console import Console
from edgeconv.errors import HostFailure, UsageError
from edgeconv.pictures import printable
from edgeconv.types import ArtifactVerdict, Check, Task

if TYPE_CHECKING:
    from edgeconv.load import LoadRequest
    from edgeconv.on_device import DeviceOrder
    from edgeconv.verification import Verification, VerifyRequest
    from edgeconv.verify import Policy

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "hold a bundle or a model file against its original, as a gate"

EPILOG = """\
examples:
  edgeconv verify mobilenetv2-int8 --data pictures.csv:test
      a bundle of a zoo model against that model; exit code 1 where parity is lost
  edgeconv verify flowers-int8 --against flowers.keras --data flowers/ --policy parity.toml
      your own model, by the thresholds in parity.toml (docs/ci.md describes it)
  edgeconv verify model.tflite --against model.keras --preprocess unit --data test.npz
      somebody else's conversion
  edgeconv verify flowers-int8 --compare flowers-int8-v1 --data flowers/
      against the last release; neither TensorFlow nor the original is needed
  edgeconv verify flowers-int8 --on ssh://pi@board --data flowers/
      the bundle on a device against the bundle here; with --against the original too
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

_BLAMED = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "candidate", metavar="BUNDLE|FILE", help="a bundle, a .tflite or an .onnx file"
    )
    _configure_reference(parser.add_argument_group("the reference"))
    _configure_data(parser.add_argument_group("the data"))
    _configure_gate(parser.add_argument_group("the gate"))
    _configure_device(parser.add_argument_group("the device"))


def _configure_reference(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--against",
        metavar="MODEL|BUNDLE",
        help="the original: zoo name, .keras or .h5 file, SavedModel folder, or another bundle; "
        "by default the zoo model that the bundle was made from",
    )
    group.add_argument(
        "--compare", type=Path, metavar="BUNDLE", help="the last release, in place of the original"
    )
    group.add_argument(
        "--weights", metavar="FILE|imagenet|none", help="of a zoo model, as export was given them"
    )
    group.add_argument(
        "--preprocess",
        metavar="NAME|FILE.toml",
        help="how pictures become the original's inputs; by default as the bundle says",
    )
    group.add_argument("--labels", type=Path, metavar="FILE", help="the original's class names")
    group.add_argument(
        "--input-size", type=whole_number(1, 8192), metavar="N", help="rows and columns"
    )
    group.add_argument("--task", choices=get_args(Task), help="what the outputs mean")
    group.add_argument("--trust", action="store_true", help="run code that the file brings along")
    group.add_argument("--custom", metavar="MODULE", help="import it first; needs --trust")


def _configure_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--data",
        metavar="DATA",
        help="folder (one subfolder a class), CSV manifest or .npz; PATH:SPLIT picks a split; "
        "built-in pictures by default, which have no labels",
    )
    group.add_argument("--x-key", default="x", metavar="NAME", help="array of inputs in .npz")
    group.add_argument("--y-key", default="y", metavar="NAME", help="array of labels in .npz")


def _configure_gate(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--policy", type=Path, metavar="FILE", help="thresholds, such as parity.toml"
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
    group.add_argument("--junit", type=Path, metavar="FILE", help="write a test report as XML")


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
    """Verify, show the table, write what CI wants, return the exit code."""
    from edgeconv import verification, verify

    request = _request(args)
    console.quiet()
    result = verification.verify(request, console)
    console.done()
    how = request.policy.on_inconclusive
    code = verify.exit_code(result.verdict, how)

    def holds(artifact: ArtifactVerdict, check: Check) -> bool:
        return verify.holds(artifact, check, how)

    name = request.candidate.name or str(request.candidate)
    if args.junit is not None:
        from edgeconv.report.junit import junit

        _write(args.junit, junit(result.verdict, name, holds, result.device))
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        from edgeconv.report.summary import step_summary

        text = step_summary(result.verdict, name, result.reference, result.data, result.device)
        _append(Path(summary), text)
    if console.as_json:
        console.result(_json(result, name, code))
    else:
        _show(result, console, code)
    return code


def _request(args: argparse.Namespace) -> VerifyRequest:
    from edgeconv import data
    from edgeconv.verification import VerifyRequest

    return VerifyRequest(
        candidate=Path(args.candidate),
        against=_against(args),
        data=data.DataRequest(parity=args.data, x_key=args.x_key, y_key=args.y_key),
        policy=_policy(args),
        blame=args.blame,
        on=_order(args),
    )


def _order(args: argparse.Namespace) -> DeviceOrder | None:
    from edgeconv.on_device import DeviceOrder

    if args.on is None:
        for name in ("python", "engine", "samples"):
            if getattr(args, name) is not None:
                raise UsageError(f"--{name} is of a device.", "Name it: --on TARGET")
        return None
    return DeviceOrder(args.on, args.python, args.engine, args.samples or 100)


def _against(args: argparse.Namespace) -> LoadRequest | Path | None:
    from edgeconv.candidate import is_bundle
    from edgeconv.load import LoadRequest

    if args.compare is not None:
        if args.against is not None:
            raise UsageError(
                "--against and --compare are two references.", "Give one of them; run twice."
            )
        return Path(args.compare)
    if args.against is None:
        return None
    if is_bundle(Path(args.against)):
        return Path(args.against)
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


def _json(result: Verification, name: str, code: int) -> dict[str, Any]:
    from edgeconv import verify

    return {
        "schema_version": 1,
        "exit_code": code,
        "candidate": name,
        "reference": result.reference,
        "data": result.data,
        "verdict": verify.verdict_to_json(result.verdict),
        "notes": list(result.notes),
        "device": None if result.device is None else dict(result.device),
    }


def _show(result: Verification, console: Console, code: int) -> None:
    from edgeconv.cli.table import verdict_table
    from edgeconv.report.device import device_sentences

    console.print("")
    console.print(verdict_table(result.verdict, console.width))
    for artifact in result.verdict.artifacts:
        for line in _lines(artifact):
            console.print(printable(line))
    for sentence in () if result.device is None else device_sentences(result.device):
        console.print(sentence)
    word = "kept" if code == 0 else "lost" if result.verdict.status == "fail" else "not proven"
    console.print(
        f"\nParity  {word}, against {printable(result.reference)} "
        f"on {result.verdict.samples:,} items of {printable(result.data)}"
    )


def _lines(artifact: ArtifactVerdict) -> Iterator[str]:
    reasons = [check.reason for check in artifact.checks] or [artifact.reason]
    for reason in reasons:
        yield f"{artifact.file}: {reason}"
    for sentence in artifact.suspicions:
        yield f"  {sentence}"
    if artifact.layers:
        yield "  layers to blame, worst first:"
        yield from (f"    {_layer(layer)}" for layer in artifact.layers[:_BLAMED])


def _layer(layer: Mapping[str, Any]) -> str:
    text = f"{layer['name']} ({layer['op']})"
    if isinstance(share := layer.get("share"), int | float):
        text += f", {share:.1f}% of the error"
    return f"{text}: {layer['reason']}" if layer.get("reason") else text


def _write(path: Path, text: str) -> None:
    aside = path.with_name(f".{path.name}.part")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise HostFailure(f"{path} can't be written: {error.strerror}.") from error


def _append(path: Path, text: str) -> None:
    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise HostFailure(
            f"GITHUB_STEP_SUMMARY ({path}) can't be written: {error.strerror}.",
            "Unset it to verify without a summary.",
        ) from error
