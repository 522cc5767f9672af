"""What the workshop does to open a model and to answer for it.

Every function here runs in the TensorFlow process (``edgeconv.workshop``): its
first argument is the child's state, the rest is JSON.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgeconv.errors import EdgeconvError, RefusedInput, Unsupported, UsageError
from edgeconv.load import footprint, zoo
from edgeconv.load import graph as graphs
from edgeconv.load.hdf5 import check_hdf5, check_keras_weights
from edgeconv.load.random_weights import noise, settle_norms
from edgeconv.progress import Progress

__all__ = ["open_file", "open_saved_model", "open_zoo", "predict"]

State = dict[str, Any]


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
) -> dict[str, Any]:
    """Open a ``.keras`` or ``.h5`` file, and trace and freeze it into ``out``."""
    import keras

    if path.endswith(".keras"):
        check_keras_weights(Path(path))
    else:
        check_hdf5(Path(path), trust=trust)
    if custom:
        _import_custom(custom)
    try:
        model = keras.models.load_model(
            path,
            compile=False,
            safe_mode=not trust,
            custom_objects=_legacy_objects(),
        )
    except Exception as error:
        raise _load_error(path, error) from error
    if _made_float32(model):
        progress.note("computes in float32 here, where mixed precision trained it")
    return _trace(state, model, Path(out), input_size, keep_head)


def open_zoo(
    state: State,
    progress: Progress,
    *,
    constructor: str,
    size: int,
    classes: int,
    weights: str | None,
    seed: int,
    out: str,
    keep_head: bool,
) -> dict[str, Any]:
    """Build a model of keras.applications, load its weights, trace and freeze it."""
    import keras

    if weights is not None:
        check_keras_weights(Path(weights))
    keras.utils.set_random_seed(seed)
    build = getattr(keras.applications, constructor)
    model = build(weights=None, input_shape=(size, size, 3), classes=classes, name=constructor)
    if weights is not None:
        try:
            model.load_weights(weights)
        except Exception as error:
            raise RefusedInput(
                f"{Path(weights).name} does not hold the weights of {constructor} with"
                f" {classes} classes: {_first_line(error)}",
                "Give the weights of this very model, or the whole model file as MODEL.",
            ) from error
    else:
        entry = next(model for model in zoo.ZOO if model.constructor == constructor)
        settle_norms(model, noise(zoo.preprocess_for(entry, size, size), seed))
    return _trace(state, model, Path(out), size, keep_head)


def open_saved_model(
    state: State, progress: Progress, *, path: str, out: str, keep_head: bool
) -> dict[str, Any]:
    """Open a SavedModel's default signature as a frozen graph."""
    import tensorflow as tf

    from edgeconv.load.saved_model import default_signature

    try:
        signature = default_signature(Path(path))
    except EdgeconvError:
        raise
    except Exception as error:
        raise _load_error(path, error) from error
    names = ["input"] if len(signature.inputs) == 1 else [t.op.name for t in signature.inputs]
    specs = [
        tf.TensorSpec([None, *t.shape[1:]], t.dtype, name=_safe(name))
        for t, name in zip(signature.inputs, names, strict=True)
    ]
    return _finish(state, signature, specs, {}, Path(out), keep_head, None)


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


def _import_custom(name: str) -> None:
    sys.path.insert(0, str(Path.cwd()))
    try:
        importlib.import_module(name)
    except Exception as error:
        raise UsageError(
            f"--custom {name} can't be imported: {type(error).__name__}: {_first_line(error)}",
            "Give the name of a module in the current folder or on PYTHONPATH, without .py.",
        ) from error


def _made_float32(model: Any) -> bool:
    """Have every layer compute in float32; no format lowers convolutions in float16.

    The weights of mixed precision are float32 already.
    """
    halves = [
        layer for layer in model._flatten_layers() if layer.compute_dtype in ("float16", "bfloat16")
    ]
    for layer in halves:
        layer.dtype_policy = "float32"
    return bool(halves)


def _legacy_objects() -> dict[str, Any]:
    import keras

    class DepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
        """Keras 2 wrote ``groups=1``, which Keras 3 does not know."""

        def __init__(self, *args: Any, groups: int = 1, **kwargs: Any) -> None:
            if groups != 1:
                raise ValueError(f"DepthwiseConv2D with groups={groups}")
            super().__init__(*args, **kwargs)

    return {"DepthwiseConv2D": DepthwiseConv2D}


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    # Keras goes on with advice and whole configurations.
    return lines[0].partition(". ")[0][:200]


def _load_error(path: str, error: Exception) -> Exception:
    text = str(error)
    name = Path(path).name
    if "Could not locate class" in text or "Unknown layer" in text or "custom" in text.lower():
        return Unsupported(
            f"{name} holds a layer that Keras doesn't know: {_first_line(error)}",
            "Pass the module that registers it with --custom MODULE --trust.",
        )
    return RefusedInput(
        f"Keras can't load {name}: {_first_line(error)}",
        "Save the model again with model.save('name.keras') in a current Keras.",
    )


def _trace(
    state: State, model: Any, out: Path, input_size: int | None, keep_head: bool
) -> dict[str, Any]:
    import tensorflow as tf

    if not getattr(model, "inputs", None):
        raise Unsupported(
            "The model does not say what its inputs are.",
            "Call it once on real data before saving it, or build it with keras.Input.",
        )
    names = _input_names(model)
    specs = [_fixed_spec(t, name, input_size) for t, name in zip(model.inputs, names, strict=True)]
    # A Sequential has one input and keeps no structure of its own.
    structure = getattr(model, "_inputs_struct", model.inputs[0])

    def call(*tensors: Any) -> Any:
        return model(tf.nest.pack_sequence_as(structure, list(tensors)), training=False)

    def trace() -> Any:
        return tf.compat.v1.wrap_function(call, specs)

    function, scopes = graphs.name_scopes(model, trace)
    return _finish(state, function, specs, scopes, out, keep_head, model)


def _input_names(model: Any) -> list[str]:
    """The input layers' names; Keras numbers its tensors anew in every process."""
    if len(model.inputs) == 1:
        return ["input"]
    names = [_safe(tensor._keras_history.operation.name) for tensor in model.inputs]
    return names if len(set(names)) == len(names) else [f"input_{i}" for i in range(len(names))]


def _fixed_spec(tensor: Any, name: str, input_size: int | None) -> Any:
    """[None, ...] with every axis but the batch known."""
    import tensorflow as tf

    shape = list(tensor.shape)[1:]
    if len(shape) == 3 and input_size is not None:
        rows, columns = (1, 2) if shape[0] in (1, 3) and shape[2] not in (1, 3) else (0, 1)
        for axis in (rows, columns):
            if shape[axis] not in (None, input_size):
                raise UsageError(
                    f"The model's input is fixed at {tuple(shape)}; --input-size {input_size}"
                    " can't change it.",
                    "Leave --input-size out.",
                )
            shape[axis] = input_size
    if None in shape:
        raise Unsupported(
            f"The model's input {name!r} has free axes: {tuple(tensor.shape)}.",
            "Fix them with --input-size N.",
        )
    return tf.TensorSpec([None, *shape], tensor.dtype, name=name)


def _safe(name: str) -> str:
    text = "".join(c if (c.isalnum() and c.isascii()) or c == "_" else "_" for c in name)
    return text.lstrip("_") or "input"


def _finish(
    state: State,
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
    activation = "linear"
    if not keep_head:
        outputs[0], activation = graphs.split_head(outputs[0])
    live = function.prune(inputs, outputs)
    state["function"] = live
    graph_def = graphs.freeze(live)
    scopes = scopes or graphs.guess_scopes(graph_def)
    names = {t.op.name: s.name for t, s in zip(inputs, specs, strict=True)}
    renamed = graphs.rename_scopes(graph_def, scopes, names)
    graphs.refuse_non_finite(graph_def)
    graphs.write_graph(graph_def, out)
    layers = list(dict.fromkeys(p.split("/call")[0] for p in scopes.values()))
    return {
        "inputs": [
            {"name": s.name, "shape": s.shape.as_list(), "dtype": s.dtype.name} for s in specs
        ],
        "outputs": [
            {"name": renamed[t.op.name], "shape": t.shape.as_list(), "dtype": t.dtype.name}
            for t in live.outputs
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
    }
