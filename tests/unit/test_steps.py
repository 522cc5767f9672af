"""Steps of the pipeline: float16 that would overflow is refused before it is written."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import Items, open_dataset
from edgeconv.errors import Unsupported
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Silent
from edgeconv.steps import refuse_overflow
from edgeconv.types import FloatGraph, Precision, Recipe, Scope, TensorSpec


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def graph(folder: Path, gain: float) -> FloatGraph:
    """x -> "big" (times gain) -> "small" (divided by it): y = x, whatever is in between."""
    from onnx import TensorProto, helper, numpy_helper, shape_inference

    eye = np.eye(4, dtype=np.float32)
    made = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w1"], ["a"], "big/MatMul"),
         helper.make_node("MatMul", ["a", "w2"], ["y"], "small/MatMul")],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
        [numpy_helper.from_array(eye * gain, "w1"), numpy_helper.from_array(eye / gain, "w2")],
    )  # fmt: skip
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / "float.onnx"
    path.write_bytes(shape_inference.infer_shapes(model).SerializeToString())
    spec = TensorSpec("x", (None, 4), "float32")
    return FloatGraph("onnx", path, (spec,), (spec,), {"a": "big", "y": "small"})


@pytest.fixture
def items(tmp_path: Path) -> Items:
    np.savez(tmp_path / "x.npz", x=np.full((20, 4), 100, np.float32))
    return open_dataset(str(tmp_path / "x.npz"), Preprocess(kind="array"), input_shapes=[(None, 4)])


def test_a_layer_beyond_float16_is_refused_by_its_name(tmp_path: Path, items: Items) -> None:
    with pytest.raises(Unsupported, match=r"'big' reaches 100,000, and float16 ends at 65,504"):
        refuse_overflow(graph(tmp_path, 1000.0), items, Recipe(precision="fp16"), Silent())


@pytest.mark.parametrize(
    ("precision", "scopes"), [("fp32", ()), ("int8", ()), ("fp16", (Scope("big", "fp32"),))]
)
def test_what_stays_in_float32_may_be_large(
    tmp_path: Path, items: Items, precision: Precision, scopes: tuple[tuple[str, Precision], ...]
) -> None:
    watch = Noted()
    refuse_overflow(graph(tmp_path, 1000.0), items, Recipe(precision, scopes=scopes), watch)
    assert watch.notes == []


@pytest.mark.parametrize(("gain", "notes"), [(300.0, 1), (10.0, 0)])
def test_a_layer_that_comes_near_is_noted(
    tmp_path: Path, items: Items, gain: float, notes: int
) -> None:
    watch = Noted()
    refuse_overflow(graph(tmp_path, gain), items, Recipe(precision="fp16"), watch)
    assert len(watch.notes) == notes
    assert all("'big' reaches 30,000 on 8 items" in note for note in watch.notes)
