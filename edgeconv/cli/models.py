"""``edgeconv models``: the catalogue, as a table or as JSON."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgeconv.cli.console import Console
from edgeconv.load.measured import CELLS, measured
from edgeconv.load.weights import is_cached, keras_cache
from edgeconv.load.zoo import ZOO, ZooModel

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "list the zoo: every model of keras.applications, SqueezeNet 1.1 and AlexNet"

EPILOG = """\
Each name is a MODEL of edgeconv export, such as:

  edgeconv export mobilenetv2 --int8
  edgeconv export mobilenetv2 --alpha 0.35 --input-size 96     narrower, smaller pictures
  edgeconv export resnet50 --no-top                            embeddings
  edgeconv export resnet50 --classes 5 --weights mine.h5       weights of your own

--json also tells how each model's pictures are prepared, and where its figures stand.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options: it has none."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the catalogue."""
    if args.json:
        cells = measured()
        models = [_as_json(model, cells.get(model.name)) for model in ZOO]
        console.result({"schema_version": 1, "cache": str(keras_cache()), "models": models})
        return 0
    console.print(_table())
    console.print(
        "input: rows and columns. MB: float32 weights. top-1, top-5: percent on ImageNet,\n"
        "as published (keras.io/api/applications, torchvision; --json has each source).\n"
        f"converts: how many of {', '.join(CELLS)}\n"
        "were measured to hold; - not measured.\n"
        f"cached: the weights are in {keras_cache()}; export fetches\n"
        "the others. SqueezeNet and AlexNet have none there: --weights FILE or none."
    )
    return 0


def _as_json(model: ZooModel, cells: Mapping[str, str] | None) -> dict[str, Any]:
    return {
        "name": model.name,
        "constructor": model.constructor,
        "input_size": model.input_size,
        "parameters": model.parameters,
        "float_bytes": 4 * model.parameters,
        "top1": model.top1,
        "top5": model.top5,
        "preprocess": model.preprocess,
        "resize": model.resize,
        "filter": model.filter,
        "crop_fraction": model.crop_fraction,
        "source": model.source,
        "paper": model.paper,
        "weights_file": model.weights_file or None,
        "weights_url": model.weights_url or None,
        "cached": is_cached(model),
        "converts": dict(cells) if cells is not None else "not measured",
    }


def _table() -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for title in ("input", "parameters", "MB", "top-1", "top-5"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("converts", "cached"):
        table.add_column(title, no_wrap=True)
    cells = measured()
    for model in ZOO:
        table.add_row(*_cells(model, cells.get(model.name)))
    return table


def _cells(model: ZooModel, cells: Mapping[str, str] | None) -> tuple[str, ...]:
    return (
        model.name,
        f"{model.input_size}",
        f"{model.parameters:,}",
        f"{model.parameters * 4e-6:.1f}",
        f"{model.top1:.1f}",
        "" if model.top5 is None else f"{model.top5:.1f}",
        "-" if cells is None else f"{list(cells.values()).count('pass')} of {len(CELLS)}",
        "yes" if is_cached(model) else "",
    )
