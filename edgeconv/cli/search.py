"""The options of ``edgeconv export`` that say how hard to keep the accuracy, and within what."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from edgeconv.cli.arguments import duration, positive
from edgeconv.errors import UsageError
from edgeconv.types import Recipe

if TYPE_CHECKING:
    from edgeconv.recover import Effort

__all__ = ["configure", "order"]

_EFFORTS = ("fast", "balanced", "best")


def configure(group: argparse._ArgumentGroup) -> None:
    """Declare the options."""
    group.add_argument(
        "--effort",
        choices=_EFFORTS,
        help="what int8 may try, judged on a part of the calibration data that is held back: fast "
        "takes the recipe as it is; balanced (default) climbs from there until the margin holds "
        "(better ranges, equalized channels, corrected biases, adaptive rounding, then layers in "
        "float, fewest first); best tries all that costs nothing on the device",
    )
    group.add_argument(
        "--budget",
        type=duration,
        metavar="TIME",
        help="for the search: 90s, 5m; then, or on Ctrl-C, the best so far goes on to be judged",
    )
    group.add_argument(
        "--max-size-mb",
        type=positive,
        metavar="MB",
        help="largest file, in 10^6 bytes; an artifact beyond it fails",
    )
    group.add_argument(
        "--max-latency-ms",
        type=positive,
        metavar="MS",
        help="longest median run on this machine; an artifact beyond it fails",
    )


def order(args: argparse.Namespace, recipe: Recipe) -> dict[str, Any]:
    """``effort``, ``budget_s`` and ``limits`` of an ExportRequest.

    Raises:
        UsageError: A search is asked for where there is nothing to search.
    """
    from edgeconv.order import Limits

    effort = _effort(args, recipe)
    if args.budget is not None and effort == "fast":
        why = "the recipe is given" if args.recipe else "nothing is searched for"
        raise UsageError(
            f"--budget is the time of a search, and here {why}.",
            "Leave it out, or search with --effort balanced.",
        )
    limits = Limits(size_mb=args.max_size_mb, latency_ms=args.max_latency_ms)
    return {"effort": effort, "budget_s": args.budget, "limits": limits}


def _effort(args: argparse.Namespace, recipe: Recipe) -> Effort:
    searchable = recipe.precision == "int8" and args.recipe is None
    if args.effort in (None, "fast"):
        return "balanced" if searchable and args.effort is None else "fast"
    if args.recipe is not None:
        raise UsageError(
            f"--effort {args.effort} searches for a recipe, and {args.recipe.name} is one.",
            "Leave one of them out.",
        )
    if not searchable:
        raise UsageError(
            f"--effort {args.effort} searches among int8 models, and {recipe.precision} is asked"
            " for.",
            "Leave --effort out, or take --int8.",
        )
    effort: Effort = args.effort
    return effort
