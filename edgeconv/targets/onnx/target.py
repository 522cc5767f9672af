"""The ONNX target: this format behind the Target protocol."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Final

from edgeconv.progress import Progress
from edgeconv.runtime.engines import open_model
from edgeconv.targets.anatomy import Anatomy
from edgeconv.targets.base import Runner, Target
from edgeconv.targets.cache import lowered_once
from edgeconv.targets.flow import Flow
from edgeconv.targets.onnx import graph as graphs
from edgeconv.targets.onnx.anatomy import OnnxAnatomy
from edgeconv.targets.onnx.flow import flows
from edgeconv.targets.onnx.lower import lower_source
from edgeconv.targets.onnx.observe import activations, observe
from edgeconv.targets.onnx.outside import files_beside
from edgeconv.targets.onnx.quantize import PRECISIONS, quantize
from edgeconv.types import (
    Array,
    Artifact,
    Dataset,
    FloatGraph,
    Layer,
    Precision,
    Ranges,
    Recipe,
    SourceModel,
    Weights,
)
from edgeconv.workshop import Workshop

__all__ = ["ONNX"]


class OnnxTarget:
    """ONNX opset 17, free batch axis, float32 at the border."""

    name = "onnx"
    title = "ONNX"
    suffix = ".onnx"
    precisions: tuple[Precision, ...] = PRECISIONS

    def lower(self, source: SourceModel, workshop: Workshop, folder: Path) -> FloatGraph:
        """See ``Target.lower``."""
        return lowered_once(lower_source, "onnx", source, workshop, folder)

    def layers(self, graph: FloatGraph) -> list[Layer]:
        """See ``Target.layers``."""
        return graphs.layers(graph)

    def flows(self, graph: FloatGraph) -> list[Flow]:
        """See ``Target.flows``."""
        return flows(graph)

    def weights(self, graph: FloatGraph) -> Weights:
        """See ``Target.weights``."""
        return graphs.weights(graph)

    def weights_in(
        self, graph: FloatGraph, file: Anatomy
    ) -> Iterator[tuple[str, Array, Array | None]]:
        """See ``Target.weights_in``."""
        return graphs.weights_in(graph, file)

    def patch(self, graph: FloatGraph, weights: Weights, path: Path) -> FloatGraph:
        """See ``Target.patch``."""
        return graphs.patch(graph, weights, path)

    def observe(
        self, graph: FloatGraph, dataset: Dataset, progress: Progress, *, histograms: bool = False
    ) -> Ranges:
        """See ``Target.observe``."""
        return observe(graph, dataset, progress, histograms=histograms)

    def activations(
        self, graph: FloatGraph, tensors: Collection[str], dataset: Dataset
    ) -> Iterator[Mapping[str, Array]]:
        """See ``Target.activations``."""
        return activations(graph, tensors, dataset)

    def quantize(self, graph: FloatGraph, ranges: Ranges, recipe: Recipe, path: Path) -> Artifact:
        """See ``Target.quantize``."""
        return quantize(graph, ranges, recipe, path)

    def open(self, artifact: Artifact) -> Runner:
        """See ``Target.open``."""
        return open_model(
            artifact.path.read_bytes(),
            "onnx",
            artifact.inputs,
            artifact.outputs,
            "onnxruntime",
            files=files_beside(artifact.path),
        )

    def anatomy(self, content: bytes) -> Anatomy:
        """See ``Target.anatomy``."""
        return OnnxAnatomy(content)


ONNX: Final[Target] = OnnxTarget()
