"""The main job, a room a line: load, lower, calibrate, quantize, verify, bundle.

A model walks through the rooms in this order; quantize turns back (``recover``) as long as
accuracy is lost on what was held back of the calibration set.
"""

from __future__ import annotations

import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from edgeconv import data, device, load, making, package, prepare, steps, trainer, trials, verify
from edgeconv.cache import user_cache
from edgeconv.order import Export, ExportRequest
from edgeconv.progress import Progress, Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Recipe
from edgeconv.workshop import Workshop

__all__ = ["Export", "ExportRequest", "export"]

_FLOAT = Recipe(precision="fp32", passes=())
_GOLDEN_ITEMS = 2
_JUDGED_AT_ONCE = 8


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
    request = steps.remember(request)
    recipe, destination = request.recipe, steps.check(request, watch)
    cache = user_cache(watch) if request.cache else None
    with tempfile.TemporaryDirectory(prefix="edgeconv-") as name, ThreadPoolExecutor(1) as aside:
        folder = Path(name)
        # The workshop ends first, which ends whatever waits for it beside us.
        with ThreadPoolExecutor(1) as beside, Workshop(folder, cache) as workshop:
            watch.stage(f"load {request.model.name}")
            source = load.load(request.model, workshop, folder, watch)
            source = steps.refuse_source(source, request, watch)
            source = data.with_input_scale(request.data, source, watch)
            calibrates = recipe.precision in steps.CALIBRATED
            calibration, parity = data.choose(request.data, source, calibrates, watch)
            source = load.settle_task(source, labelled=parity.labelled)
            if calibrates and request.data.synthesises:
                source, calibration = steps.synthesise(source, request, workshop, folder, watch)
            calibration, held = data.hold_back(calibration, request.data.seed)
            targets = [TARGETS[format] for format in request.formats]
            # TensorFlow lowers one format while we calibrate the other.
            lowered = [beside.submit(t.lower, source, workshop, folder) for t in targets]
            asked = beside.submit(load.answers, source, parity, workshop, folder)
            pieces = []
            memo: prepare.Memo = {}
            for target, job in zip(targets, lowered, strict=True):
                watch.stage(f"lower to {target.title}")
                graph = steps.refuse_graph(job.result(), request, folder, watch)
                steps.refuse_overflow(graph, parity, recipe, watch)
                pieces.append(making.observe(graph, calibration, recipe, watch, memo))
            pieces = trainer.with_trainer(pieces, source, request, workshop, folder, watch)
            found = trials.quantize(pieces, held, source, request, recipe, folder, watch)
            recipe, made, artifacts = found.recipe, found.made, found.artifacts
            # Layers are compared while the original answers and the artifacts are judged.
            compared = [
                aside.submit(
                    steps.layers, artifact, making.suited(piece, recipe).graph, parity, watch
                )
                for artifact, piece in zip(artifacts, pieces, strict=True)
            ]
            watch.stage("ask the original")
            reference = asked.result()
        floats = [making.write(piece.graph, {}, _FLOAT, folder) for piece in pieces]
        for artifact, model in floats:
            verify.check_conversion(artifact, model, reference, parity, source)
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
            source.at_once(_JUDGED_AT_ONCE),
            differing.append,
        )
        watch.stage("compare the layers")
        verdict = steps.with_layers(verdict, [job.result() for job in compared])
        watch.stage("measure latency")
        golden = next(iter(parity.batches(_GOLDEN_ITEMS))).x
        bench = device.bench(made, floats, [x[:1] for x in golden], steps.threads(request))
        bench |= found.timings
        verdict = steps.within(verdict, artifacts, bench, request.limits)
        watch.stage("write the bundle")
        package.write_bundle(
            destination,
            source=source,
            artifacts=artifacts,
            recipe=recipe,
            verdict=verify.verdict_to_json(verdict),
            bench=bench,
            recovery=found.account,
            report=steps.page(verdict, bench, found, differing, source.labels, parity),
            golden_inputs=golden,
            versions=package.tool_versions(),
            force=request.force,
            device=steps.described_device(request),
        )
    return Export(destination, verdict, bench, found.account)
