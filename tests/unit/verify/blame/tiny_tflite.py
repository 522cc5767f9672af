"""``tiny`` as TFLite, with names as the lowering gives them."""

from pathlib import Path

import numpy as np

from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.targets.tflite.graph import assign_layers
from edgeconv.types import FloatGraph

_RELU = 1


class _Writer:
    """The objects of a TFLite file, added one by one."""

    def __init__(self) -> None:
        from ai_edge_litert import schema_py_generated as schema

        self.schema = schema
        self.model = schema.ModelT()
        self.model.version = 3
        self.model.description = b"tiny"
        self.model.buffers = [schema.BufferT()]
        self.model.operatorCodes = []
        self.main = schema.SubGraphT()
        self.main.tensors, self.main.operators = [], []
        self.model.subgraphs = [self.main]

    def tensor(self, name, shape, value=None, type=0):
        made = self.schema.TensorT()
        made.name, made.shape, made.type = name.encode(), list(shape), type
        made.buffer = 0
        if value is not None:
            buffer = self.schema.BufferT()
            buffer.data = np.frombuffer(np.ascontiguousarray(value).tobytes(), np.uint8)
            self.model.buffers.append(buffer)
            made.buffer = len(self.model.buffers) - 1
        self.main.tensors.append(made)
        return len(self.main.tensors) - 1

    def operator(self, kind, inputs, output, options=None, **fields):
        code = self.schema.OperatorCodeT()
        code.builtinCode = getattr(self.schema.BuiltinOperator, kind)
        code.deprecatedBuiltinCode = min(127, code.builtinCode)
        code.version = 1
        self.model.operatorCodes.append(code)
        made = self.schema.OperatorT()
        made.opcodeIndex = len(self.model.operatorCodes) - 1
        made.inputs, made.outputs = inputs, [output]
        if options:
            made.builtinOptions = getattr(self.schema, f"{options}T")()
            for name, value in fields.items():
                setattr(made.builtinOptions, name, value)
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
        self.main.operators.append(made)
        return output


def write_tflite(path: Path, constants) -> FloatGraph:
    from tests.unit.verify.blame.tiny import CHANNELS, CLASSES, LAYERS, SIZE

    writer = _Writer()
    strides = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}

    def weights(layer, axes):
        kernel, bias = constants[layer]
        stored = kernel.transpose(axes)
        return [
            writer.tensor(f"{layer}/kernel", stored.shape, stored),
            writer.tensor(f"{layer}/bias", bias.shape, bias),
        ]

    def conv(layer, source, relu=_RELU):
        name = f"{layer}/Relu;{layer}/convolution" if relu else f"{layer}/convolution"
        output = writer.tensor(name, (1, SIZE, SIZE, CHANNELS))
        inputs = [source, *weights(layer, (3, 0, 1, 2))]
        fields = {"fusedActivationFunction": relu, **strides}
        return writer.operator("CONV_2D", inputs, output, "Conv2DOptions", **fields)

    picture = writer.tensor("picture", (1, SIZE, SIZE, 3))
    stem = conv("stem", picture)
    output = writer.tensor("depthwise/Relu;depthwise/depthwise", (1, SIZE, SIZE, CHANNELS))
    depthwise = writer.operator(
        "DEPTHWISE_CONV_2D",
        [stem, *weights("depthwise", (3, 0, 1, 2))],
        output,
        "DepthwiseConv2DOptions",
        depthMultiplier=1,
        fusedActivationFunction=_RELU,
        **strides,
    )
    project = conv("project", depthwise, relu=0)
    output = writer.tensor("add/add", (1, SIZE, SIZE, CHANNELS))
    total = writer.operator("ADD", [project, stem], output, "AddOptions")
    axes = writer.tensor("average/axes", (2,), np.array([1, 2], np.int32), type=2)
    output = writer.tensor("average/Mean", (1, CHANNELS))
    mean = writer.operator("MEAN", [total, axes], output, "ReducerOptions", keepDims=False)
    ends = []
    for layer, count in (("head", CLASSES), ("side", 3)):
        output = writer.tensor(f"{layer}/MatMul", (1, count))
        inputs = [mean, *weights(layer, (1, 0))]
        ends.append(writer.operator("FULLY_CONNECTED", inputs, output, "FullyConnectedOptions"))
    writer.main.inputs, writer.main.outputs = [picture], ends
    fb.write(writer.model, path)
    model = fb.read(path)
    inputs, outputs = fb.specs(model)
    return FloatGraph("tflite", path, inputs, outputs, assign_layers(model, set(LAYERS)))
