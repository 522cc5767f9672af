"""Steps that the pipeline takes once a format, between its rooms."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeconv import data, device, load, package, prepare, report, verify
from edgeconv.data import Items
from edgeconv.errors import EdgeconvError, Unsupported, UsageError
from edgeconv.memory import give_memory_back
from edgeconv.order import ExportRequest, Limits
from edgeconv.progress import Progress, Silent
from edgeconv.quantize import recipe_to_text
from edgeconv.runtime.engines import Model
from edgeconv.targets import TARGETS
from edgeconv.types import (
    Artifact,
    Dataset,
    FloatGraph,
    Precision,
    Recipe,
    SourceModel,
    Verdict,
)
from edgeconv.workshop import Workshop

__all__ = [
    "CALIBRATED",
    "Found",
    "check",
    "described_device",
    "layers",
    "page",
    "refuse_graph",
    "refuse_overflow",
    "refuse_source",
    "remember",
    "synthesise",
    "threads",
    "with_layers",
    "within",
]

#: Precisions whose ranges come from data.
CALIBRATED: tuple[Precision, ...] = ("int8", "int16x8")
_QUANTIZED: tuple[Precision, ...] = ("int8", "int16x8", "dynamic")
#: Items on which layers are compared; their sums hardly change with more.
_BLAMED_ITEMS = 4
#: Operators that are compared in passing; the work grows faster than their number.
_BLAMED_OPERATORS = 400
#: Of a float file whose layers are compared in passing: four sessions hold copies of it.
_BLAMED_BYTES = 160 << 20
#: Items on which float16's range is tried; a factor of 4 is kept for all the others.
_TRIED_ITEMS = 8
_LARGEST_HALF, _HEADROOM = 65504.0, 4.0


@dataclass(frozen=True)
class Found:
    """The artifacts that ship, and how they were come by.

    Attributes:
        recipe: They were made by.
        made: One a format, each with what runs it.
        account: The content of recovery.json; None where nothing was searched for.
        timings: What bench.json says of the search.
    """

    recipe: Recipe
    made: list[tuple[Artifact, Model]]
    account: dict[str, Any] | None = None
    timings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def artifacts(self) -> list[Artifact]:
        """Without what runs them."""
        return [artifact for artifact, _ in self.made]


#: What to do where the pictures that a model file names are not what they were.
_WHERE = "If the folder was moved, say where it lies now with --data DIR"
_INSTEAD = "name other pictures with --calibration and --parity"


def remember(request: ExportRequest) -> ExportRequest:
    """The order with what a fine-tuned model file says of its pictures."""
    known = data.remembered(request.data, request.model.model, _WHERE, _INSTEAD)
    return replace(request, data=known)


def check(request: ExportRequest, watch: Progress) -> Path:
    """Refuse what can be refused before anything slow begins.

    Args:
        request: The order.
        watch: Told what follows from the order's device.

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
    prepare.check(request.recipe)
    if request.device is not None:
        device.refuse_clashing_order(request.device, request.recipe, request.formats)
    _refuse_training(request)
    device.refuse_clash()
    device.refuse_missing(request.formats)
    load.check(request.model)
    data.check(request.data, calibrates=request.recipe.precision in CALIBRATED)
    destination = package.destination(request.output, request.model.name, request.recipe.precision)
    package.check_destination(destination, force=request.force)
    if request.device is not None:
        watch.note(device.why_this_precision(request.device, request.recipe.precision))
    return destination


def _refuse_training(request: ExportRequest) -> None:
    recipe = request.recipe
    if recipe.qat is not None and recipe.precision != "int8":
        raise UsageError(
            f"The recipe trains int8 weights ([qat]), and its precision is {recipe.precision}.",
            'Leave one of them out, or write precision = "int8".',
        )
    if (request.qat or recipe.qat) and request.data.synthesises:
        raise UsageError(
            "Weights can't be trained on a few dozen synthesised inputs.",
            "Give --calibration DATA, or leave out --qat (in a recipe, [qat]).",
        )


def refuse_source(source: SourceModel, request: ExportRequest, watch: Progress) -> SourceModel:
    """The loaded model, where the order's device runs it as far as it alone can tell."""
    if request.device is not None:
        device.refuse_source(request.device, source, request.recipe, request.formats, watch)
    return source


def refuse_graph(
    graph: FloatGraph, request: ExportRequest, folder: Path, watch: Progress
) -> FloatGraph:
    """The lowered model, where the order's device runs it."""
    if request.device is not None:
        device.refuse_graph(request.device, graph, request.recipe, folder, watch)
    return graph


def synthesise(
    source: SourceModel, request: ExportRequest, workshop: Workshop, folder: Path, watch: Progress
) -> tuple[SourceModel, Items]:
    """Calibration inputs that are nobody's data, and the source with a word on them."""
    made = load.synthesise(source, request.data.seed, workshop, folder, watch)
    items = data.ready_items(made.x, source.preprocess, "synthesised inputs")
    return replace(source, provenance={**source.provenance, "calibration": made.origin}), items


def refuse_overflow(graph: FloatGraph, parity: Items, recipe: Recipe, watch: Progress) -> None:
    """See that what layers give out fits into float16, where it is to be.

    A CPU computes a float16 file in float32 and would never tell; a GPU answers with
    infinity. A float16 TFLite file is float16 for its GPU delegate alone: only a note.

    Args:
        graph: Float.
        parity: A few of its items are tried.
        recipe: Its ``precision`` and ``scopes``.
        watch: Told of layers that come near.

    Raises:
        Unsupported: A layer of an ONNX file gives out more than 65,504.
    """
    if "fp16" not in recipe.precisions:
        return
    ranges = TARGETS[graph.format].observe(graph, parity.take(_TRIED_ITEMS), Silent())
    for tensor, seen in ranges.items():
        layer, most = graph.tensor_layers.get(tensor, ""), max(-seen.low, seen.high)
        if most * _HEADROOM <= _LARGEST_HALF or recipe.precision_of(layer, graph.format) != "fp16":
            continue
        where = f"The layer {layer!r}" if layer else f"The tensor {tensor!r}"
        if most > _LARGEST_HALF and graph.format == "onnx":
            raise Unsupported(
                f"{where} reaches {most:,.0f}, and float16 ends at 65,504.",
                "Keep that layer in fp32 with a scope in --recipe, or export with --fp32.",
            )
        watch.note(f"{where} reaches {most:,.0f} on {_TRIED_ITEMS} items; float16 ends at 65,504.")


def layers(
    artifact: Artifact, graph: FloatGraph, parity: Dataset, watch: Progress
) -> tuple[Mapping[str, Any], ...]:
    """The layers of a quantized artifact, worst first; none where they can't be compared."""
    if artifact.precision not in _QUANTIZED:
        return ()
    size = graph.path.stat().st_size
    operators = len(TARGETS[artifact.format].layers(graph))
    if operators > _BLAMED_OPERATORS or size > _BLAMED_BYTES:
        much = f"{operators:,} operators" if size <= _BLAMED_BYTES else f"{size / 1e6:,.0f} MB"
        watch.note(
            f"the layers of {artifact.path.name}, {much} in float, are not compared in passing; "
            "edgeconv verify BUNDLE --against MODEL --blame always compares them"
        )
        return ()
    x = next(iter(parity.batches(_BLAMED_ITEMS))).x
    try:
        return verify.blame(artifact, graph, x)
    except EdgeconvError as error:
        watch.note(f"no layer could be blamed: {error.message}")
        return ()
    finally:
        give_memory_back()


def with_layers(verdict: Verdict, found: Sequence[tuple[Mapping[str, Any], ...]]) -> Verdict:
    """The verdict with each artifact's layers in it."""
    pairs = zip(verdict.artifacts, found, strict=True)
    return replace(verdict, artifacts=tuple(replace(each, layers=own) for each, own in pairs))


def within(
    verdict: Verdict, artifacts: Sequence[Artifact], bench: Mapping[str, Any], limits: Limits
) -> Verdict:
    """The verdict, failed where an artifact takes more than the order allows."""
    judged = []
    for each, artifact, row in zip(verdict.artifacts, artifacts, bench["artifacts"], strict=True):
        broken = limits.exceeded(artifact.size_bytes, row["latency_ms_median"])
        reason = "; ".join((*broken, each.reason))
        judged.append(replace(each, status="fail", reason=reason) if broken else each)
    if any(each.status == "fail" for each in judged):
        return replace(verdict, status="fail", artifacts=tuple(judged))
    return verdict


def page(
    verdict: Verdict,
    bench: Mapping[str, Any],
    found: Found,
    differing: Sequence[verify.Disagreement],
    labels: Sequence[str],
    parity: Items,
) -> Callable[[Mapping[str, Any]], str]:
    """What writes report.html once manifest.json is known."""
    rows = [verify.named(item, labels) for item in differing]
    pictures = data.thumbnails(parity, report.pictured(rows))
    text = recipe_to_text(found.recipe)
    return lambda manifest: report.render(
        verdict, manifest, bench, text, rows, pictures, recovery=found.account
    )


def described_device(request: ExportRequest) -> dict[str, Any] | None:
    """The order's device as manifest.json has it."""
    return None if request.device is None else device.describe_device(request.device)


def threads(request: ExportRequest) -> int:
    """How many threads the latency is measured with: the device's, as far as this machine goes."""
    wanted = request.device.runtime.threads if request.device else 1
    return min(wanted, os.cpu_count() or 1)
