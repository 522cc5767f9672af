"""What the SavedModel attacks do inside the TensorFlow process: build, tamper, write."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.progress import Progress

State = dict[str, Any]


def export(state: State, progress: Progress, *, kind: str, folder: str) -> list[float]:
    """Write a SavedModel as users do; return its answer to 0.5 everywhere."""
    import keras

    keras.utils.set_random_seed(0)
    model = _MODELS[kind](keras.layers)
    model.export(folder, verbose=False)
    return [float(v) for v in model(np.full((1, *model.input_shape[1:]), 0.5, "float32"))[0]]


def tamper(state: State, progress: Progress, *, folder: str, attack: str, target: str) -> None:
    """Change the graph of the SavedModel in ``folder`` to do harm at ``target``."""
    from tensorflow.core.protobuf import saved_model_pb2

    path = Path(folder) / "saved_model.pb"
    proto = saved_model_pb2.SavedModel()
    proto.ParseFromString(path.read_bytes())
    _ATTACKS[attack](proto.meta_graphs[0], target)
    path.write_bytes(proto.SerializeToString())


def keras_file(state: State, progress: Progress, *, path: str, custom_loss: bool) -> None:
    """A model compiled with a loss of the user's own."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
    model.compile("adam", "mse")
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(members["config.json"])
    config["compile_config"]["loss"] = {
        "module": "builtins" if not custom_loss else "my_training",
        "class_name": "function",
        "config": "my_loss",
        "registered_name": "my_loss",
    }
    members["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


def _mobilenet_like(layers: Any) -> Any:
    import keras

    x = inputs = keras.Input((16, 16, 3))
    x = layers.Rescaling(2.0, -1.0)(x)
    x = layers.ZeroPadding2D(1)(x)
    x = layers.Conv2D(8, 3, strides=2, use_bias=False)(x)
    x = layers.BatchNormalization()(x)
    x = layers.ReLU(6.0)(x)
    x = layers.DepthwiseConv2D(3, padding="same")(x)
    x = layers.Activation("hard_swish")(x)
    gate = layers.GlobalAveragePooling2D(keepdims=True)(x)
    x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="sigmoid")(gate)])
    x = layers.Dropout(0.2)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(3, activation="softmax")(x))


def _resnet_like(layers: Any) -> Any:
    import keras

    x = inputs = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 7, strides=2, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
    y = layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.Activation("relu")(layers.Add()([x, y]))
    x = layers.Concatenate()([layers.UpSampling2D()(x), layers.Conv2DTranspose(4, 2, 2)(x)])
    x = layers.LayerNormalization()(layers.Activation("gelu")(x))
    return keras.Model(inputs, layers.Dense(3)(layers.Flatten()(x)))


def _recurrent(layers: Any) -> Any:
    import keras

    x = inputs = keras.Input((6, 4))
    x = layers.MultiHeadAttention(2, 4)(x, x)
    return keras.Model(inputs, layers.Dense(3)(layers.LSTM(5)(x)))


_MODELS = {"mobilenet": _mobilenet_like, "resnet": _resnet_like, "recurrent": _recurrent}


def _output_node(meta: Any) -> Any:
    name = next(iter(meta.signature_def["serving_default"].outputs.values())).name
    return next(n for n in meta.graph_def.node if n.name == name.partition(":")[0])


def _text(nodes: Any, name: str, text: str) -> str:
    import tensorflow as tf

    node = nodes.add(name=name, op="Const")
    node.attr["dtype"].type = tf.string.as_datatype_enum
    node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(text))
    return name


def _write_file(nodes: Any, target: str, suffix: str = "") -> str:
    node = nodes.add(name="write", op="WriteFile")
    node.input.extend([_text(nodes, "path", target) + suffix, _text(nodes, "text", "x") + suffix])
    return node.name


def _on_the_way(meta: Any, target: str) -> None:
    _output_node(meta).input.append("^" + _write_file(meta.graph_def.node, target))


def _in_a_function(meta: Any, target: str) -> None:
    functions = {f.signature.name: f for f in meta.graph_def.library.function}
    body = functions[_output_node(meta).attr["f"].func.name]
    _write_file(body.node_def, target, ":output:0")


def _under_a_builtin_name(meta: Any, target: str) -> None:
    """A function named like an operator that is allowed."""
    function = meta.graph_def.library.function.add()
    function.signature.name = "NoOp"
    function.signature.is_stateful = True
    _write_file(function.node_def, target, ":output:0")
    meta.graph_def.node.add(name="innocent", op="NoOp")
    _output_node(meta).input.append("^innocent")


def _in_an_attribute(meta: Any, target: str) -> None:
    """A function that is called by an attribute of an attribute."""
    function = meta.graph_def.library.function.add()
    function.signature.name = "hidden"
    _write_file(function.node_def, target, ":output:0")
    _output_node(meta).attr["f"].func.attr["g"].list.func.add(name="hidden")


def _while_restoring(meta: Any, target: str) -> None:
    restore = next(n for n in meta.graph_def.node if n.name == meta.saver_def.restore_op_name)
    restore.input.append("^" + _write_file(meta.graph_def.node, target))


def _saving_elsewhere(meta: Any, target: str) -> None:
    """TensorFlow's own saver, pointed at a file of the user's."""
    import tensorflow as tf

    nodes = meta.graph_def.node
    node = nodes.add(name="save_again", op="SaveV2")
    node.input.extend([_text(nodes, "path", target), _text(nodes, "keys", "k")])
    node.input.extend([_text(nodes, "slices", ""), _text(nodes, "value", "v")])
    node.attr["dtypes"].list.type.append(tf.string.as_datatype_enum)
    _output_node(meta).input.append("^save_again")


def _unknown(meta: Any, target: str) -> None:
    meta.graph_def.node.add(name="odd", op="SomebodysOwnOperator")
    _output_node(meta).input.append("^odd")


def _initializer(meta: Any, target: str) -> None:
    """Runs when TensorFlow's own loaders open the folder."""
    name = _write_file(meta.graph_def.node, target)
    meta.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].name = name
    meta.collection_def["saved_model_main_op"].node_list.value.append(name)


_ATTACKS = {
    "on the way to the answer": _on_the_way,
    "in a function": _in_a_function,
    "under a built-in name": _under_a_builtin_name,
    "in an attribute of a call": _in_an_attribute,
    "while restoring": _while_restoring,
    "saving elsewhere": _saving_elsewhere,
    "an unknown operator": _unknown,
    "in the initializer": _initializer,
}
