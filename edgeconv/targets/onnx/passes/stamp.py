"""Say who made the file, and nothing that differs from run to run.

    opset imports      only those that nodes use (onnxruntime adds nine)
    doc strings, metadata, inferred shapes of another tool: gone
    free batch axes    all called ``batch``

Requires: the graph is final.
Ensures: the same graph gives the same bytes.
"""

from __future__ import annotations

import edgeconv
from edgeconv.targets.onnx.model import Model, infer_shapes
from edgeconv.targets.onnx.passes.base import Context

__all__ = ["BATCH", "sign", "stamp"]

BATCH = "batch"


def stamp(model: Model, context: Context) -> tuple[Model, bool]:
    """See the module."""
    model.graph.name = context.name
    for value in model.graph.input:
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    for value in model.graph.output:
        # Inferred anew from the inputs.
        for axis in value.type.tensor_type.shape.dim:
            if not axis.HasField("dim_value"):
                axis.Clear()
    model = infer_shapes(model)
    for value in model.graph.output:
        value.type.tensor_type.shape.dim[0].Clear()
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    return sign(model), True


def sign(model: Model) -> Model:
    """Clear what other tools left, in place, and name edgeconv as the producer."""
    used = {node.domain for node in model.graph.node} | {""}
    kept = [(o.domain, o.version) for o in model.opset_import if o.domain in used]
    del model.opset_import[:]
    for domain, version in sorted(kept):
        model.opset_import.add(domain=domain, version=version)
    del model.metadata_props[:]
    model.doc_string = model.graph.doc_string = model.domain = ""
    model.ClearField("model_version")
    model.producer_name = "edgeconv"
    model.producer_version = edgeconv.__version__
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return model
