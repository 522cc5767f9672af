"""``edgeconv run``: answers of a bundle, without TensorFlow."""

from __future__ import annotations

import argparse

from edgeconv.cli.arguments import filled_path
from edgeconv.cli.console import Console

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "classify pictures with a bundle, without TensorFlow"

EPILOG = """\
examples:
  edgeconv run mobilenetv2-int8 cat.jpg dog.jpg --top 3
  edgeconv run mobilenetv2-int8 cat.jpg --engine onnxruntime
      the bundle's model.onnx in place of its model.tflite
  edgeconv run kws-int8 features.npy --json
      arrays: float32 as the model takes them, or raw values, which are scaled; one or a batch
  edgeconv run mobilenetv2-int8 cat.jpg --device gpu
      ONNX Runtime with TensorRT or CUDA; an error where neither starts, but with --allow-fallback
  edgeconv run mobilenetv2-int8 --inputs-npz x.npz --outputs-npz y.npz
      x0: preprocessed float32; y0: what the model file gave, in its own dtype

A name that begins with a dash: edgeconv run BUNDLE -- -odd.jpg
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    from edgeconv.runtime.options import add_run_arguments

    parser.add_argument(
        "bundle", type=filled_path, metavar="BUNDLE", help="the folder that export made"
    )
    parser.add_argument("inputs", nargs="*", metavar="INPUT", help="a picture, .npy or .npz file")
    add_run_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the best classes of each input, or the values where there are no classes."""
    from edgeconv.runtime.measure import measure
    from edgeconv.runtime.options import open_session, wants_work, work_of
    from edgeconv.runtime.show import answer_as_text, answers_as_json, costs_as_text

    work = work_of(args) if wants_work(args) else None
    session, load_ms = open_session(args.bundle, args)
    if session.model.note:
        console.note(session.model.note)
    if work is not None:
        costs = measure(session, work, load_ms, args.threads)
        if args.json:
            console.result(costs)
        else:
            console.print(costs_as_text(costs))
        return 0
    answers = session.answers(args.inputs, args.batch)
    if args.json:
        console.result(answers_as_json(session, answers, args.top))
    else:
        for answer in answers:
            console.print(answer_as_text(session, answer, args.top))
    return 0
