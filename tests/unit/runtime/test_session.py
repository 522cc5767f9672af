"""Session: pictures and arrays in, answers out; no TensorFlow anywhere."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.errors import HostFailure, MissingDependency, RefusedInput, Unsupported, UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.runtime import Session, session
from edgeconv.types import TensorSpec
from tests import bundles


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("session"))


def expected(pixels: np.ndarray) -> np.ndarray:
    return bundles.logits(pixels[None].astype(np.float32) / 127.5 - 1)[0]


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_a_picture_a_batch_and_raw_pixels_give_the_models_answers(
    bundle: Path, tmp_path: Path, engine: str
) -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.save(tmp_path / "raw.npy", pixels)
    np.save(tmp_path / "batch.npy", bundles.golden_inputs())
    opened = Session.open(bundle, engine=engine)
    answers = opened.run([tmp_path / "a.png", str(tmp_path / "raw.npy"), tmp_path / "batch.npy"])
    assert [a.source for a in answers] == ["a.png", "raw.npy"] + [
        f"batch.npy[{i}]" for i in range(3)
    ]
    np.testing.assert_allclose(answers[0].outputs[0], expected(pixels), atol=1e-4)
    np.testing.assert_array_equal(answers[0].outputs[0], answers[1].outputs[0])
    for answer, logits in zip(answers[2:], bundles.logits(bundles.golden_inputs()), strict=True):
        np.testing.assert_allclose(answer.outputs[0], logits, atol=1e-5)
    (top,) = opened.top(answers[0], 1)
    assert top.index == expected(pixels).argmax()
    assert top.label == f"class {top.index}"
    powers = np.exp(expected(pixels).astype(np.float64))
    assert top.probability == pytest.approx(powers.max() / powers.sum(), rel=1e-4)


def test_arrays_need_no_files(bundle: Path) -> None:
    x = bundles.golden_inputs()
    answers = Session.open(bundle).run([x[0], x])
    assert [a.source for a in answers] == ["array", "array[0]", "array[1]", "array[2]"]
    np.testing.assert_array_equal(answers[0].outputs[0], answers[1].outputs[0])


@pytest.mark.parametrize(
    ("array", "error"),
    [
        (np.zeros((8, 9, 3), np.float32), UsageError),
        (np.zeros((3,), np.float32), UsageError),
        (np.zeros((8, 8, 3), np.int32), UsageError),
        (np.full((8, 8, 3), np.nan, np.float32), RefusedInput),
        (np.full((8, 8, 3), 1e300), RefusedInput),
        (np.zeros((2, 2, 8, 8, 3), np.uint8), UsageError),
        (np.zeros((0, 8, 8, 3), np.float32), UsageError),
    ],
)
def test_an_array_that_does_not_fit_is_refused(
    bundle: Path, array: np.ndarray, error: type[Exception]
) -> None:
    with pytest.raises(error, match=r"array|input") as raised:
        Session.open(bundle).run([array])
    assert raised.value.hint


def test_files_that_are_no_pictures_are_refused_by_name(bundle: Path, tmp_path: Path) -> None:
    opened = Session.open(bundle)
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "folder.npy").mkdir()
    for name, error in (
        ("text.jpg", RefusedInput),
        ("text.npy", RefusedInput),
        ("absent.jpg", UsageError),
        ("absent.npy", UsageError),
        ("folder.npy", HostFailure),
    ):
        with pytest.raises(error, match=name) as raised:
            opened.run([tmp_path / name])
        assert raised.value.hint or error is HostFailure


def test_a_model_of_arrays_scales_integers_and_takes_floats_as_they_are(tmp_path: Path) -> None:
    bundle = bundles.make_bundle(
        tmp_path,
        source=bundles.source(
            preprocess=Preprocess(kind="array", scale=(0.5,), offset=(1.0,)), task="regression"
        ),
    )
    opened = Session.open(bundle)
    raw = np.random.default_rng(3).integers(-5, 5, (8, 8, 3), np.int16)
    ready = raw.astype(np.float32) * 0.5 + 1.0
    a, b = opened.run([raw, ready])
    np.testing.assert_array_equal(a.outputs[0], b.outputs[0])
    np.testing.assert_allclose(a.outputs[0], bundles.logits(ready[None])[0], atol=1e-4)
    with pytest.raises(UsageError, match="takes arrays"):
        opened.run([tmp_path / "cat.jpg"])


def test_the_first_engine_that_is_there_picks_the_file(
    bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Session.open(bundle).artifact.file == "model.tflite"
    assert Session.open(bundle, engine="onnxruntime").artifact.file == "model.onnx"
    monkeypatch.setattr(
        session, "installed_engines", lambda f=None: ["onnxruntime"] if f != "tflite" else []
    )
    assert Session.open(bundle).artifact.file == "model.onnx"
    monkeypatch.setattr(session, "installed_engines", lambda f=None: [])
    with pytest.raises(MissingDependency, match="No engine") as caught:
        Session.open(bundle)
    assert "pip install ai-edge-litert" in caught.value.hint


def test_a_lone_engine_without_a_file_of_its_format_is_unsupported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only = bundles.artifact(tmp_path / "a.tflite", "tflite", bundles.tflite_bytes())
    bundle = bundles.make_bundle(tmp_path, artifacts=[only])
    with pytest.raises(Unsupported, match=r"onnxruntime can't open model\.tflite") as caught:
        Session.open(bundle, engine="onnxruntime")
    assert "ai-edge-litert" in caught.value.hint
    monkeypatch.setattr(
        session, "installed_engines", lambda f=None: ["onnxruntime"] if f != "tflite" else []
    )
    with pytest.raises(Unsupported, match="onnxruntime"):
        Session.open(bundle)
    with pytest.raises(UsageError, match="no engine 'tpu'"):
        Session.open(bundle, engine="tpu")


def test_a_model_of_two_inputs_takes_a_mapping_or_an_npz(tmp_path: Path) -> None:
    opened = Session.open(_two_input_bundle(tmp_path))
    a, b = np.full((3, 2), 5, np.float32), np.arange(6, dtype=np.float32).reshape(3, 2)
    np.savez(tmp_path / "x.npz", x0=a, x1=b)
    for item in ({"a": a, "b": b}, {"x0": a, "x1": b}, tmp_path / "x.npz"):
        answers = opened.run([item], batch=2)
        np.testing.assert_array_equal([answer.outputs[0] for answer in answers], a - b)
    for wrong, words in (
        (a, "takes 2 inputs"),
        ({"a": a}, "holds 'a'"),
        ({"a": a, "b": b[:2]}, "different numbers"),
        ({"a": a, "b": b[:, :1]}, r"b is \[3, 1\]; the model takes \[N, 2\]"),
        ({"a": a, "b": b.astype(np.int8)}, "b holds int8"),
    ):
        with pytest.raises(UsageError, match=words) as raised:
            opened.run([wrong])
        assert raised.value.hint
    with pytest.raises(RefusedInput, match="b holds NaN"):
        opened.run([{"a": a, "b": np.full_like(b, np.nan)}])


def _two_input_bundle(folder: Path) -> Path:
    from onnx import TensorProto, helper

    def value(name: str) -> object:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 2])

    graph = helper.make_graph(
        [helper.make_node("Sub", ["a", "b"], ["y"])], "g", [value("a"), value("b")], [value("y")]
    )
    opset = helper.make_opsetid("", 17)
    data = helper.make_model(graph, opset_imports=[opset], ir_version=9).SerializeToString()
    a, b, y = (TensorSpec(name, (None, 2), "float32") for name in "aby")
    made = bundles.artifact(folder / "m.onnx", "onnx", data, inputs=(a, b), outputs=(y,))
    return bundles.make_bundle(
        folder,
        artifacts=[made],
        golden_inputs=[np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)],
        source=bundles.source(
            inputs=(a, b),
            outputs=(y,),
            labels=(),
            activation="linear",
            task="regression",
            preprocess=Preprocess(kind="array"),
        ),
    )


def test_an_empty_list_is_refused_not_answered_with_nothing(bundle: Path) -> None:
    for items in ([], iter(())):
        with pytest.raises(UsageError, match="no inputs") as raised:
            Session.open(bundle).run(items)
        assert raised.value.hint
    with pytest.raises(UsageError, match="batch of 0"):
        Session.open(bundle).run([bundles.golden_inputs()], batch=0)


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
@pytest.mark.parametrize("batch", [2, 3, 64])
def test_a_batch_gives_the_answers_of_single_items(bundle: Path, engine: str, batch: int) -> None:
    opened = Session.open(bundle, engine=engine)
    x = np.random.default_rng(8).uniform(-1, 1, (5, 8, 8, 3)).astype(np.float32)
    single, grouped = opened.run([x]), opened.run([x[:2], x[2], x[3:]], batch)
    assert len(single) == len(grouped) == 5
    for one, other in zip(single, grouped, strict=True):
        np.testing.assert_allclose(one.outputs[0], other.outputs[0], rtol=1e-5, atol=1e-6)


def test_an_item_of_another_shape_in_a_batch_is_refused_by_its_shape(bundle: Path) -> None:
    good, bad = np.zeros((8, 8, 3), np.float32), np.zeros((8, 9, 3), np.float32)
    with pytest.raises(UsageError, match=r"not \[1, 8, 9, 3\]"):
        Session.open(bundle).run([good, bad], batch=2)


@pytest.mark.parametrize("engine", ["litert", "onnxruntime"])
def test_eight_threads_that_share_a_session_get_the_answers_of_one(
    bundle: Path, engine: str
) -> None:
    opened = Session.open(bundle, engine=engine)
    x = np.random.default_rng(4).uniform(-1, 1, (64, 8, 8, 3)).astype(np.float32)
    wanted = [answer.outputs[0] for answer in opened.run([x])]

    def work(first: int) -> list[tuple[int, np.ndarray]]:
        order = [*range(first, 64), *range(first)]
        return [(i, opened.run([x[i]])[0].outputs[0]) for i in order]

    with ThreadPoolExecutor(8) as pool:
        for results in pool.map(work, range(0, 64, 8)):
            for i, y in results:
                np.testing.assert_array_equal(y, wanted[i])


def test_no_tensorflow_and_no_keras_after_a_bundle_has_run(bundle: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", bundles.golden_inputs())
    code = (
        "import sys\n"
        "from edgeconv.cli import main\n"
        "assert main(['run', sys.argv[1], sys.argv[2]]) == 0\n"
        "heavy = {'tensorflow', 'keras', 'tf2onnx', 'onnx', 'jax'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert 'ai_edge_litert' in sys.modules\n"
    )
    command = [sys.executable, "-c", code, str(bundle), str(tmp_path / "x.npy")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
