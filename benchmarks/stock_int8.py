"""Every int8 file that the stock tools make of a Keras model, on the same arrays.

    TFLiteConverter                  post-training quantization, full integer
    ai-edge-quantizer                static_wi8_ai8, its own calibration
    ONNX Runtime quantize_static     QDQ, per channel, uint8 activations, and each
                                     calibrator: MinMax, Entropy, Percentile

The model goes in with its softmax taken off, which helps them: in int8 a softmax has
the fixed scale 1/256. A tool that fails leaves its reason.

    python benchmarks/stock_int8.py --model M.keras --calibration X.npy --output DIR
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
import tf2onnx
from ai_edge_quantizer import quantizer
from ai_edge_quantizer.recipe import static_wi8_ai8
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

# The histogram calibrators keep every activation of the items that they have not merged yet.
HISTOGRAM_ITEMS = 100
MERGE_EVERY = 10
ONNX_CALIBRATORS = ("MinMax", "Entropy", "Percentile")


class Arrays(CalibrationDataReader):
    """Items of an array, one at a time, as ONNX Runtime asks for them."""

    def __init__(self, name: str, x: np.ndarray) -> None:
        self._items = ({name: x[i : i + 1]} for i in range(len(x)))
        self._length = len(x)

    def __len__(self) -> int:
        return self._length

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._items, None)


def to_logits(model: keras.Model) -> keras.Model:
    """The model without its final softmax; the weights are shared."""
    last = model.layers[-1]
    if isinstance(last, keras.layers.Softmax):
        return keras.Model(model.inputs, last.input)
    if getattr(last, "activation", None) is keras.activations.softmax:
        last.activation = keras.activations.linear
        changed = keras.models.model_from_json(model.to_json())
        changed.set_weights(model.get_weights())
        return changed
    return model


def by_tflite_converter(model: keras.Model, x: np.ndarray, folder: Path) -> Path:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[i : i + 1]] for i in range(len(x)))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    path = folder / "tflite-converter.tflite"
    path.write_bytes(converter.convert())
    return path


def by_ai_edge_quantizer(model: keras.Model, x: np.ndarray, folder: Path) -> Path:
    float_path, path = folder / "float.tflite", folder / "ai-edge-quantizer.tflite"
    float_path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    made = quantizer.Quantizer(str(float_path))
    made.load_quantization_recipe(static_wi8_ai8())
    (name,) = tf.lite.Interpreter(str(float_path)).get_signature_list()["serving_default"]["inputs"]
    calibrated = made.calibrate({"serving_default": [{name: x[i : i + 1]} for i in range(len(x))]})
    path.write_bytes(made.quantize(calibrated).quantized_model)
    return path


def float_onnx(model: keras.Model, folder: Path) -> Path:
    """Made once for all calibrators; counted in the time of each."""
    path, ready = folder / "float.onnx", folder / "ready.onnx"
    if not ready.exists():
        spec = tf.TensorSpec((None, *model.inputs[0].shape[1:]), tf.float32, name="x")
        function = tf.function(lambda x: model(x, training=False))
        tf2onnx.convert.from_function(function, [spec], opset=17, output_path=str(path))
        quant_pre_process(str(path), str(ready), skip_symbolic_shape=True)
    return ready


def by_onnxruntime(calibrator: str) -> Callable[[keras.Model, np.ndarray, Path], Path]:
    def convert(model: keras.Model, x: np.ndarray, folder: Path) -> Path:
        path = folder / f"onnxruntime-{calibrator.lower()}.onnx"
        histograms = calibrator != "MinMax"
        items = x[:HISTOGRAM_ITEMS] if histograms else x
        quantize_static(
            str(float_onnx(model, folder)),
            str(path),
            Arrays("x", items),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod[calibrator],
            extra_options={"CalibMaxIntermediateOutputs": MERGE_EVERY} if histograms else None,
        )
        return path

    return convert


TOOLS: dict[str, Callable[[keras.Model, np.ndarray, Path], Path]] = {
    "TFLiteConverter": by_tflite_converter,
    "ai-edge-quantizer": by_ai_edge_quantizer,
    **{f"quantize_static {name}": by_onnxruntime(name) for name in ONNX_CALIBRATORS},
}


def made(
    model: keras.Model, x: np.ndarray, folder: Path, known: Collection[str] = ()
) -> Iterator[tuple[str, dict[str, object]]]:
    for name, tool in TOOLS.items():
        if name in known:
            continue
        start = time.perf_counter()
        try:
            path = tool(model, x, folder)
        except Exception as error:
            yield name, {"error": f"{type(error).__name__}: {str(error).strip()[:200]}"}
        else:
            seconds = time.perf_counter() - start
            yield name, {"file": path.name, "seconds": round(seconds, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--calibration", type=Path, required=True, help="float32, preprocessed")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    model = to_logits(keras.models.load_model(args.model, compile=False))
    x = np.load(args.calibration, allow_pickle=False)
    account = args.output / "stock.json"
    # Told after each tool: the last may take more time or memory than there is.
    found = json.loads(account.read_text()) if account.is_file() else {}
    for name, facts in made(model, x, args.output, known=found):
        found[name] = facts
        account.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
