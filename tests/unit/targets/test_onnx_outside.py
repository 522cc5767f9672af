"""Weights beside an ONNX file: written, read, opened from the bundle's folder alone."""

import hashlib
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgeconv.errors import InternalError, RefusedInput
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.engines import open_model
from edgeconv.runtime.onnx_wire import external_files
from edgeconv.targets.onnx import outside
from edgeconv.targets.onnx.model import array_of, constants, read, write
from edgeconv.targets.onnx.passes import Context
from edgeconv.targets.onnx.passes.fold import fold
from edgeconv.targets.onnx.structure import count_runtime_operators

WEIGHTS = np.linspace(-1, 1, 40 * 30, dtype=np.float32).reshape(40, 30)


def model_of(weights=None):
    tensor = weights or numpy_helper.from_array(WEIGHTS, "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "dense")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 40])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 30])],
        [tensor],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def pointing_at(location):
    tensor = TensorProto(name="w", data_type=1, dims=WEIGHTS.shape, data_location=1)
    for key, value in (("location", location), ("offset", "0"), ("length", str(WEIGHTS.nbytes))):
        tensor.external_data.add(key=key, value=value)
    return model_of(tensor)


@pytest.fixture
def large(monkeypatch):
    """Everything beyond 1,000 bytes is large."""
    monkeypatch.setattr(outside, "LARGEST_BYTES", 1000)


def test_large_weights_go_beside_the_model_and_come_back(tmp_path, large):
    path = tmp_path / "model.onnx"
    content = write(model_of(), path)
    assert path.read_bytes() == content
    assert len(content) < 500
    assert sorted(p.name for p in tmp_path.iterdir()) == ["model.onnx", "model.onnx.data"]
    onnx.checker.check_model(str(path))
    np.testing.assert_array_equal(array_of(constants(read(path))["w"]), WEIGHTS)


def test_a_model_that_fits_leaves_no_older_weights_beside_it(tmp_path):
    path = tmp_path / "model.onnx"
    outside.data_file(path).write_bytes(b"old")
    write(model_of(), path)
    assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]


def test_the_engine_gets_the_weights_beside_the_model(tmp_path, large, monkeypatch):
    path = tmp_path / "model.onnx"
    content = write(model_of(), path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    x = np.ones((2, 40), np.float32)
    (y,) = open_model(content, "onnx", files=outside.files_beside(path))(x)
    np.testing.assert_allclose(y, x @ WEIGHTS, rtol=1e-5, atol=1e-5)
    with pytest.raises(RefusedInput, match=r"model\.onnx\.data"):
        open_model(content, "onnx")


def test_folding_takes_kernels_beyond_one_file(large):
    model = model_of(TensorProto(name="w", data_type=1, dims=WEIGHTS.shape))
    context = Context("m", frozenset(), ("x",), ("y",), {"w": lambda: WEIGHTS})
    folded, _ = fold(model, context)
    (held,) = constants(folded).values()
    np.testing.assert_array_equal(array_of(held), WEIGHTS)
    small, _ = fold(model, replace(context, kernels={"w": lambda: 2 * WEIGHTS}))
    np.testing.assert_array_equal(array_of(next(iter(constants(small).values()))), 2 * WEIGHTS)


@pytest.mark.parametrize("location", ["../weights", "/etc/passwd", "weights", "", "a/../weights"])
def test_a_file_that_takes_weights_from_elsewhere_is_refused(tmp_path, monkeypatch, location):
    (tmp_path / "weights").write_bytes(WEIGHTS.tobytes())
    (tmp_path / "inner").mkdir()
    monkeypatch.chdir(tmp_path)
    content = pointing_at(location).SerializeToString()
    assert external_files(content) == {location}
    for refusing in (lambda: open_model(content, "onnx"), lambda: count_runtime_operators(content)):
        with pytest.raises(RefusedInput) as caught:
            refusing()
        assert caught.value.exit_code == 3


def test_a_tensor_inside_a_node_or_an_inner_graph_is_found():
    model = model_of()
    tensor = pointing_at("hidden").graph.initializer[0]
    node = helper.make_node("Constant", [], ["c"])
    node.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
    inner = helper.make_graph([node], "inner", [], [helper.make_tensor_value_info("c", 1, None)])
    outer = helper.make_node("If", ["x"], ["z"], then_branch=inner, else_branch=inner)
    model.graph.node.append(outer)
    assert external_files(model.SerializeToString()) == {"hidden"}


def test_a_file_that_is_no_protobuf_is_refused():
    with pytest.raises(RefusedInput):
        external_files(b"\x3a\xff\xff\xff\xff\x7fno model")


def test_edgeconv_reads_back_no_other_file_than_its_own(tmp_path, large):
    path = tmp_path / "model.onnx"
    write(model_of(), path)
    path.write_bytes(pointing_at("other.data").SerializeToString())
    with pytest.raises(InternalError, match=r"other\.data"):
        read(path)


def test_the_seal_covers_the_weights_beside_the_model(tmp_path, large):
    path = tmp_path / "model.onnx"
    write(model_of(), path)
    names = ("model.onnx", "model.onnx.data")
    sums = [f"{hashlib.sha256((tmp_path / n).read_bytes()).hexdigest()}  {n}\n" for n in names]
    (tmp_path / "SHA256SUMS").write_text("".join(sums))
    assert SealedFolder(tmp_path).read("model.onnx.data") == outside.data_file(path).read_bytes()
    outside.data_file(path).write_bytes(b"other weights")
    with pytest.raises(RefusedInput, match=r"model\.onnx\.data"):
        SealedFolder(tmp_path)
