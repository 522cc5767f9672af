"""The main job, a room a line: load, lower, calibrate, quantize, verify, bundle.

A model walks through the rooms in this order and never turns back.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from edgeconv import data, device, load, package, quantize, report, steps, verify
from edgeconv.order import Export, ExportRequest
from edgeconv.progress import Progress, Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Precision, Recipe
from edgeconv.workshop import Workshop

__all__ = ["Export", "ExportRequest", "export"]

_CALIBRATED: tuple[Precision, ...] = ("int8", "int16x8")
_FLOAT = Recipe(precision="fp32", passes=())
_GOLDEN_ITEMS = 2


def export(request: ExportRequest, progress: Progress | None = None) -> Export:
    """Take a Keras model to a verified bundle.

    Args:
        request: What to convert and how.
        progress: Told what is being done.

    Returns:
        The bundle and its verdict. A lost parity is a verdict, not an error.

    Raises:
        EdgeconvError: Nothing was written then.
    """
    watch = progress or Silent()
    recipe, destination = request.recipe, steps.check(request)
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as name:
        folder = Path(name)
        with Workshop(folder) as workshop:
            watch.stage(f"load {request.model.name}")
            source = load.load(request.model, workshop, folder, watch)
            source = data.with_input_scale(request.data, source, watch)
            calibrates = recipe.precision in _CALIBRATED
            calibration, parity = data.choose(request.data, source, calibrates, watch)
            source = load.settle_task(source, labelled=parity.labelled)
            graphs = []
            for format in request.formats:
                watch.stage(f"lower to {TARGETS[format].title}")
                graphs.append(TARGETS[format].lower(source, workshop, folder))
            watch.stage("ask the original", len(parity))
            reference = load.answers(source, parity, workshop, folder, watch)
        floats = [steps.write(graph, {}, _FLOAT, folder) for graph in graphs]
        for artifact, model in floats:
            verify.check_conversion(artifact, model, reference, parity, source)
        made = [steps.quantize(graph, calibration, recipe, folder, watch) for graph in graphs]
        watch.stage("verify", len(parity))
        differing: list[verify.Disagreement] = []
        verdict = verify.judge(
            made,
            reference,
            parity,
            source.task,
            source.activation,
            request.gate,
            watch,
            on_disagreement=differing.append,
        )
        watch.stage("measure latency")
        golden = next(iter(parity.batches(_GOLDEN_ITEMS))).x
        bench = device.bench(made, floats, [x[:1] for x in golden])
        watch.stage("write the bundle")
        package.write_bundle(
            destination,
            source=source,
            artifacts=[artifact for artifact, _ in made],
            recipe=recipe,
            verdict=verify.verdict_to_json(verdict),
            bench=bench,
            report=lambda manifest: report.render(
                verdict,
                manifest,
                bench,
                quantize.recipe_to_text(recipe),
                [verify.named(item, source.labels) for item in differing],
            ),
            golden_inputs=golden,
            versions=package.tool_versions(),
            force=request.force,
        )
    return Export(destination, verdict, bench)
