"""``edgeconv classify``: what a zoo model sees in a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from edgeconv.cli.arguments import filled, filled_path, whole_number
from edgeconv.cli.console import Console
from edgeconv.errors import UsageError

if TYPE_CHECKING:
    from edgeconv.ask import Classified
    from edgeconv.runtime.answers import Prediction

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "ask a Keras model what it sees in a picture"

EPILOG = """\
examples:
  edgeconv classify cat.jpg --model vgg16
      the five likeliest of ImageNet's classes, with VGG16's own preprocessing
  edgeconv classify cat.jpg --annotate answer.png
      the picture with its answer drawn on it
  edgeconv classify *.jpg --model flowers.keras
      a model of edgeconv finetune, which knows its preprocessing and labels
  edgeconv classify *.jpg --model flowers.keras --preprocess mobilenetv2 \\
      --labels flowers.txt --json
      a model of your own

This is the original model, in TensorFlow; edgeconv run asks an exported bundle.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("pictures", nargs="+", type=filled_path, metavar="IMAGE")
    parser.add_argument(
        "--model",
        type=filled,
        default="mobilenetv2",
        help="zoo name (default: mobilenetv2), .keras or .h5 file, or SavedModel folder",
    )
    parser.add_argument(
        "--weights",
        metavar="FILE|imagenet|none",
        help="of a zoo model: a file, ImageNet's (default), or none for seeded random ones",
    )
    parser.add_argument(
        "--preprocess",
        metavar="NAME|FILE.toml",
        help="how pictures become inputs; a zoo model and an edgeconv-trained one know it",
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="class names, one a line")
    parser.add_argument("--input-size", type=whole_number(1, 8192), metavar="N")
    parser.add_argument("--top", type=whole_number(1, 1000), default=5, metavar="N")
    parser.add_argument(
        "--annotate",
        type=filled_path,
        metavar="FILE.png",
        help="write the picture there with its answer drawn on it; takes one picture",
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the best classes of each picture."""
    from edgeconv.ask import classify
    from edgeconv.load import LoadRequest

    if args.annotate is not None:
        _refuse_place(args.annotate, args.pictures)
    console.quiet()
    request = LoadRequest(
        model=args.model,
        weights=args.weights,
        preprocess=args.preprocess,
        labels=args.labels,
        input_size=args.input_size,
        task="classification",
    )
    found = classify(request, args.pictures, args.top, console)
    console.done()
    if args.annotate is not None:
        _annotate(args.annotate, args.pictures[0], found.answers[0][1])
    if console.as_json:
        console.result(_json(found, args.annotate))
    else:
        for name, rows in found.answers:
            console.print("\n".join([name, *map(_line, range(1, len(rows) + 1), rows)]))
        if args.annotate is not None:
            console.print(f"\nPicture {args.annotate}")
    return 0


def _refuse_place(place: Path, pictures: list[Path]) -> None:
    if len(pictures) > 1:
        raise UsageError(
            f"--annotate takes one picture, and there are {len(pictures)}.", "Ask one at a time."
        )
    if place.suffix.lower() != ".png":
        raise UsageError(f"--annotate writes PNG, and {place.name} says otherwise.", "Use .png.")
    if place.resolve() == pictures[0].resolve():
        raise UsageError(f"--annotate would replace {place}.", "Give another file.")


def _annotate(place: Path, picture: Path, rows: tuple[Prediction, ...]) -> None:
    from edgeconv.cli.files import write_bytes
    from edgeconv.report.annotate import annotated

    lines = [(row.label, row.probability, _value(row)) for row in rows]
    write_bytes(place, annotated(picture, lines))


def _line(rank: int, row: Prediction) -> str:
    return f"  {rank:>3}  {row.label:<34} {_value(row):>9}"


def _value(row: Prediction) -> str:
    return f"{row.score:.4g}" if row.probability is None else f"{100 * row.probability:.2f} %"


def _json(found: Classified, annotated: Path | None) -> dict[str, object]:
    return {
        "schema_version": 1,
        "model": found.model,
        "activation": found.activation,
        "annotated": str(annotated) if annotated else None,
        "results": [
            {"input": name, "top": [vars(row) for row in rows]} for name, rows in found.answers
        ],
    }
