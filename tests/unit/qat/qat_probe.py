"""What the tests of training ask of the workshop's child, which imports this file by name."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np


def save_model(state: dict, progress: Any, *, out: str) -> None:
    """A small classifier with one of each operator that the zoo of CNNs is made of."""
    import keras
    from keras import layers

    keras.utils.set_random_seed(3)
    picture = keras.Input((16, 16, 3), name="picture")
    x = layers.Conv2D(12, 3, strides=2, padding="same", use_bias=False, name="stem")(picture)
    x = layers.Activation("hard_swish")(layers.BatchNormalization(name="stem_bn")(x))
    y = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization(name="depthwise_bn")(y))
    gate = layers.GlobalAveragePooling2D(keepdims=True)(y)
    gate = layers.Conv2D(12, 1, activation="sigmoid", name="gate")(gate)
    x = layers.Add()([x, layers.Conv2D(12, 1, name="project")(layers.Multiply()([y, gate]))])
    pools = [layers.MaxPooling2D(2)(x), layers.AveragePooling2D(3, 2, padding="same")(x)]
    x = layers.Concatenate()(pools)
    x = layers.ZeroPadding2D(1)(layers.LeakyReLU(0.1)(x))
    x = layers.Conv2D(16, 3, groups=2, activation="relu", name="grouped")(x)
    x = layers.Dense(10, activation="tanh", name="hidden")(layers.Flatten()(x))
    model = keras.Model(picture, layers.Dense(5, activation="softmax", name="head")(x))
    random = np.random.default_rng(4)
    for weight in model.weights:
        if "variance" in weight.path or "gamma" in weight.path:
            weight.assign(random.uniform(0.5, 1.5, weight.shape))
        elif len(weight.shape) == 1:
            weight.assign(random.normal(0, 0.1, weight.shape))
    model.save(out)


def run_float(state: dict, progress: Any, *, path: str, x: str, out: str) -> None:
    """What the float file answers as a network."""
    from edgeconv.qat.network import Network
    from edgeconv.qat.plan import read_plan

    np.save(out, Network(read_plan(Path(path)))([np.load(x)])[0].numpy())


def compare(state: dict, progress: Any, *, path: str, x: str) -> dict[str, Any]:
    """The int8 file as a network beside the interpreter, every tensor.

    Returns:
        ``layers``: (operator, tensor, share of elements within one step where the step is
        given what the device read, the same exactly); ``through``: the share within one
        step where the network runs from its input on.
    """
    import tensorflow as tf
    from ai_edge_litert.interpreter import Interpreter

    from edgeconv.qat.network import Network
    from edgeconv.qat.plan import read_plan

    plan = read_plan(Path(path))
    interpreter = Interpreter(path, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    (entry,) = interpreter.get_input_details()
    grids = {
        index: tensor.grid
        for index, tensor in enumerate(plan.tensors)
        if tensor.constant is None and tensor.grid is not None
    }
    network = Network(plan)
    found: dict[int, list[Any]] = {step.outputs[0]: [] for step in plan.steps}
    through = []
    for item in np.load(x):
        scale, zero_point = entry["quantization"]
        given = np.clip(np.rint(item / scale) + zero_point, -128, 127).astype(np.int8)
        interpreter.set_tensor(entry["index"], given[np.newaxis])
        interpreter.invoke()
        device = {i: tf.constant(grid.real(interpreter.get_tensor(i))) for i, grid in grids.items()}
        whole = network.run([item[np.newaxis]])
        for step in plan.steps:
            (index,) = step.outputs
            local = network.step(step, device).numpy()
            found[index].append(np.rint((local - device[index]) / grids[index].scale).ravel())
            away = (whole[index].numpy() - device[index]) / grids[index].scale
            through.append(np.rint(away).ravel())
    rows = []
    for step in plan.steps:
        away = np.abs(np.concatenate(found[step.outputs[0]]))
        name = plan.tensors[step.outputs[0]].name
        rows.append((step.kind, name, float((away <= 1).mean()), float((away == 0).mean())))
    return {"layers": rows, "through": float((np.abs(np.concatenate(through)) <= 1).mean())}


def refuse(state: dict, progress: Any, *, path: str, kind: str) -> None:
    """A network of a file whose first operator is of another kind."""
    from edgeconv.qat.network import Network
    from edgeconv.qat.plan import read_plan

    plan = read_plan(Path(path))
    Network(replace(plan, steps=(replace(plan.steps[0], kind=kind), *plan.steps[1:])))
