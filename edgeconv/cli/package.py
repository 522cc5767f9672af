"""``edgeconv package``: a bundle in the form that a kind of device wants it."""

from __future__ import annotations

import argparse

from edgeconv.cli.arguments import filled_path
from edgeconv.cli.console import Console
from edgeconv.cli.table import size_text

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "write a bundle as a Triton model repository or as C source"

EPILOG = """\
examples:
  edgeconv package mobilenetv2-fp16 --target triton
      writes mobilenetv2-triton/; then: tritonserver --model-repository mobilenetv2-triton
  edgeconv package resnet8-int8 --target c-array
      writes a .h and a .cc for TensorFlow Lite Micro: the model's bytes, its quantization
      constants, the operators to register and how much memory to reserve
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "bundle", type=filled_path, metavar="BUNDLE", help="made by edgeconv export"
    )
    parser.add_argument(
        "--target", required=True, choices=("triton", "c-array"), help="what to write"
    )
    parser.add_argument(
        "--output", type=filled_path, metavar="DIR", help="folder to write (default: ./NAME-TARGET)"
    )
    parser.add_argument("--force", action="store_true", help="replace what it wrote before")


def run(args: argparse.Namespace, console: Console) -> int:
    """Write the folder and list what is in it."""
    from edgeconv.package.deploy import deploy

    folder = deploy(args.bundle, args.target, args.output, force=args.force)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    sizes = {str(path.relative_to(folder)): path.stat().st_size for path in files}
    if args.json:
        rows = [{"file": file, "bytes": size} for file, size in sizes.items()]
        console.result({"schema_version": 1, "folder": str(folder), "files": rows})
    else:
        console.print(str(folder))
        for file, size in sizes.items():
            console.print(f"  {size_text(size):>10}  {file}")
    return 0
