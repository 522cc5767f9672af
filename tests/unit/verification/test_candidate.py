"""What a bare file or a bundle says of itself."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import RefusedInput, UsageError
from edgeconv.verification.candidate import is_bundle, read_candidate
from tests import bundles


def with_head(op: str) -> bytes:
    """The test model as ONNX, its head inside."""
    from onnx import helper, load_model_from_string

    model = load_model_from_string(bundles.onnx_bytes())
    model.graph.node.append(helper.make_node(op, ["logits"], ["answer"]))
    model.graph.output[0].name = "answer"
    return bytes(model.SerializeToString())


def half() -> bytes:
    """The test model as ONNX with float16 weights."""
    from onnx import TensorProto, helper, load_model_from_string, numpy_helper

    model = load_model_from_string(bundles.onnx_bytes())
    kernel = numpy_helper.from_array(bundles.kernel().astype(np.float16), "half")
    model.graph.initializer[0].CopyFrom(kernel)
    cast = helper.make_node("Cast", ["half"], ["kernel"], to=TensorProto.FLOAT)
    model.graph.node.insert(0, cast)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("name", "content", "precision", "keeps_head"),
    [
        ("m.tflite", bundles.tflite_bytes, "fp32", False),
        ("m.onnx", bundles.onnx_bytes, "fp32", False),
        ("m.onnx", lambda: with_head("Softmax"), "fp32", True),
        ("m.onnx", lambda: with_head("Sigmoid"), "fp32", True),
        ("m.onnx", lambda: with_head("Relu"), "fp32", False),
        ("m.onnx", half, "fp16", False),
    ],
)
def test_a_file_tells_its_precision_and_its_head(
    tmp_path: Path, name: str, content: object, precision: str, keeps_head: bool
) -> None:
    (tmp_path / name).write_bytes(content())

    candidate = read_candidate(tmp_path / name, tmp_path / "scratch")

    ((artifact, model),) = candidate.entries
    assert (artifact.path.name, artifact.precision) == (name, precision)
    assert candidate.keeps_head == keeps_head
    assert candidate.source is None
    x = bundles.golden_inputs()
    assert model(x)[0].shape == (len(x), bundles.CLASSES)


def test_a_bundle_tells_everything(tmp_path: Path) -> None:
    folder = bundles.make_bundle(tmp_path)

    candidate = read_candidate(folder, tmp_path / "scratch")

    assert is_bundle(folder)
    assert candidate.source is not None
    assert candidate.source.preprocess == bundles.PREPROCESS
    assert candidate.labels == bundles.LABELS
    assert candidate.provenance == {"file": "tiny.keras", "sha256": "0" * 64}


@pytest.mark.parametrize("name", ["m.tflite", "m.onnx"])
@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\x1c\0\0\0TFL3" + b"\xff" * 500])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(RefusedInput, match=name) as caught:
        read_candidate(tmp_path / name, tmp_path / "scratch")

    assert "scratch" not in caught.value.message


def test_a_folder_that_is_no_bundle_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no bundle"):
        read_candidate(tmp_path, tmp_path / "scratch")


def test_a_bundle_without_a_seal_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")

    with pytest.raises(RefusedInput, match="SHA256SUMS"):
        read_candidate(tmp_path, tmp_path / "scratch")


def test_a_missing_file_is_a_mistake_of_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        read_candidate(tmp_path / "m.onnx", tmp_path / "scratch")
