"""A conversion that returned is not a conversion that worked: run and compare it."""

from __future__ import annotations

from collections.abc import Sequence

from edgeconv.errors import Unsupported
from edgeconv.targets.base import Runner
from edgeconv.types import Array, Artifact, Dataset, SourceModel
from edgeconv.verify.judge import check_reference
from edgeconv.verify.metrics import Measurement, Meter

__all__ = ["check_conversion"]


def check_conversion(
    artifact: Artifact,
    runner: Runner,
    reference: Sequence[Array],
    dataset: Dataset,
    source: SourceModel,
    items: int = 8,
) -> None:
    """Compare a float artifact with the original on a few items.

    Args:
        artifact: Unquantized.
        runner: Runs it.
        reference: The original's answers to ``dataset``, one array an output.
        dataset: The items.
        source: The original.
        items: How many are compared, or a few more.

    Raises:
        Unsupported: It is not the same function: an output differs by more than
            1e-3 of its largest. Sound float conversions of 10 zoo models differ
            by 2e-5 at most; what a conversion loses (a constant, a padding)
            changes the answer by far more.
        RefusedInput: The original itself answers NaN or infinity.
    """
    meter = Meter(source.activation, classifies=False, name=artifact.path.name)
    done = 0
    for batch in dataset.batches(source.at_once(items)):
        truth = [array[done : done + len(batch.ids)] for array in reference]
        check_reference(truth, batch)
        meter.add(truth, runner(*batch.x)[: len(truth)], None, batch.ids)
        done += len(batch.ids)
        if done >= items:
            break
    found = meter.result()
    if not found.equivalent:
        raise Unsupported(
            f"The float {artifact.format} model is not the same function as {source.name}: "
            f"{_difference(found)}.",
            "Nothing was written. Please report this model; --format picks the other format.",
        )


def _difference(found: Measurement) -> str:
    if found.broken:
        return f"it answers NaN or infinity to {found.broken[0]}"
    names = ("max_relative_difference", "other_outputs_relative_error")
    known = [value for name in names if isinstance(value := found.metrics.get(name), float)]
    # Where the original answers only zeros there is nothing to relate to.
    return f"its outputs differ by {max(known):.2g}%" if known else "its outputs differ"
