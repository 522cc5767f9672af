"""The options of ``edgeconv export`` that say how hard to keep the accuracy, and within what."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgeconv.cli.arguments import duration, positive, whole_number
from edgeconv.errors import UsageError
from edgeconv.types import Qat, Recipe

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
        "--qat",
        action="store_true",
        help="last, train the weights of the int8 layers with their rounding, on the calibration "
        "data, towards the original's own answers (no labels needed); kept only where it helps on "
        "what was held back. Minutes; --effort fast trains without judging",
    )
    group.add_argument(
        "--qat-epochs",
        type=whole_number(1, 1000),
        metavar="N",
        help=f"of --qat: passes over the calibration data (default: {Qat().epochs})",
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
    """``recipe``, ``effort``, ``budget_s``, ``qat`` and ``limits`` of an ExportRequest.

    Raises:
        UsageError: A search is asked for where there is nothing to search, or training
            where there is nothing to train.
    """
    from edgeconv.order import Limits

    effort = _effort(args, recipe)
    if args.budget is not None and effort == "fast":
        why = "the recipe is given" if args.recipe else "nothing is searched for"
        raise UsageError(
            f"--budget is the time of a search, and here {why}.",
            "Leave it out, or search with --effort balanced.",
        )
    qat = _qat(args, recipe)
    if qat is not None and effort == "fast":
        recipe, qat = replace(recipe, qat=qat), None
    return {
        "recipe": recipe,
        "effort": effort,
        "budget_s": args.budget,
        "qat": qat,
        "limits": Limits(size_mb=args.max_size_mb, latency_ms=args.max_latency_ms),
    }


def _qat(args: argparse.Namespace, recipe: Recipe) -> Qat | None:
    """How to train, where it is asked for and the recipe doesn't say so itself."""
    if not args.qat:
        if args.qat_epochs is not None:
            raise UsageError(
                f"--qat-epochs {args.qat_epochs} says how long to train, and nothing is trained.",
                "Add --qat, or leave it out.",
            )
        return None
    if recipe.precision != "int8":
        raise UsageError(
            f"--qat trains int8 weights, and {recipe.precision} is asked for.",
            "Leave --qat out, or take --int8.",
        )
    qat = recipe.qat or Qat(seed=args.seed)
    if args.qat_epochs not in (None, qat.epochs) and recipe.qat is not None:
        raise UsageError(
            f"--qat-epochs {args.qat_epochs} contradicts {args.recipe.name}, which says"
            f" {qat.epochs}.",
            "Leave one of them out.",
        )
    return qat if args.qat_epochs is None else replace(qat, epochs=args.qat_epochs)


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
