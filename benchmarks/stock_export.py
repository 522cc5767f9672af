"""The script a user writes without edgeconv: Keras to int8 TFLite and int8 ONNX, then a check.

It follows the three libraries' own documentation: TFLiteConverter with a
representative dataset, tf2onnx.convert.from_keras, onnxruntime's
quant_pre_process and quantize_static (per channel, min-max, QDQ). Nothing in
it is made slow on purpose; it is what `benchmarks/export.py` measures edgeconv against.

    python benchmarks/stock_export.py --model M.keras --manifest manifest.csv --output DIR
    python benchmarks/stock_export.py --zoo DenseNet121 --manifest manifest.csv --output DIR

`--zoo` builds a model of keras.applications with random weights, for times and memory;
`benchmarks/convert.py` measures edgeconv against that.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import onnxruntime as ort
import tensorflow as tf
import tf2onnx
from ai_edge_litert.interpreter import Interpreter
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from PIL import Image

BATCH = 32


def load_split(manifest: Path, split: str, size: int) -> tuple[np.ndarray, np.ndarray]:
    """x: float32 [N, size, size, 3] in [-1, 1]; y: int64 [N]."""
    with manifest.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    x = np.empty((len(rows), size, size, 3), np.float32)
    for i, row in enumerate(rows):
        with Image.open(manifest.parent / row["file"]) as image:
            left, top = (image.width - size) // 2, (image.height - size) // 2
            x[i] = image.convert("RGB").crop((left, top, left + size, top + size))
    x /= 127.5
    x -= 1.0
    return x, np.array([int(row["class_index"]) for row in rows])


def convert_tflite(model: keras.Model, x: np.ndarray) -> bytes:
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x[i : i + 1]] for i in range(len(x)))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = tf.int8
    converter.inference_output_type = tf.int8
    return converter.convert()


class Reader(CalibrationDataReader):
    def __init__(self, x: np.ndarray) -> None:
        self.batches = ({"input": x[i : i + 1]} for i in range(len(x)))

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.batches, None)


def convert_onnx(model: keras.Model, x: np.ndarray, folder: Path) -> Path:
    signature = (tf.TensorSpec((None, *x.shape[1:]), tf.float32, name="input"),)
    float_path, ready_path, path = (
        folder / name for name in ("float.onnx", "ready.onnx", "model.onnx")
    )
    tf2onnx.convert.from_keras(model, signature, opset=17, output_path=str(float_path))
    quant_pre_process(str(float_path), str(ready_path), skip_symbolic_shape=True)
    quantize_static(
        str(ready_path),
        str(path),
        Reader(x),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return path


def run_tflite(content: bytes, x: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=content, num_threads=2)
    interpreter.allocate_tensors()
    given, taken = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    scale, zero = given["quantization"]
    answers = []
    for image in x:
        quantized = np.clip(np.round(image / scale + zero), -128, 127).astype(np.int8)
        interpreter.set_tensor(given["index"], quantized[None])
        interpreter.invoke()
        answers.append(interpreter.get_tensor(taken["index"])[0].argmax())
    return np.array(answers)


def run_onnx(path: Path, x: np.ndarray) -> np.ndarray:
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    batches = [
        session.run(None, {"input": x[i : i + BATCH]})[0].argmax(-1)
        for i in range(0, len(x), BATCH)
    ]
    return np.concatenate(batches)


def load(args: argparse.Namespace) -> keras.Model:
    if args.model:
        return keras.models.load_model(args.model, compile=False)
    keras.utils.set_random_seed(0)
    return getattr(keras.applications, args.zoo)(weights=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--model", type=Path, help=".keras file")
    source.add_argument("--zoo", help="class of keras.applications, with random weights")
    parser.add_argument("--manifest", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    model = load(args)
    size = model.input_shape[1]
    x, _ = load_split(args.manifest, "calibration", size)
    tflite = convert_tflite(model, x)
    (args.output / "model.tflite").write_bytes(tflite)
    onnx_path = convert_onnx(model, x, args.output)

    x, y = load_split(args.manifest, "evaluation", size)
    answers = {
        "keras": model.predict(x, batch_size=BATCH, verbose=0).argmax(-1),
        "tflite": run_tflite(tflite, x),
        "onnx": run_onnx(onnx_path, x),
    }
    report = {
        name: {
            "top1": round(100 * float((a == y).mean()), 2),
            "agreement": round(100 * float((a == answers["keras"]).mean()), 2),
        }
        for name, a in answers.items()
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
