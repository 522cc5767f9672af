"""open_model: the same answers from every engine, and clear refusals."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import (
    EdgeconvError,
    MissingDependency,
    RefusedInput,
    Unsupported,
    UsageError,
)
from edgeconv.runtime import engines
from edgeconv.runtime.engines import installed_engines, open_model
from edgeconv.types import TensorSpec
from tests import bundles

IMAGE = TensorSpec("image", (None, bundles.SIZE, bundles.SIZE, 3), "float32")


@pytest.mark.parametrize("format", ["tflite", "onnx"])
@pytest.mark.parametrize("count", [1, 3])
def test_both_formats_answer_as_numpy_does(format: str, count: int) -> None:
    data = bundles.tflite_bytes() if format == "tflite" else bundles.onnx_bytes()
    x = bundles.golden_inputs()[:count]
    model = open_model(data, format)
    (y,) = model(x)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, bundles.logits(x), atol=1e-5)
    np.testing.assert_array_equal(model.raw(x)[0], y)


def test_an_onnx_file_of_fixed_batch_is_fed_piece_by_piece() -> None:
    x = bundles.golden_inputs()
    (y,) = open_model(bundles.onnx_bytes(batch=1), "onnx")(x)
    np.testing.assert_allclose(y, bundles.logits(x), atol=1e-5)
    with pytest.raises(UsageError, match="2 items at once, not 3"):
        open_model(bundles.onnx_bytes(batch=2), "onnx")(x)


def test_a_quantized_file_takes_and_gives_real_values(shared_data: Path) -> None:
    folder = shared_data / "mlperf-tiny/image_classification"
    data = (folder / "pretrainedResnet_quant.tflite").read_bytes()
    pictures = np.load(shared_data / "cifar10/cifar10_sample.npz")
    x, y = pictures["x_test"][:300].astype(np.float32), pictures["y_test"][:300]
    model = open_model(data, "tflite")
    (p,) = model(x)
    assert model.engine == "litert"
    assert model.version[0].isdigit()
    # The reference gives 76.2% on all 2,000.
    assert 0.70 < (p.argmax(axis=1) == y).mean() < 0.85
    assert p.min() >= 0.0 and p.max() <= 1.0
    (q,) = model.raw((x - 128).astype(np.int8))
    np.testing.assert_array_equal((q.astype(np.float32) + 128) / 256, p)


def test_specs_are_matched_by_name_else_by_order() -> None:
    data = bundles.onnx_bytes()
    open_model(data, "onnx", [IMAGE], [TensorSpec("logits", (None, 10), "float32")])
    renamed = [TensorSpec("other", IMAGE.shape, "float32")]
    assert open_model(data, "onnx", renamed).inputs[0].name == "other"
    with pytest.raises(RefusedInput, match="1 inputs, 2 were expected"):
        open_model(data, "onnx", [IMAGE, IMAGE])
    with pytest.raises(RefusedInput, match="is float32, not int8"):
        open_model(data, "onnx", [TensorSpec("image", IMAGE.shape, "int8", 1.0, 0)])


def test_two_inputs_reach_their_names_in_the_order_of_the_specs() -> None:
    from onnx import TensorProto, helper

    def value(name: str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])

    graph = helper.make_graph(
        [helper.make_node("Sub", ["a", "b"], ["y"])], "g", [value("a"), value("b")], [value("y")]
    )
    opset = helper.make_opsetid("", 17)
    data = helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    specs = [TensorSpec(name, (None, 2), "float32") for name in ("b", "a")]
    ones, threes = np.full((1, 2), 1.0), np.full((1, 2), 3.0)
    assert open_model(data, "onnx", specs)(ones, threes)[0].tolist() == [[2.0, 2.0]]
    with pytest.raises(UsageError, match="takes 2 inputs, not 1"):
        open_model(data, "onnx", specs)(ones)
    with pytest.raises(UsageError, match="different numbers"):
        open_model(data, "onnx", specs)(ones, np.zeros((2, 2)))


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((1, 8, 9, 3)), UsageError, r"\[N, 8, 8, 3\], not \[1, 8, 9, 3\]"),
        (np.zeros((8, 8, 3)), UsageError, "takes"),
        (np.float32(1), UsageError, "takes"),
        (np.zeros((0, 8, 8, 3)), UsageError, "not 0"),
        (np.full((1, 8, 8, 3), np.nan), RefusedInput, "NaN"),
        (np.full((1, 8, 8, 3), np.inf), RefusedInput, "NaN or infinite"),
        (np.full((1, 8, 8, 3), -1e300), RefusedInput, "infinite values in float32"),
        (np.full((1, 8, 8, 3), "a"), UsageError, "takes numbers"),
    ],
)
def test_an_input_that_does_not_fit_is_refused(
    x: np.ndarray, error: type[EdgeconvError], words: str
) -> None:
    model = open_model(bundles.tflite_bytes(), "tflite", [IMAGE])
    with pytest.raises(error, match=words):
        model(np.asarray(x))


def test_raw_refuses_another_dtype() -> None:
    model = open_model(bundles.tflite_bytes(), "tflite")
    with pytest.raises(UsageError, match="FLOAT64"):
        model.raw(np.zeros((1, 8, 8, 3)))
    with pytest.raises(UsageError):
        open_model(bundles.onnx_bytes(), "onnx").raw(np.zeros((1, 8, 8, 3)))


@pytest.mark.parametrize("format", ["tflite", "onnx"])
@pytest.mark.parametrize("cut", [0, 7, 100, 2000])
def test_a_truncated_file_is_refused(format: str, cut: int) -> None:
    data = bundles.tflite_bytes() if format == "tflite" else bundles.onnx_bytes()
    with pytest.raises(RefusedInput):
        open_model(data[:cut], format)


def test_an_engine_that_is_not_there_is_named_with_its_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _hide(monkeypatch, "ai_edge_litert", "tflite_runtime")
    assert installed_engines() == ["onnxruntime"]
    with pytest.raises(MissingDependency) as caught:
        open_model(bundles.tflite_bytes(), "tflite", engine="litert")
    assert "edgeconv[litert]" in caught.value.hint


def test_a_lone_engine_that_can_not_open_the_format_is_named_with_one_that_can(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _hide(monkeypatch, "ai_edge_litert", "tflite_runtime")
    with pytest.raises(Unsupported, match="onnxruntime, can't open TFLite") as caught:
        open_model(bundles.tflite_bytes(), "tflite")
    assert "ai-edge-litert" in caught.value.hint
    _hide(monkeypatch, "ai_edge_litert", "tflite_runtime", "onnxruntime")
    with pytest.raises(MissingDependency, match="No engine for TFLite"):
        open_model(bundles.tflite_bytes(), "tflite")
    with pytest.raises(Unsupported, match="onnxruntime opens ONNX files, not TFLite"):
        open_model(bundles.tflite_bytes(), "tflite", engine="onnxruntime")


def test_an_unknown_engine_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="no engine 'tensorflow'"):
        open_model(bundles.tflite_bytes(), "tflite", engine="tensorflow")


def test_nothing_of_the_engine_reaches_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    for format, data in (("tflite", bundles.tflite_bytes()), ("onnx", bundles.onnx_bytes())):
        open_model(data, format)(bundles.golden_inputs())
    out, err = capfd.readouterr()
    assert (out, err) == ("", "")


def _hide(monkeypatch: pytest.MonkeyPatch, *modules: str) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        engines.importlib.util, "find_spec", lambda name: None if name in modules else real(name)
    )
