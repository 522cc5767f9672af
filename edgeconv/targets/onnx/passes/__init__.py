"""Graph passes between tf2onnx and the float model: one a file, each a small equation."""

from __future__ import annotations

from typing import Final

from edgeconv.targets.onnx.model import Model
from edgeconv.targets.onnx.passes.base import Context, Pass
from edgeconv.targets.onnx.passes.dense_to_conv import dense_to_conv
from edgeconv.targets.onnx.passes.drop_null_reshapes import drop_null_reshapes
from edgeconv.targets.onnx.passes.drop_unused_inputs import drop_unused_inputs
from edgeconv.targets.onnx.passes.fold import fold
from edgeconv.targets.onnx.passes.fold_affine import fold_affine
from edgeconv.targets.onnx.passes.keep_pads import keep_pads
from edgeconv.targets.onnx.passes.mean_to_pool import mean_to_pool
from edgeconv.targets.onnx.passes.mend_erfc import mend_erfc
from edgeconv.targets.onnx.passes.merge_affine import merge_affine
from edgeconv.targets.onnx.passes.name_nodes import name_nodes
from edgeconv.targets.onnx.passes.name_tensors import name_tensors
from edgeconv.targets.onnx.passes.refuse_foreign import refuse_foreign
from edgeconv.targets.onnx.passes.share_constants import share_constants
from edgeconv.targets.onnx.passes.stamp import sign, stamp
from edgeconv.targets.onnx.passes.widen_constants import widen_constants

__all__ = ["PASSES", "Context", "Pass", "run", "sign"]

#: In the order in which they run, and why there.
PASSES: Final[tuple[Pass, ...]] = (
    drop_unused_inputs,  # first: a graph with an input too many can't be loaded for folding
    mend_erfc,  # before what refuses the operators that are left
    refuse_foreign,  # before folding, whose message would name no layer
    keep_pads,  # before folding, in which onnxruntime would fuse them
    name_nodes,  # before folding, which loses the names of constants
    fold,
    dense_to_conv,  # needs the pairs of Transposes that folding leaves
    fold_affine,  # needs the Gemm that folding makes, and the Conv
    merge_affine,  # needs the constants of folding
    widen_constants,  # the merged ones
    drop_null_reshapes,
    mean_to_pool,
    share_constants,  # after folding, which makes the constants
    name_tensors,  # after all that add, remove or merge tensors
    stamp,  # last: infers the types and shapes of the final tensors
)


def run(model: Model, context: Context) -> Model:
    """Run all passes in order."""
    for step in PASSES:
        model, _ = step(model, context)
    return model
