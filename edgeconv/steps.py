"""Steps that the pipeline takes once a format, between its rooms."""

from __future__ import annotations

from pathlib import Path

from edgeconv import data, device, load, package, prepare
from edgeconv.calibrate import clip, needs_histograms
from edgeconv.errors import Unsupported
from edgeconv.order import ExportRequest
from edgeconv.progress import Progress
from edgeconv.runtime.engines import Model
from edgeconv.targets import TARGETS
from edgeconv.types import Artifact, Dataset, FloatGraph, Ranges, Recipe

__all__ = ["check", "quantize", "write"]


def check(request: ExportRequest) -> Path:
    """Refuse what can be refused before anything slow begins.

    Args:
        request: The order.

    Returns:
        Where the bundle goes.

    Raises:
        EdgeconvError: What is wrong with the order.
    """
    for format in request.formats:
        target = TARGETS[format]
        if request.recipe.precision not in target.precisions:
            raise Unsupported(
                f"{target.title} has no {request.recipe.precision}.",
                f"It has {', '.join(target.precisions)}; --format picks the other format.",
            )
    device.refuse_clash()
    device.refuse_missing(request.formats)
    load.check(request.model)
    data.check(request.data)
    destination = package.destination(request.output, request.model.name, request.recipe.precision)
    package.check_destination(destination, force=request.force)
    return destination


def quantize(
    graph: FloatGraph, calibration: Dataset | None, recipe: Recipe, folder: Path, watch: Progress
) -> tuple[Artifact, Model]:
    """Observe, prepare the weights, quantize.

    Args:
        graph: Float.
        calibration: None where the precision needs none.
        recipe: How.
        folder: Scratch.
        watch: Told what is being done.

    Returns:
        The artifact, and what runs it.
    """
    if calibration is None:
        return write(graph, {}, recipe, folder)
    target = TARGETS[graph.format]
    watch.stage(f"calibrate {target.title}", len(calibration))
    ranges = target.observe(graph, calibration, watch, histograms=needs_histograms(recipe))
    clipped = clip(ranges, recipe, whole=[spec.name for spec in graph.outputs])
    watch.stage(f"quantize {target.title}")
    return write(prepare.apply(target, graph, clipped, recipe, folder), clipped, recipe, folder)


def write(
    graph: FloatGraph, ranges: Ranges, recipe: Recipe, folder: Path
) -> tuple[Artifact, Model]:
    """Write the artifact and open it with the engine that ships."""
    target = TARGETS[graph.format]
    path = folder / recipe.precision / f"model{target.suffix}"
    path.parent.mkdir(exist_ok=True)
    artifact = target.quantize(graph, ranges, recipe, path)
    return artifact, target.open(artifact)
