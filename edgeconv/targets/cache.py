"""A model is lowered once: the second time its float file comes from the cache.

frozen graph (SHA-256), specs, layers  ->  float file, specs, layer of each tensor
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from edgeconv.types import FloatGraph, Format, SourceModel, TensorSpec
from edgeconv.workshop import Workshop

__all__ = ["lowered_once"]

Lower = Callable[[SourceModel, Workshop, Path], FloatGraph]


def lowered_once(
    lower: Lower, format: Format, source: SourceModel, workshop: Workshop, folder: Path
) -> FloatGraph:
    """``lower(source, workshop, folder)``, or what it returned for the same source before.

    Args:
        lower: Writes a file into ``folder``, and what belongs to it beside it, under
            names that begin with the file's.
        format: Which one it makes.
        source: The frozen graph.
        workshop: Its cache is used, where it has one.
        folder: Receives the file.
    """
    cache = workshop.cache
    if cache is None or not source.graph_sha256:
        return lower(source, workshop, folder)
    key = {
        "kind": f"{format} float graph",
        "graph": source.graph_sha256,
        "name": source.name,
        "inputs": [asdict(spec) for spec in source.inputs],
        "outputs": [asdict(spec) for spec in source.outputs],
        "layers": source.layers,
    }
    found = cache.fetch(key, folder)
    if found is not None:
        return _from_json(found, format, folder)
    graph = lower(source, workshop, folder)
    cache.keep(key, _as_json(graph), sorted(folder.glob(f"{graph.path.name}*")))
    return graph


def _as_json(graph: FloatGraph) -> dict[str, Any]:
    return {
        "file": graph.path.name,
        "inputs": [asdict(spec) for spec in graph.inputs],
        "outputs": [asdict(spec) for spec in graph.outputs],
        "tensor_layers": dict(graph.tensor_layers),
    }


def _from_json(found: dict[str, Any], format: Format, folder: Path) -> FloatGraph:
    inputs, outputs = (
        tuple(TensorSpec(**{**spec, "shape": tuple(spec["shape"])}) for spec in found[side])
        for side in ("inputs", "outputs")
    )
    return FloatGraph(format, folder / found["file"], inputs, outputs, found["tensor_layers"])
