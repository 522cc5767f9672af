"""Count what makes an ONNX graph unclean, for models of the catalogue or files.

    python benchmarks/clean_onnx.py mobilenetv3small efficientnetb0
    python benchmarks/clean_onnx.py model.onnx

A row a model: its inputs, operator set, Transposes, constants that are there twice,
tensors whose name tells no Keras layer, and whether the batch axis is free. Weights are
random; the graph doesn't depend on them.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx

from edgeconv import load
from edgeconv.load import LoadRequest
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.targets.names import layer_of
from edgeconv.workshop import Workshop


@dataclass(frozen=True)
class Clean:
    """What was counted.

    Attributes:
        inputs: Names of the graph's inputs.
        opset: Of ONNX's own operators.
        nodes: All of them.
        transposes: Of these.
        twice: Constants that equal an earlier one.
        nameless: Outputs of nodes that begin with no layer's name.
        free_batch: Every input and output has a free first axis.
    """

    inputs: tuple[str, ...]
    opset: int
    nodes: int
    transposes: int
    twice: int
    nameless: int
    free_batch: bool


def count(model: Any, layers: Collection[str]) -> Clean:
    """Count in a model; raises what ``onnx.checker`` does where it is not valid."""
    onnx.checker.check_model(model)
    graph = model.graph
    equal = Counter(
        (t.data_type, tuple(t.dims), hashlib.sha256(t.raw_data).digest()) for t in graph.initializer
    )
    outputs = [name for node in graph.node for name in node.output if name]
    ends = [value.type.tensor_type.shape.dim[0] for value in (*graph.input, *graph.output)]
    return Clean(
        inputs=tuple(value.name for value in graph.input),
        opset=next(o.version for o in model.opset_import if o.domain == ""),
        nodes=len(graph.node),
        transposes=sum(node.op_type == "Transpose" for node in graph.node),
        twice=sum(number - 1 for number in equal.values()),
        nameless=sum(layer_of(name, layers) is None for name in outputs) if layers else 0,
        free_batch=all(not end.HasField("dim_value") for end in ends),
    )


def _lowered(name: str) -> Clean:
    if name.endswith(".onnx"):
        return count(onnx.load(name), ())
    with tempfile.TemporaryDirectory() as folder, Workshop(Path(folder)) as workshop:
        request = LoadRequest(name, weights="none")
        source = load.load(request, workshop, Path(folder), Silent())
        graph = TARGETS["onnx"].lower(source, workshop, Path(folder))
        return count(onnx.load(graph.path), set(source.layers))


def main() -> None:
    """Print a row a model."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="+", metavar="MODEL", help="name, or .onnx file")
    for name in parser.parse_args().models:
        print(f"{name}: {_lowered(name)}", flush=True)


if __name__ == "__main__":
    main()
