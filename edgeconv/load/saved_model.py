"""SavedModel folders: their default signature as a frozen function.

Runs in the workshop. The part of the graph that answers is cut out, held
against the allow-list of ``load.operators``, and nothing else of the file
reaches TensorFlow: no initializer, no collection, no other signature.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.load import shapes
from edgeconv.load.operators import PURE, RESTORING, runs

__all__ = ["default_signature"]

_TAG = "serve"
_SIGNATURE = "serving_default"
#: A layer that augments switches all behind it to training when Keras exports a model
#: without being told otherwise: BatchNorms count on, pictures are turned at random.
_CHANGES = frozenset({"AssignVariableOp", "AssignAddVariableOp", "AssignSubVariableOp"})


def default_signature(folder: Path, input_size: int | None = None) -> tuple[Any, list[Any]]:
    """The default serving signature as a function with its weights as constants.

    Also opens folders whose Python objects can't be restored (optimizer slots
    that were lost, layers of another framework version): it asks for none.

    Args:
        folder: SavedModel folder.
        input_size: For axes that are free, or None.

    Returns:
        A wrapped TensorFlow function, one argument an input in the order of their
        names, and a TensorSpec an input; the batch axis is free.

    Raises:
        RefusedInput: The protobuf can't be read, or an operator does more than
            arithmetic.
        Unsupported: The folder has no serving signature, or an input has free axes.
        UsageError: ``input_size`` contradicts the model.
    """
    meta = _meta_graph(folder)
    signature = meta.signature_def[_SIGNATURE]
    inputs = {key: signature.inputs[key] for key in sorted(signature.inputs)}
    outputs = [signature.outputs[key].name for key in sorted(signature.outputs)]
    specs = shapes.specs([_input(key, info) for key, info in inputs.items()], input_size)
    graph_def = _with_constants(folder, meta, outputs)
    wrapped = _wrapped(graph_def, [info.name for info in inputs.values()], outputs, specs)
    return _inlined(wrapped, specs), specs


def _input(name: str, info: Any) -> shapes.Input:
    import tensorflow as tf

    if info.tensor_shape.unknown_rank:
        raise Unsupported(
            f"The SavedModel doesn't say how many axes its input {shapes.safe(name)!r} has.",
            "Export it again with an input signature.",
        )
    sizes = tuple(None if d.size < 0 else int(d.size) for d in info.tensor_shape.dim[1:])
    return shapes.Input(name, sizes, tf.dtypes.as_dtype(info.dtype))


def _meta_graph(folder: Path) -> Any:
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
        if _TAG in meta.meta_info_def.tags and _SIGNATURE in meta.signature_def:
            return meta
    raise Unsupported(
        f"{folder.name} has no signature named {_SIGNATURE}.",
        "Export the model again with model.export('folder').",
    )


def _checked_part(folder: Path, meta: Any, roots: list[str], allowed: frozenset[str]) -> Any:
    """What runs for ``roots``, once every operator of it is known to be harmless."""
    part = runs(meta.graph_def, roots)
    functions = {function.signature.name for function in part.library.function}
    bodies = (node for function in part.library.function for node in function.node_def)
    for node in (*part.node, *bodies):
        if node.op in _CHANGES and node.op not in allowed:
            raise RefusedInput(
                f"{folder.name} was exported as it trains: it changes its own variables while it"
                f" answers ({node.op}).",
                "Export it with training=False, or give the .keras file.",
            )
        if node.op not in allowed and node.op not in functions:
            raise RefusedInput(
                f"{folder.name} holds the operator {node.op[:60]!r},"
                " which is not known to be plain arithmetic.",
                "Export the model without it, or save it as .keras.",
            )
    return part


def _with_constants(folder: Path, meta: Any, outputs: list[str]) -> Any:
    """The graph of ``outputs`` with the folder's variables as constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_from_session_graph as to_constants,
    )

    answering = _checked_part(folder, meta, outputs, PURE)
    saver = meta.saver_def
    roots = [saver.restore_op_name, saver.filename_tensor_name] if saver.restore_op_name else []
    restoring = _checked_part(folder, meta, roots, PURE | RESTORING)
    with tf.compat.v1.Session(graph=tf.Graph()) as session:
        # A variable is one node that both parts share, so both are cut out at once.
        both = runs(meta.graph_def, [*outputs, *roots])
        tf.graph_util.import_graph_def(both, name="")
        _add_reads(session.graph)
        if restoring.node:
            prefix = str(folder / "variables" / "variables")
            session.run(saver.restore_op_name, {saver.filename_tensor_name: prefix})
        return to_constants(session, answering, [name.partition(":")[0] for name in outputs])


def _add_reads(graph: Any) -> None:
    """Give every variable the reading operator by which TensorFlow's freezing looks for it."""
    import tensorflow as tf

    for handle in [op for op in graph.get_operations() if op.type == "VarHandleOp"]:
        with graph.as_default():
            tf.raw_ops.ReadVariableOp(
                resource=handle.outputs[0],
                dtype=tf.dtypes.as_dtype(handle.get_attr("dtype")),
                name=f"{handle.name}/Read/ReadVariableOp",
            )


def _wrapped(graph_def: Any, inputs: list[str], outputs: list[str], specs: list[Any]) -> Any:
    """``graph_def`` from ``inputs`` to ``outputs`` as a function."""
    import tensorflow as tf

    def call(*tensors: Any) -> Any:
        return tf.graph_util.import_graph_def(
            graph_def,
            input_map=dict(zip(inputs, tensors, strict=True)),
            return_elements=outputs,
            name="",
        )

    return tf.compat.v1.wrap_function(call, specs)


def _inlined(wrapped: Any, specs: list[Any]) -> Any:
    """Freezing once more inlines the functions that Keras saves its layers as."""
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    frozen = convert_variables_to_constants_v2(wrapped)
    return _wrapped(
        frozen.graph.as_graph_def(),
        [t.name for t in frozen.inputs],
        [t.name for t in frozen.outputs],
        specs,
    )
