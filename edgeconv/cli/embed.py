"""``edgeconv embed``: vectors of pictures, from a headless model or an exported bundle."""

from __future__ import annotations

import argparse
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgeconv.cli.arguments import filled, filled_path, whole_number
from edgeconv.cli.console import Console
from edgeconv.errors import UsageError

if TYPE_CHECKING:
    from edgeconv.types import Array

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "turn pictures into vectors, with a headless model or a bundle"

EPILOG = """\
examples:
  edgeconv embed mobilenetv2 *.jpg --output vectors.npz
      the zoo's model without its classifier, in TensorFlow; a model of edgeconv finetune
      likewise: edgeconv embed flowers.keras *.jpg --output vectors.npz
  edgeconv export mobilenetv2 --no-top
  edgeconv embed mobilenetv2-int8 *.jpg --output vectors.npz
      the same on the device's engine, without TensorFlow; export judges its parity by
      the cosine between the two vectors of a picture, and by nearest-neighbour recall@1

VECTORS.npz holds `vectors` float32 [N, D] and `files` (text, [N]). Two pictures are alike
where the cosine of their vectors is large:
  v = z["vectors"] / numpy.linalg.norm(z["vectors"], axis=1, keepdims=True); v @ v.T
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "model", type=filled, metavar="BASE|BUNDLE", help="zoo name, model file, or bundle folder"
    )
    parser.add_argument("pictures", nargs="+", type=filled_path, metavar="IMAGE")
    parser.add_argument(
        "--output", type=filled_path, required=True, metavar="VECTORS.npz", help="where they go"
    )
    parser.add_argument(
        "--weights",
        metavar="FILE|imagenet|none",
        help="of a zoo model: a file, ImageNet's (default), or none for seeded random ones",
    )
    parser.add_argument("--preprocess", metavar="NAME|FILE.toml", help="of a model file")
    parser.add_argument("--input-size", type=whole_number(1, 8192), metavar="N")
    parser.add_argument(
        "--engine", help="of a bundle: litert, tflite-runtime or onnxruntime (default: the first)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the vectors and say how many there are."""
    import numpy as np

    from edgeconv.cli.files import write_bytes

    if args.output.suffix != ".npz":
        raise UsageError(f"--output writes .npz, and {args.output.name} says otherwise.", "")
    bundle = Path(args.model)
    is_bundle = (bundle / "manifest.json").is_file()
    vectors = _from_bundle(bundle, args) if is_bundle else _from_original(args, console)
    content = io.BytesIO()
    np.savez(content, vectors=vectors, files=np.array([str(p) for p in args.pictures]))
    write_bytes(args.output, content.getvalue())
    count, length = vectors.shape
    if console.as_json:
        output = str(args.output)
        console.result({"schema_version": 1, "output": output, "pictures": count, "length": length})
    else:
        console.print(f"{count} vectors of {length} numbers in {args.output}")
    return 0


def _from_bundle(bundle: Path, args: argparse.Namespace) -> Array:
    import numpy as np

    from edgeconv.runtime.session import Session

    _refuse_options(args, ("weights", "preprocess", "input_size"), "a bundle knows its own")
    session = Session.open(bundle, engine=args.engine)
    if session.manifest.task != "embedding":
        raise UsageError(
            f"{bundle} holds no embedding model, its task is {session.manifest.task}.",
            "Export one with --no-top.",
        )
    rows = [answer.outputs[0].ravel() for answer in session.answers(args.pictures)]
    return np.stack(rows).astype(np.float32)


def _from_original(args: argparse.Namespace, console: Console) -> Array:
    from edgeconv.ask import embed
    from edgeconv.load import LoadRequest

    _refuse_options(args, ("engine",), "only a bundle has a choice of engines")
    console.quiet()
    request = LoadRequest(
        model=args.model,
        weights=args.weights,
        preprocess=args.preprocess,
        input_size=args.input_size,
        top=_is_taken_whole(args.model),
    )
    vectors = embed(request, args.pictures, console)
    console.done()
    return vectors


def _is_taken_whole(model: str) -> bool:
    """Whether nothing tells which layers of a model are its classifier: so it is with files."""
    from edgeconv import knowledge
    from edgeconv.load import is_path

    return is_path(model) and knowledge.read(Path(model)) is None


def _refuse_options(args: argparse.Namespace, names: Sequence[str], why: str) -> None:
    for name in names:
        if getattr(args, name) is not None:
            raise UsageError(f"--{name.replace('_', '-')} is of no use here: {why}.", "")
