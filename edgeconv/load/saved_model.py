"""SavedModel folders: their default signature as a frozen function.

Runs in the workshop. Operators are checked against an allow-list before
TensorFlow is asked to run anything of the foreign graph.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeconv.errors import RefusedInput, Unsupported

__all__ = ["default_signature", "refuse_foreign_operators"]

# Operators with a reach beyond arithmetic: the file system, Python, the network,
# other processes. A loader's own restore ops are what TensorFlow itself wrote to
# read the variables of this folder.
_RESTORE = {"RestoreV2", "SaveV2", "ShardedFilename", "MergeV2Checkpoints", "StaticRegexFullMatch"}
_FORBIDDEN_PARTS = (
    "PyFunc", "ReadFile", "WriteFile", "MatchingFiles", "DeleteFile", "RegisterDataset",
    "Dataset", "Iterator", "Reader", "Send", "Recv", "Rpc", "Summary", "Print", "Debug",
    "GeneratorDataset", "Socket", "Custom", "XlaLaunch", "TPU", "Exec", "Decode", "Encode",
)  # fmt: skip


def refuse_foreign_operators(folder: Path) -> None:
    """Refuse a SavedModel whose graph could reach beyond arithmetic.

    Raises:
        RefusedInput: The folder's protobuf can't be read, or names the operator.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    proto = saved_model_pb2.SavedModel()
    try:
        proto.ParseFromString((folder / "saved_model.pb").read_bytes())
    except Exception as error:
        raise RefusedInput(
            f"{folder.name}/saved_model.pb is not a SavedModel: it can't be parsed.",
            "Export the model again with model.export('folder').",
        ) from error
    for meta in proto.meta_graphs:
        graph = meta.graph_def
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        for node in nodes:
            if node.op in _RESTORE:
                continue
            if any(part in node.op for part in _FORBIDDEN_PARTS):
                raise RefusedInput(
                    f"{folder.name} holds the operator {node.op}, which reaches beyond arithmetic.",
                    "Export the model without it, or load it yourself and save it as .keras.",
                )


def default_signature(folder: str) -> Any:
    """The default serving signature as a function with its weights as constants.

    The v1 loader also opens folders whose Python objects can't be restored.

    Args:
        folder: SavedModel folder, already checked.

    Returns:
        A wrapped TensorFlow function, one argument an input, free batch axis.

    Raises:
        Unsupported: The folder has no serving signature.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_from_session_graph as to_constants,
    )

    v1 = tf.compat.v1
    with v1.Session(graph=tf.Graph()) as session:
        meta = v1.saved_model.load(session, ["serve"], folder)
        signature = meta.signature_def.get("serving_default")
        if signature is None:
            raise Unsupported(
                f"{Path(folder).name} has no signature named serving_default.",
                "Export the model again with model.export('folder').",
            )
        inputs = [signature.inputs[key] for key in sorted(signature.inputs)]
        outputs = [signature.outputs[key] for key in sorted(signature.outputs)]
        graph_def = to_constants(
            session,
            session.graph.as_graph_def(),
            [t.name.partition(":")[0] for t in outputs],
        )
    names = [t.name for t in inputs]
    specs = [
        tf.TensorSpec(
            [None, *(d.size for d in t.tensor_shape.dim[1:])], tf.dtypes.as_dtype(t.dtype)
        )
        for t in inputs
    ]

    def call(*tensors: Any) -> Any:
        return tf.graph_util.import_graph_def(
            graph_def,
            input_map=dict(zip(names, tensors, strict=True)),
            return_elements=[t.name for t in outputs],
            name="",
        )

    wrapped = v1.wrap_function(call, specs)
    # Freezing once more inlines the functions that Keras saves its layers as.
    return tf.compat.v1.wrap_function(*_inlined(wrapped, specs))


def _inlined(wrapped: Any, specs: list[Any]) -> tuple[Any, list[Any]]:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    frozen = convert_variables_to_constants_v2(wrapped)
    graph_def = frozen.graph.as_graph_def()

    def call(*tensors: Any) -> Any:
        return tf.graph_util.import_graph_def(
            graph_def,
            input_map={t.name: x for t, x in zip(frozen.inputs, tensors, strict=True)},
            return_elements=[t.name for t in frozen.outputs],
            name="",
        )

    return call, specs
