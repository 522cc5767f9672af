"""What the workshop does to open a model and to answer for it.

Every function here runs in the TensorFlow process (``edgeconv.workshop``): its
first argument is the child's state, the rest is JSON.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import numpy as np

from edgeconv.errors import EdgeconvError, RefusedInput, Unsupported
from edgeconv.load import dtypes, footprint, layout, mend, shapes
from edgeconv.load import graph as graphs
from edgeconv.load.build import build
from edgeconv.load.hdf5 import check_hdf5, check_keras_weights
from edgeconv.progress import Progress

__all__ = ["open_file", "open_saved_model", "open_zoo", "predict"]

State = dict[str, Any]

#: How Keras 3 names a class that it doesn't find, and how it does for legacy files.
_UNKNOWN: Final = re.compile(r"(?:Could not locate \w+|Unknown layer:?) '([^']{1,100})'")
#: A note names this many layers at most.
_NAMED: Final = 4


def open_file(
    state: State,
    progress: Progress,
    *,
    path: str,
    out: str,
    input_size: int | None,
    keep_head: bool,
    trust: bool,
    custom: str | None,
    top: bool = True,
) -> dict[str, Any]:
    """Open a ``.keras`` or ``.h5`` file, and trace and freeze it into ``out``.

    Without ``top`` it ends where its last layer, the classifier, begins.
    """
    import keras

    if path.endswith(".keras"):
        check_keras_weights(Path(path))
    else:
        check_hdf5(Path(path), trust=trust)
    objects = mend.legacy_objects() | (mend.import_custom(custom) if custom else {})
    try:
        model = keras.models.load_model(
            path,
            compile=False,
            safe_mode=not trust,
            custom_objects=objects,
        )
        if not top:
            model = keras.Model(model.inputs, model.layers[-1].input)
    except Exception as error:
        raise _load_error(path, error) from error
    return _trace(state, progress, model, Path(out), input_size, keep_head)


def open_zoo(
    state: State,
    progress: Progress,
    *,
    constructor: str,
    size: int,
    classes: int,
    alpha: float,
    top: bool,
    weights: str | None,
    seed: int,
    out: str,
    keep_head: bool,
) -> dict[str, Any]:
    """Build a model of the catalogue, load its weights, trace and freeze it."""
    if weights is not None:
        check_keras_weights(Path(weights))
    model = build(
        constructor,
        size=size,
        classes=classes,
        alpha=alpha,
        top=top,
        weights=weights,
        seed=seed,
    )
    return _trace(state, progress, model, Path(out), None, keep_head)


def open_saved_model(
    state: State,
    progress: Progress,
    *,
    path: str,
    out: str,
    input_size: int | None,
    keep_head: bool,
) -> dict[str, Any]:
    """Open a SavedModel's default signature as a frozen graph."""
    from edgeconv.load.saved_model import default_signature

    try:
        signature, specs = default_signature(Path(path), input_size)
    except EdgeconvError:
        raise
    except Exception as error:
        raise _load_error(path, error) from error
    return _finish(state, progress, signature, specs, {}, Path(out), keep_head, None)


def predict(state: State, progress: Progress, *, inputs: list[str], outputs: list[str]) -> None:
    """Answer one batch: ``.npy`` files in, ``.npy`` files out (logits, float32)."""
    import tensorflow as tf

    arrays = [np.load(name, allow_pickle=False) for name in inputs]
    function = state["function"]
    feeds = [
        tf.constant(a.astype(t.dtype.as_numpy_dtype))
        for a, t in zip(arrays, function.inputs, strict=False)
    ]
    answers = tf.nest.flatten(function(*feeds))
    for name, answer in zip(outputs, answers, strict=True):
        np.save(name, answer.numpy().astype(np.float32))


def _load_error(path: str, error: Exception) -> Exception:
    text, name = str(error), Path(path).name
    unknown = _UNKNOWN.search(text)
    if unknown or "custom" in text.lower():
        what = f"the class {unknown.group(1)!r}" if unknown else mend.first_line(error)
        return Unsupported(
            f"{name} holds a layer that Keras doesn't know: {what}",
            "Pass the module that registers it with --custom MODULE --trust.",
        )
    return RefusedInput(
        f"Keras can't load {name}: {mend.first_line(error)}",
        "Save the model again with model.save('name.keras') in a current Keras.",
    )


def _trace(
    state: State,
    progress: Progress,
    model: Any,
    out: Path,
    input_size: int | None,
    keep_head: bool,
) -> dict[str, Any]:
    import tensorflow as tf

    specs = shapes.specs(shapes.inputs_of(model), input_size)
    for name in mend.rename_layers(model)[:_NAMED]:
        progress.note(f"the layer {name!r} goes by another name here, which graphs can bear")
    unrolled = mend.unroll(model)
    # A Sequential has one input and keeps no structure of its own; a class none at all.
    structure = getattr(model, "_inputs_struct", None)

    def call(*tensors: Any) -> Any:
        feeds = tensors[0] if structure is None else tf.nest.pack_sequence_as(structure, tensors)
        return model(feeds, training=False)

    def trace() -> Any:
        return tf.compat.v1.wrap_function(call, specs)

    try:
        function, scopes = graphs.name_scopes(model, trace)
    except EdgeconvError:
        raise
    except Exception as error:
        raise Unsupported(
            f"TensorFlow can't trace the model: {mend.first_line(error)}",
            "See that Keras itself runs it: keras.models.load_model(file).predict(x).",
        ) from error
    if unrolled:
        progress.note(f"loops are written out, step by step: {', '.join(unrolled[:_NAMED])}")
    return _finish(state, progress, function, specs, scopes, out, keep_head, model)


def _finish(
    state: State,
    progress: Progress,
    function: Any,
    specs: list[Any],
    scopes: dict[str, str],
    out: Path,
    keep_head: bool,
    model: Any,
) -> dict[str, Any]:
    """Take the head off, keep the live function, write the frozen one."""
    inputs = list(function.inputs[: len(specs)])
    outputs = list(function.outputs)
    scores, head = graphs.split_head(outputs[0])
    activation = "linear" if keep_head else head
    if not keep_head:
        outputs[0] = scores
    live = function.prune(inputs, outputs)
    graph_def = graphs.freeze(live)
    if dtypes.to_float32(graph_def):
        progress.note("computes in float32 here, where the file says another precision")
        live = graphs.imported(graph_def, inputs, outputs)
    state |= {"function": live, "model": model, "head": head}
    layout.bias_by_channel(graph_def, live.graph)
    ends = graphs.apart(graph_def, outputs)
    names = {t.op.name: s.name for t, s in zip(inputs, specs, strict=True)}
    floats = {names[name] for name in dtypes.floats_in(graph_def, names)}
    scopes = scopes or graphs.guess_scopes(graph_def)
    renamed = graphs.rename_scopes(graph_def, scopes, names)
    graphs.refuse_non_finite(graph_def)
    sha256 = graphs.write_graph(graph_def, out)
    layers = list(dict.fromkeys(p.split("/call")[0] for p in scopes.values()))
    return {
        "inputs": [
            {
                "name": spec.name,
                "shape": spec.shape.as_list(),
                "dtype": "float32" if spec.name in floats else tensor.dtype.name,
            }
            for spec, tensor in zip(specs, live.inputs, strict=False)
        ],
        "outputs": [
            {"name": renamed[end], "shape": t.shape.as_list(), "dtype": t.dtype.name}
            for end, t in zip(ends, live.outputs, strict=True)
        ],
        "activation": activation,
        "layers": layers,
        "operators": footprint.list_operators(graph_def, layers),
        "weight_count": footprint.count_weights(graph_def),
        # Behind its inputs stand the variables that it captured.
        "activation_count": footprint.peak_activations(
            live.graph, live.inputs[: len(specs)], live.outputs
        ),
        "parameters": int(model.count_params()) if model is not None else None,
        "graph_sha256": sha256,
    }
