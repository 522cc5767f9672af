"""``edgeconv models``: the catalogue, as a table or as JSON."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgeconv.cli.console import Console
from edgeconv.load.weights import is_cached, keras_cache
from edgeconv.load.zoo import ZOO, ZooModel

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "list the zoo: every model of keras.applications"

EPILOG = """\
Each name is a MODEL of edgeconv export, such as: edgeconv export mobilenetv2 --int8
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options: it has none."""


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the catalogue."""
    if args.json:
        models = [_as_json(model) for model in ZOO]
        console.result({"schema_version": 1, "cache": str(keras_cache()), "models": models})
        return 0
    console.print(_table())
    console.print(
        "top-1, top-5: percent on ImageNet, as published.\n"
        "values: tf -1..1, caffe BGR minus mean, torch standardized, none 0..255.\n"
        "crop: share of the shorter side; stretch: the whole picture, whatever its shape.\n"
        f"cached: the weights are in {keras_cache()}; export fetches the others."
    )
    return 0


def _as_json(model: ZooModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "constructor": model.constructor,
        "input_size": model.input_size,
        "parameters": model.parameters,
        "top1": model.top1,
        "top5": model.top5,
        "preprocess": model.preprocess,
        "resize": model.resize,
        "filter": model.filter,
        "crop_fraction": model.crop_fraction,
        "source": model.source,
        "paper": model.paper,
        "weights_file": model.weights_file,
        "weights_url": model.weights_url,
        "cached": is_cached(model),
    }


def _table() -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("model", no_wrap=True)
    for title in ("input", "parameters", "top-1", "top-5"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("values", "crop", "cached"):
        table.add_column(title, no_wrap=True)
    for model in ZOO:
        table.add_row(*_cells(model))
    return table


def _cells(model: ZooModel) -> tuple[str, ...]:
    return (
        model.name,
        f"{model.input_size}",
        f"{model.parameters:,}",
        f"{model.top1:.1f}",
        "" if model.top5 is None else f"{model.top5:.1f}",
        model.preprocess,
        f"{model.crop_fraction:.3f}" if model.resize == "crop" else model.resize,
        "yes" if is_cached(model) else "",
    )
