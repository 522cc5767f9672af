"""``edgeconv finetune``: from a folder of pictures to a model of one's own classes."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from edgeconv.cli.arguments import filled, filled_path, positive, whole_number
from edgeconv.cli.console import Console

if TYPE_CHECKING:
    from edgeconv.history import Epoch
    from edgeconv.tuning import Finetuned, FinetuneRequest

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "train a classifier of your own classes from a folder of pictures"

EPILOG = """\
examples:
  edgeconv finetune mobilenetv2 --data flowers --output flowers.keras
      flowers/daisy/1.jpg, flowers/rose/1.jpg, ...: one folder a class
  edgeconv export flowers.keras --int8 --device raspberrypi4
      needs nothing else: the model knows its preprocessing, labels and pictures

what it does:
  70% of each class train, 15% tell when to stop, 15% test (or all of --test DIR).
  First a new head learns from the features of the base, which stays as it is; then the base
  is trained too (--unfreeze says how much of it), ten times more slowly. The weights of the
  epoch with the lowest validation loss are kept. MODEL-training/, beside the model, has the
  learning curves, the confusion matrix and the report on the test pictures.

Stopped by Ctrl-C, kill or a power cut, it goes on after its last whole epoch with the same
command and --resume. On a GPU that TensorFlow sees it trains in mixed precision.
"""

_INTERRUPTED = 130


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "base", type=filled, metavar="BASE", help="zoo name, such as mobilenetv2: edgeconv models"
    )
    parser.add_argument(
        "--data",
        type=filled_path,
        required=True,
        metavar="DIR",
        help="pictures, one folder a class; the folder's name is the class's",
    )
    parser.add_argument(
        "--output", type=filled_path, required=True, metavar="MODEL.keras", help="where it goes"
    )
    parser.add_argument(
        "--test",
        type=filled_path,
        metavar="DIR",
        help="test with these pictures, and with none of --data",
    )
    parser.add_argument(
        "--size",
        type=whole_number(1, 8192),
        metavar="N",
        help="rows and columns of the model's input (default: the base's own, often 224);"
        " smaller is faster, on the device too",
    )
    parser.add_argument(
        "--weights",
        type=filled,
        default="imagenet",
        metavar="FILE|imagenet|none",
        help="of the base: ImageNet's (default), a file, or none to start from nothing",
    )
    parser.add_argument(
        "--alpha", type=positive, metavar="A", help="width of a MobileNet (default: 1)"
    )
    parser.add_argument(
        "--epochs",
        type=whole_number(1, 10_000),
        default=20,
        metavar="N",
        help="of each phase, at the most (default: 20); one ends where 5 brought nothing better",
    )
    parser.add_argument(
        "--unfreeze",
        type=_layers,
        default="all",
        metavar="N|all",
        help="layers of the base, from its end, that the second phase trains (default: all);"
        " 0 for the head alone, in a fraction of the time",
    )
    parser.add_argument(
        "--batch", type=whole_number(1, 4096), default=32, metavar="N", help="pictures a step"
    )
    parser.add_argument(
        "--learning-rate",
        type=positive,
        default=1e-3,
        metavar="R",
        help="of the head (default: 0.001); the base's is a tenth of it",
    )
    parser.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, help="of the splits and the training"
    )
    parser.add_argument(
        "--no-mirror",
        dest="mirror",
        action="store_false",
        help="never swap left and right of training pictures: of digits, signs, or text",
    )
    parser.add_argument("--resume", action="store_true", help="go on with a stopped training")
    parser.add_argument("--force", action="store_true", help="replace the output; begin anew")


def _layers(text: str) -> int | None:
    return None if text == "all" else whole_number(0, 100_000)(text)


def run(args: argparse.Namespace, console: Console) -> int:
    """Train, and say how well it does."""
    from edgeconv.finetune.checkpoint import Store
    from edgeconv.tuning import finetune
    from edgeconv.tuning.order import training_folder

    console.quiet()
    try:
        done = finetune(_request(args), console, lambda epoch: console.retitle(_told(epoch)))
    except KeyboardInterrupt:
        if not Store(training_folder(args.output)).exists():
            raise
        console.fail(
            "interrupted",
            f"Interrupted; {training_folder(args.output)} has all whole epochs.",
            "The same command with --resume goes on.",
        )
        return _INTERRUPTED
    console.done()
    if console.as_json:
        console.result(_json(done))
    else:
        console.print("\n".join(_lines(done)))
    return 0


def _request(args: argparse.Namespace) -> FinetuneRequest:
    from edgeconv.finetune import Settings
    from edgeconv.tuning import FinetuneRequest

    return FinetuneRequest(
        base=args.base,
        data=args.data,
        output=args.output,
        test=args.test,
        size=args.size,
        alpha=args.alpha,
        weights=args.weights,
        settings=Settings(
            epochs=args.epochs,
            unfreeze=args.unfreeze,
            batch=args.batch,
            learning_rate=args.learning_rate,
            seed=args.seed,
            mirror=args.mirror,
        ),
        resume=args.resume,
        force=args.force,
    )


def _told(epoch: Epoch) -> str:
    return (
        f"epoch {epoch.epoch:>3} {epoch.phase:<4}  train {100 * epoch.train_accuracy:5.1f} %"
        f"  validation {100 * epoch.validation_accuracy:5.1f} %"
    )


def _lines(done: Finetuned) -> list[str]:
    counts = done.pictures
    rows = [
        ("model", f"{done.output}  {len(done.labels)} classes, {done.size} x {done.size} pixels"),
        ("pictures", ", ".join(f"{count:,} {name}" for name, count in counts.items())),
        ("best epoch", f"{done.best.epoch} of {len(done.epochs)}"),
    ]
    if done.accuracy is not None:
        low, high = done.accuracy.ci95
        rows.append(
            ("test", f"{done.accuracy.estimate:.1f} % right (95%: {low:.1f} to {high:.1f})")
        )
    rows.append(("report", f"{done.folder}/"))
    rows.append(("next", f"edgeconv export {done.output} --int8"))
    return [f"{name:<12}{text}" for name, text in rows]


def _json(done: Finetuned) -> dict[str, object]:
    return {
        "schema_version": 1,
        "output": str(done.output),
        "report": str(done.folder),
        "size": done.size,
        "labels": list(done.labels),
        "pictures": dict(done.pictures),
        "epochs": [vars(epoch) for epoch in done.epochs],
        "best_epoch": done.best.epoch,
        "test_accuracy": done.accuracy and done.accuracy.estimate,
        "test_accuracy_ci95": done.accuracy and list(done.accuracy.ci95),
    }
