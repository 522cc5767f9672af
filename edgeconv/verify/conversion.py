"""A conversion that returned is not a conversion that worked: run and compare it."""

from __future__ import annotations

from collections.abc import Sequence

from edgeconv.errors import Unsupported
from edgeconv.targets.base import Runner
from edgeconv.types import Array, Artifact, Dataset, SourceModel
from edgeconv.verify.metrics import Meter

__all__ = ["check_conversion"]

# Measured on 10 zoo models: at most 2e-5 relative. What is lost in a conversion
# (a dropped constant, a wrong padding) changes the answer by far more.
_MAX_DIFFERENCE_PERCENT = 0.1


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
        items: How many are compared.

    Raises:
        Unsupported: It is not the same function.
    """
    batch = next(iter(dataset.batches(items)))
    meter = Meter(source.activation, classifies=False, name=artifact.path.name)
    truth = [array[: len(batch.ids)] for array in reference]
    meter.add(truth, runner(*batch.x)[: len(truth)], None, batch.ids)
    difference = meter.result().metrics["max_relative_difference"]
    if not isinstance(difference, float) or difference > _MAX_DIFFERENCE_PERCENT:
        shown = f"{difference:.2g}%" if isinstance(difference, float) else "NaN"
        raise Unsupported(
            f"The float {artifact.format} model is not the same function as {source.name}: "
            f"its outputs differ by {shown} of their largest.",
            "Nothing was written. Please report this model; --format picks the other format.",
        )
