"""``tiny`` as ONNX, with names as the lowering gives them."""

from pathlib import Path

import numpy as np

from edgeconv.targets.onnx import model as om
from edgeconv.targets.onnx.graph import assign_layers
from edgeconv.types import FloatGraph


def write_onnx(path: Path, constants) -> FloatGraph:
    from onnx import TensorProto, helper, numpy_helper

    from tests.unit.verify.blame.tiny import CHANNELS, CLASSES, LAYERS, SIZE

    def conv(layer, source, group=1, pads=(1, 1, 1, 1)):
        names = [source, f"{layer}/kernel", f"{layer}/bias"]
        attributes = {"group": group, "pads": pads}
        return helper.make_node("Conv", names, [f"{layer}/Conv"], f"{layer}/Conv", **attributes)

    def node(op, sources, name, **attributes):
        return helper.make_node(op, sources, [name], name, **attributes)

    nodes = [
        node("Transpose", ["picture"], "stem/Transpose", perm=[0, 3, 1, 2]),
        conv("stem", "stem/Transpose"),
        node("Relu", ["stem/Conv"], "stem/Relu"),
        conv("depthwise", "stem/Relu", CHANNELS),
        node("Relu", ["depthwise/Conv"], "depthwise/Relu"),
        conv("project", "depthwise/Relu", pads=(0, 0, 0, 0)),
        node("Add", ["project/Conv", "stem/Relu"], "add/Add"),
        node("GlobalAveragePool", ["add/Add"], "average/GlobalAveragePool"),
        node("Flatten", ["average/GlobalAveragePool"], "average/Flatten"),
    ]
    for layer in ("head", "side"):
        names = ["average/Flatten", f"{layer}/kernel", f"{layer}/bias"]
        nodes.append(helper.make_node("Gemm", names, [layer], f"{layer}/MatMul"))
    tensors = []
    for layer, (kernel, bias) in constants.items():
        if kernel.ndim == 4:
            axes = (2, 3, 0, 1) if layer == "depthwise" else (3, 2, 0, 1)
            kernel = kernel.transpose(axes)
        tensors.append(numpy_helper.from_array(np.ascontiguousarray(kernel), f"{layer}/kernel"))
        tensors.append(numpy_helper.from_array(bias, f"{layer}/bias"))
    value = helper.make_tensor_value_info
    made = helper.make_model(
        helper.make_graph(
            nodes,
            "tiny",
            [value("picture", TensorProto.FLOAT, ["N", SIZE, SIZE, 3])],
            [value(n, TensorProto.FLOAT, ["N", c]) for n, c in (("head", CLASSES), ("side", 3))],
            tensors,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    made = om.infer_shapes(made)
    om.write(made, path)
    inputs, outputs = om.specs(made)
    return FloatGraph("onnx", path, inputs, outputs, assign_layers(made, LAYERS))
