"""``edgeconv explain``: what an export tried to keep the accuracy, and what stayed in float."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from textwrap import wrap
from typing import Any

from edgeconv.cli.console import Console
from edgeconv.cli.table import search_table
from edgeconv.pictures import printable

__all__ = ["EPILOG", "HELP", "configure", "run"]

HELP = "say which layers of a bundle stayed in float and why, and what else was tried"

EPILOG = """\
examples:
  edgeconv explain mobilenetv2-int8
      the rungs that the export tried, what each cost and brought, and which were kept
  edgeconv explain mobilenetv2-int8 --json
      the same as one object, for a program

The rungs were judged on a part of the calibration data that was held back; the verdict is on
the parity data, which no rung has seen. docs/recovery.md explains the rungs.
"""

_ENDED = {
    "held": "It ended where the gate held on them.",
    "tried": "It ended when nothing was left to try.",
    "budget": "It ended with its time.",
    "interrupted": "It was interrupted.",
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument("bundle", metavar="BUNDLE", type=Path, help="a bundle's folder")


def run(args: argparse.Namespace, console: Console) -> int:
    """Print the account as text or JSON."""
    from edgeconv.package import explain

    found = explain(args.bundle)
    if args.json:
        console.result(found)
        return 0
    for line in _beginning(found):
        console.print(printable(line))
    if found["recovery"] is not None:
        console.print(search_table(found["recovery"], found["bench"], console.width))
    for line in _layers(found["layers"], console.width):
        console.print(printable(line))
    return 0


def _beginning(found: Mapping[str, Any]) -> Iterator[str]:
    yield f"{found['name']}  {found['precision']}  {found['status']}"
    recipe = found["recipe"]
    passes = ", ".join(map(str, recipe.get("passes") or ())) or "none"
    yield f"  ranges   {recipe.get('calibrator')}"
    yield f"  passes   {passes}"
    qat = recipe.get("qat")
    if isinstance(qat, Mapping):
        rate = f"first step {qat.get('learning_rate')}, seed {qat.get('seed')}"
        yield f"  trained  {qat.get('epochs')} epochs on the calibration data, {rate}"
    recovery = found["recovery"]
    if recovery is None:
        yield "  search   none: the recipe was given, or nothing was to be searched for"
        return
    yield (
        f"  search   effort {recovery.get('effort')}, {_counted(recovery['rungs'])}, judged on"
        f" {recovery.get('held_back')} items that were held back, calibrated on"
        f" {recovery.get('calibrated_on')} others. {_ENDED.get(str(recovery.get('ended')), '')}"
    )


def _counted(rungs: Sequence[object]) -> str:
    return "1 trial" if len(rungs) == 1 else f"{len(rungs)} trials"


def _layers(layers: Sequence[Mapping[str, Any]], width: int) -> Iterator[str]:
    if not layers:
        yield "No layer stayed in higher precision."
        return
    yield "In higher precision stayed:"
    for _, group in groupby(enumerate(layers), lambda each: _one_line(*each)):
        rows = [row for _, row in group]
        precision, format, why = itemgetter("precision", "format", "why")(rows[0])
        names = ", ".join(str(row["name"]) for row in rows)
        yield from wrap(
            f"{names}  {precision} in {format or 'every format'}",
            width,
            initial_indent="  ",
            subsequent_indent="  ",
            break_on_hyphens=False,
        )
        yield f"      {why}"


def _one_line(place: int, layer: Mapping[str, Any]) -> tuple[object, ...]:
    """Equal for neighbours that are told together: those that were asked together."""
    own = place if layer["together"] == 1 else None
    return own, layer["precision"], layer["format"], layer["why"]
