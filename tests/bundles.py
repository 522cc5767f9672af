"""Small real bundles for tests: no TensorFlow, no download."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.package import write_bundle
from edgeconv.preprocess import Preprocess
from edgeconv.types import Artifact, Format, Precision, Recipe, SourceModel, TensorSpec

SIZE, CLASSES = 8, 10
LABELS = tuple(f"class {i}" for i in range(CLASSES))
INPUT = TensorSpec("image", (None, SIZE, SIZE, 3), "float32")
OUTPUT = TensorSpec("logits", (None, CLASSES), "float32")
PREPROCESS = Preprocess(
    height=SIZE, width=SIZE, resize="stretch", scale=(1 / 127.5,), offset=(-1.0,)
)


def kernel() -> np.ndarray:
    """float32 [SIZE * SIZE * 3, CLASSES]: the weights of the test model."""
    rng = np.random.default_rng(0)
    return rng.normal(0, 0.3, (SIZE * SIZE * 3, CLASSES)).astype(np.float32)


def logits(x: np.ndarray) -> np.ndarray:
    """The test model in NumPy: x float32 [N, SIZE, SIZE, 3] -> float32 [N, CLASSES]."""
    return (x.reshape(len(x), -1) @ kernel()).astype(np.float32)


def onnx_bytes(batch: int | None = None) -> bytes:
    """The test model as ONNX: Flatten, MatMul."""
    from onnx import TensorProto, helper, numpy_helper

    free = "N" if batch is None else batch
    graph = helper.make_graph(
        [
            helper.make_node("Flatten", ["image"], ["flat"]),
            helper.make_node("MatMul", ["flat", "kernel"], ["logits"]),
        ],
        "test",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [free, SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [free, CLASSES])],
        [numpy_helper.from_array(kernel(), "kernel")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def tflite_bytes() -> bytes:
    """The test model as float TFLite, batch 1: one FULLY_CONNECTED, written by hand."""
    from ai_edge_litert import schema_py_generated as schema
    from flatbuffers import Builder

    def tensor(name: str, shape: Sequence[int], buffer: int) -> Any:
        made = schema.TensorT()
        made.name, made.shape, made.buffer = name, list(shape), buffer
        made.type = schema.TensorType.FLOAT32
        return made

    def buffer(data: bytes = b"") -> Any:
        made = schema.BufferT()
        made.data = np.frombuffer(data, np.uint8) if data else None
        return made

    reshape, dense = schema.OperatorCodeT(), schema.OperatorCodeT()
    reshape.builtinCode = reshape.deprecatedBuiltinCode = schema.BuiltinOperator.RESHAPE
    dense.builtinCode = dense.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
    flatten, multiply = schema.OperatorT(), schema.OperatorT()
    flatten.opcodeIndex, flatten.inputs, flatten.outputs = 0, [0], [1]
    flatten.builtinOptionsType = schema.BuiltinOptions.ReshapeOptions
    flatten.builtinOptions = schema.ReshapeOptionsT()
    flatten.builtinOptions.newShape = [1, SIZE * SIZE * 3]
    multiply.opcodeIndex, multiply.inputs, multiply.outputs = 1, [1, 2, -1], [3]
    multiply.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    multiply.builtinOptions = schema.FullyConnectedOptionsT()
    graph = schema.SubGraphT()
    graph.tensors = [
        tensor("image", (1, SIZE, SIZE, 3), 0),
        tensor("flat", (1, SIZE * SIZE * 3), 0),
        tensor("kernel", (CLASSES, SIZE * SIZE * 3), 1),
        tensor("logits", (1, CLASSES), 0),
    ]
    graph.inputs, graph.outputs, graph.operators = [0], [3], [flatten, multiply]
    model = schema.ModelT()
    model.version, model.operatorCodes, model.subgraphs = 3, [reshape, dense], [graph]
    model.buffers = [buffer(), buffer(np.ascontiguousarray(kernel().T).tobytes())]
    builder = Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def artifact(path: Path, format: Format, data: bytes, **changes: Any) -> Artifact:
    """Write a model file and describe it."""
    path.write_bytes(data)
    batch = 1 if format == "tflite" else None
    fields: dict[str, Any] = {
        "format": format,
        "precision": "fp32",
        "path": path,
        "sha256": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
        "inputs": (TensorSpec("image", (batch, SIZE, SIZE, 3), "float32"),),
        "outputs": (TensorSpec("logits", (batch, CLASSES), "float32"),),
        "recipe": Recipe(precision="fp32"),
        "operators": {"FULLY_CONNECTED": 1, "RESHAPE": 1},
        "float_operators": {"FULLY_CONNECTED": 1, "RESHAPE": 1},
    }
    return Artifact(**{**fields, **changes})


def artifacts(folder: Path) -> list[Artifact]:
    """The test model in both formats."""
    return [
        artifact(folder / "a.tflite", "tflite", tflite_bytes()),
        artifact(folder / "a.onnx", "onnx", onnx_bytes()),
    ]


def source(**changes: Any) -> SourceModel:
    """The float reference of the test model."""
    fields: dict[str, Any] = {
        "name": "tiny",
        "graph": Path("unused.pb"),
        "inputs": (INPUT,),
        "outputs": (OUTPUT,),
        "activation": "softmax",
        "task": "classification",
        "preprocess": PREPROCESS,
        "labels": LABELS,
        "layers": ("dense",),
        "provenance": {"file": "tiny.keras", "sha256": "0" * 64},
    }
    return SourceModel(**{**fields, **changes})


def golden_inputs() -> np.ndarray:
    """float32 [3, SIZE, SIZE, 3] in [-1, 1]."""
    return np.random.default_rng(1).uniform(-1, 1, (3, SIZE, SIZE, 3)).astype(np.float32)


def make_bundle(folder: Path, **changes: Any) -> Path:
    """A bundle of the test model at ``folder / "tiny-fp32"``."""
    precision: Precision = "fp32"
    verdict = {
        "schema_version": 1,
        "status": "pass",
        "samples": 250,
        "artifacts": [
            {"file": "model.tflite", "status": "pass", "metrics": {"top1": 83.2}},
            {"file": "model.onnx", "status": "pass", "metrics": {"top1": 83.2}},
        ],
    }
    arguments: dict[str, Any] = {
        "source": source(),
        "artifacts": None,
        "recipe": Recipe(precision=precision),
        "verdict": verdict,
        "bench": {"schema_version": 1},
        "report": lambda manifest: f"<!doctype html><title>{manifest['name']}</title>",
        "golden_inputs": [golden_inputs()],
        "versions": {"edgeconv": "0"},
    }
    arguments.update(changes)
    if arguments["artifacts"] is None:
        (folder / "parts").mkdir(exist_ok=True)
        arguments["artifacts"] = artifacts(folder / "parts")
    return write_bundle(folder / "tiny-fp32", **arguments)


def sign(bundle: Path) -> None:
    """Make SHA256SUMS true again, as someone who changed a file would."""
    names = sorted(path.name for path in bundle.iterdir() if path.name != "SHA256SUMS")
    lines = [f"{hashlib.sha256((bundle / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (bundle / "SHA256SUMS").write_text("".join(lines))


def replace_file(bundle: Path, name: str, data: bytes) -> None:
    """Put another model file into a bundle, with the checksums that go with it."""
    (bundle / name).write_bytes(data)
    manifest = json.loads((bundle / "manifest.json").read_text())
    for entry in manifest["artifacts"]:
        if entry["file"] == name:
            entry["sha256"] = hashlib.sha256(data).hexdigest()
            entry["bytes"] = len(data)
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    sign(bundle)
