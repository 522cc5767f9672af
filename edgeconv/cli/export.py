"""``edgeconv export``: the main job."""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from edgeconv.cli import search
from edgeconv.cli.arguments import filled, filled_path, whole_number
from edgeconv.cli.console import Console
from edgeconv.cli.table import export_table, search_table
from edgeconv.errors import UsageError
from edgeconv.types import Calibrator, Format, Precision, Recipe, Task

if TYPE_CHECKING:
    from edgeconv.device import Device
    from edgeconv.pipeline import Export, ExportRequest

HELP = "convert, quantize, verify and pack a Keras model"

EPILOG = """\
examples:
  edgeconv export mobilenetv2 --int8
      a zoo model with its ImageNet weights; calibrated and judged on the built-in pictures
  edgeconv export mobilenetv2 --alpha 0.35 --input-size 96 --no-top
      the same, narrower, for smaller pictures, and without its classifier: embeddings
  edgeconv export flowers.keras --int8
      made by edgeconv finetune: the file itself says its preprocessing and labels, and the
      pictures: calibrated on those that trained it, judged on those that training never saw
  edgeconv export flowers.keras --data /media/flowers
      the same, where the folder of pictures has moved since
  edgeconv export flowers.keras --preprocess mobilenetv2 --labels flowers.txt \\
      --calibration flowers/
      your own classifier; the folder (one subfolder a class) is split into two halves,
      one to calibrate on, one to judge on
  edgeconv export model.keras --preprocess unit --calibration data.csv:train --parity data.csv:test
      two splits of one CSV manifest with the columns file, label (or class_index) and split
  edgeconv export xray.keras --preprocess unit --calibration none
      no data at hand: inputs are made from what the model's BatchNorms remember
  edgeconv export kws.h5 --calibration features.npz:train --parity features.npz:test
      not pictures: arrays x_train, y_train, x_test, y_test of one .npz

  edgeconv export mobilenetv2 --device raspberrypi4
      what that device runs best: format, precision and flavour follow; see edgeconv devices

  edgeconv export flowers.keras --int8 --qat
      where int8 still loses too much: its weights are trained with the rounding, for minutes,
      on the pictures that it is calibrated on; needs no labels, costs nothing on the device

  edgeconv export flowers.keras --preprocess mobilenetv2 --calibration flowers/ \\
      --effort best --budget 5m --max-size-mb 4
      whatever keeps int8 nearer to the original, for five minutes; a file above 4 MB fails

environment:
  EDGECONV_CACHE      folder of what the next export of the same model need not make again
                      (default: ~/.cache/edgeconv); in CI, keep it between jobs
  EDGECONV_CACHE_MIB  how large it may grow (default: 4096; 0 for no cache)

exit codes:
  0  written, and parity not lost      4  model not supported
  1  written, but parity was lost      5  an optional package is missing
  2  usage                             6  disk or network
  3  input refused as unsafe or corrupt
"""

_PRECISIONS = {
    "int8": "8-bit weights and activations, integer inputs and outputs in TFLite (default)",
    "fp32": "no quantization",
    "fp16": "16-bit weights; computes in float",
    "dynamic": "8-bit weights, activations quantized while it runs",
    "int16x8": "8-bit weights, 16-bit activations; TFLite only, slow on CPUs",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "model", metavar="MODEL", help="zoo name, .keras or .h5 file, or SavedModel folder"
    )
    precision = parser.add_argument_group("precision").add_mutually_exclusive_group()
    for name, text in _PRECISIONS.items():
        precision.add_argument(
            f"--{name}", dest="precision", action="store_const", const=name, help=text
        )
    _configure_model(parser.add_argument_group("the model"))
    _configure_data(parser.add_argument_group("the data"))
    search.configure(parser.add_argument_group("keeping the accuracy"))
    _configure_rest(parser.add_argument_group("the result"))


def _configure_model(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--weights",
        metavar="FILE|imagenet|none",
        help="of a zoo model: a file, ImageNet's (default), or none for seeded random ones",
    )
    group.add_argument(
        "--preprocess",
        metavar="NAME|FILE.toml",
        help="how pictures become inputs: the zoo model that yours was made from, or tf (-1..1), "
        "unit (0..1), none (0..255), torch, caffe",
    )
    group.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line")
    group.add_argument(
        "--input-size",
        type=whole_number(1, 8192),
        metavar="N",
        help="rows and columns of a zoo model's pictures, or what a file leaves free",
    )
    group.add_argument(
        "--alpha", type=_width, metavar="A", help="width of a MobileNet of the zoo (default: 1.0)"
    )
    group.add_argument(
        "--classes",
        type=whole_number(1, 1_000_000),
        metavar="N",
        help="of a zoo model whose weights are not ImageNet's (default: 1000)",
    )
    group.add_argument(
        "--no-top",
        action="store_true",
        help="a zoo model or a fine-tuned one without its classifier: embeddings, averaged over "
        "the picture",
    )
    group.add_argument("--task", choices=get_args(Task), help="what the outputs mean")
    group.add_argument(
        "--keep-softmax", action="store_true", help="leave the final softmax in the model"
    )
    group.add_argument("--trust", action="store_true", help="run code that the file brings along")
    group.add_argument("--custom", metavar="MODULE", help="import it first; needs --trust")


def _width(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.01 <= value <= 8:
        raise argparse.ArgumentTypeError(f"{text!r} is no width between 0.01 and 8")
    return value


def _configure_data(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--calibration",
        metavar="DATA|none",
        help="folder (one subfolder a class), CSV manifest or .npz; PATH:SPLIT picks a split; "
        "by default what the file of a fine-tuned model names, else built-in pictures; "
        "none synthesises inputs from the model's BatchNorms",
    )
    group.add_argument(
        "--parity",
        metavar="DATA",
        help="what parity is judged on; by default the half of --calibration that is held back",
    )
    group.add_argument(
        "--data",
        type=filled_path,
        metavar="DIR",
        help="where the folder lies now that a model of edgeconv finetune was trained from, if "
        "it was moved; for other models, see --calibration",
    )
    group.add_argument("--x-key", default="x", metavar="NAME", help="array of inputs in .npz")
    group.add_argument("--y-key", default="y", metavar="NAME", help="array of labels in .npz")


def _configure_rest(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--device",
        type=filled,
        metavar="NAME|FILE.toml",
        help="what it is to run on; format, precision and flavour follow (see edgeconv devices)",
    )
    group.add_argument(
        "--format",
        metavar="LIST",
        help="tflite, onnx, or tflite,onnx (default; with --device what that runs)",
    )
    group.add_argument("--recipe", type=Path, metavar="FILE", help="recipe.toml of a bundle")
    group.add_argument(
        "--calibrator",
        choices=get_args(Calibrator),
        help="how the range of an activation is chosen: all that was seen, without rare outliers "
        "(default), least squared error, or least loss of information",
    )
    group.add_argument(
        "--max-drop",
        metavar="METRIC=N",
        help="what may be lost, such as top1=1.0 (points, the default)",
    )
    group.add_argument(
        "--on-inconclusive",
        choices=("estimate", "fail"),
        default="estimate",
        help="where the data can't decide: go by the estimate (default), or fail",
    )
    group.add_argument("--output", type=Path, metavar="DIR", help="default: ./NAME-PRECISION")
    group.add_argument("--force", action="store_true", help="replace a bundle that is there")
    group.add_argument(
        "--no-cache",
        action="store_true",
        help="convert from scratch: take nothing from earlier runs, keep nothing for later ones",
    )
    group.add_argument(
        "--seed",
        type=whole_number(0, 2**32 - 1),
        default=0,
        metavar="N",
        help="of the split; default 0",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Export, show the table, return the exit code."""
    from edgeconv import pipeline, verify

    request = _request(args)
    console.quiet()
    result = pipeline.export(request, console)
    console.done()
    code = verify.exit_code(result.verdict, args.on_inconclusive)
    if console.as_json:
        console.result(_json(result, code, request.device))
    else:
        _show(result, console)
        if request.device and request.device.next_step:
            console.print(f"Then    {request.device.next_step}")
    return code


def _request(args: argparse.Namespace) -> ExportRequest:
    from edgeconv import data, device, load, pipeline, verify

    target = device.find_device(args.device) if args.device else None
    recipe = _recipe(args, target)
    return pipeline.ExportRequest(
        model=load.LoadRequest(
            model=args.model,
            weights=args.weights,
            preprocess=args.preprocess,
            labels=args.labels,
            input_size=args.input_size,
            classes=args.classes,
            alpha=args.alpha,
            top=not args.no_top,
            task=args.task,
            keep_softmax=recipe.keep_softmax,
            trust=args.trust,
            custom=args.custom,
            seed=args.seed,
        ),
        data=data.DataRequest(
            calibration=args.calibration,
            parity=args.parity,
            x_key=args.x_key,
            y_key=args.y_key,
            seed=args.seed,
            moved=args.data,
        ),
        formats=_formats(args.format, target),
        gate=verify.parse_max_drop(args.max_drop) if args.max_drop else verify.Gate(),
        **search.order(args, recipe),
        output=args.output,
        force=args.force,
        device=target,
        cache=not args.no_cache,
    )


def _recipe(args: argparse.Namespace, target: Device | None) -> Recipe:
    if args.recipe is None:
        from edgeconv.device import recipe_for

        precision: Precision | None = args.precision
        recipe = recipe_for(target, precision) if target else Recipe(precision=precision or "int8")
        recipe = replace(recipe, calibrator=args.calibrator or recipe.calibrator)
        return replace(recipe, keep_softmax=args.keep_softmax)
    from edgeconv.quantize.recipe import read_recipe

    recipe = read_recipe(args.recipe)
    _refuse_contradiction(f"--{args.precision}", args.precision, recipe.precision, args.recipe)
    _refuse_contradiction("--calibrator", args.calibrator, recipe.calibrator, args.recipe)
    return replace(recipe, keep_softmax=recipe.keep_softmax or args.keep_softmax)


def _refuse_contradiction(option: str, wanted: str | None, written: str, file: Path) -> None:
    if wanted is not None and wanted != written:
        raise UsageError(
            f"{option} contradicts {file.name}, which says {written}.", "Leave one of them out."
        )


def _formats(text: str | None, target: Device | None) -> tuple[Format, ...]:
    known: dict[str, Format] = {name: name for name in get_args(Format)}
    if text is None:
        return target.formats if target else tuple(known.values())
    names = list(dict.fromkeys(part.strip() for part in text.split(",")))
    for name in names:
        if name not in known:
            raise UsageError(f"There is no format {name!r}.", f"Choose from {', '.join(known)}.")
    return tuple(known[name] for name in names)


def _json(result: Export, code: int, target: Device | None) -> dict[str, Any]:
    from edgeconv import device, verify

    return {
        "schema_version": 1,
        "bundle": str(result.bundle),
        "exit_code": code,
        "verdict": verify.verdict_to_json(result.verdict),
        "bench": result.bench,
        "recovery": result.recovery,
        "device": device.describe_device(target) if target else None,
    }


def _show(result: Export, console: Console) -> None:
    console.print("")
    searched = result.recovery is not None and len(result.recovery["rungs"]) > 1
    if result.recovery is not None and searched:
        console.print(search_table(result.recovery, result.bench, console.width))
    console.print(export_table(result, console.width))
    for artifact in result.verdict.artifacts:
        console.print(f"{artifact.file}: {artifact.reason}")
    for sentence in result.bench.get("advice", ()):
        console.print(sentence)
    console.print(f"\nBundle  {result.bundle}")
    console.print(f"Report  {result.bundle / 'report.html'}")
    if searched:
        console.print(f"Why     edgeconv explain {result.bundle}")
    console.print(f"Next    edgeconv run {result.bundle} INPUT")
