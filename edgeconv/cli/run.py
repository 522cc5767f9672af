"""``edgeconv run``: answers of a bundle, without TensorFlow."""

from __future__ import annotations

import argparse

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

A name that begins with a dash: edgeconv run BUNDLE -- -odd.jpg
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    from edgeconv.runtime.script import add_run_arguments

    parser.add_argument("bundle", metavar="BUNDLE", help="the folder that export made")
    parser.add_argument("inputs", nargs="+", metavar="INPUT", help="a picture or an .npy file")
    add_run_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the best classes of each input, or the values where there are no classes."""
    from edgeconv.runtime.session import Session
    from edgeconv.runtime.show import answer_as_text, answers_as_json

    session = Session.open(args.bundle, args.engine, args.threads)
    answers = session.answers(args.inputs)
    if args.json:
        console.result(answers_as_json(session, answers, args.top))
    else:
        for answer in answers:
            console.print(answer_as_text(session, answer, args.top))
    return 0
