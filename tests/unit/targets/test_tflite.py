"""The TFLite target on real models: lowered, observed, patched, quantized, run."""

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgeconv import calibrate, prepare
from edgeconv.errors import RefusedInput, Unsupported, UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Silent
from edgeconv.targets.tflite import TFLITE, flatbuffer
from edgeconv.targets.tflite import observe as observe_module
from edgeconv.targets.tflite.check import refuse_unrunnable
from edgeconv.targets.tflite.segments import segments
from edgeconv.types import Array, Batch, FloatGraph, Recipe, Scope, SourceModel, TensorSpec
from edgeconv.workshop import Workshop

INT8 = Recipe(precision="int8", calibrator="minmax")


class Arrays:
    """A dataset of ready arrays, one a model input."""

    name = "arrays"
    fingerprint = ""
    labelled = False

    def __init__(self, *x: Array) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x[0])

    def batches(self, size: int) -> Iterator[Batch]:
        for start in range(0, len(self), size):
            yield Batch(tuple(a[start : start + size] for a in self.x), None, ())


class Lab:
    """One workshop for all models of this file; each is built and lowered once."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self.workshop = workshop
        self.folder = folder

    @functools.cache  # noqa: B019 - the lab lives as long as the tests
    def graph(self, which: str) -> FloatGraph:
        folder = self.folder / which
        folder.mkdir()
        return TFLITE.lower(self.source(which), self.workshop, folder)

    def source(self, which: str) -> SourceModel:
        self.workshop.call("tflite_models:save_model", which=which, out=str(self.folder))
        path, frozen = self.folder / f"{which}.keras", self.folder / f"{which}.pb"
        opened = self.workshop.call(
            "edgeconv.load.child:open_file",
            path=str(path),
            out=str(frozen),
            input_size=None,
            keep_head=False,
            trust=False,
            custom=None,
        )
        return _source(
            which,
            frozen,
            tuple(_spec(s) for s in opened["inputs"]),
            tuple(_spec(s) for s in opened["outputs"]),
            opened["activation"],
            tuple(opened["layers"]),
        )

    def answers(self, which: str, *x: Array) -> list[Array]:
        """What Keras says; ``which`` is opened again."""
        source = self.source(which)
        names = [str(self.folder / f"{which}-x{i}.npy") for i in range(len(x))]
        outputs = [str(self.folder / f"{which}-y{i}.npy") for i in range(len(source.outputs))]
        for name, array in zip(names, x, strict=True):
            np.save(name, array)
        self.workshop.call("edgeconv.load.child:predict", inputs=names, outputs=outputs)
        return [np.load(name) for name in outputs]

    def keras_weights(self, which: str) -> dict[str, Array]:
        with np.load(self.folder / f"{which}.npz") as stored:
            return {name.replace("|", "/"): stored[name] for name in stored.files}


def _source(name, graph, inputs, outputs, activation, layers) -> SourceModel:
    return SourceModel(
        name=name,
        graph=graph,
        inputs=inputs,
        outputs=outputs,
        activation=activation,
        task="raw",
        preprocess=Preprocess(kind="array"),
        labels=(),
        layers=layers,
        provenance={},
    )


def _spec(found: dict) -> TensorSpec:
    return TensorSpec(found["name"], tuple(found["shape"]), found["dtype"])


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        # The child finds tflite_models there.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with Workshop(Path(folder)) as workshop:
            yield Lab(workshop, Path(folder))


def normal(graph: FloatGraph, count: int = 16, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(count, *s.shape[1:])).astype(np.float32) for s in graph.inputs]


def export(graph: FloatGraph, x: list[Array], recipe: Recipe, folder: Path):
    seen = TFLITE.observe(graph, Arrays(*x), Silent(), histograms=True)
    ranges = calibrate.clip(seen, recipe, graph)
    ready = prepare.apply(TFLITE, graph, ranges, recipe, folder)
    return TFLITE.quantize(ready, ranges, recipe, folder / f"{recipe.precision}.tflite")


def relative_error(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def run_float(graph: FloatGraph, x: list[Array], folder: Path) -> Array:
    artifact = TFLITE.quantize(graph, {}, Recipe(precision="fp32"), folder / "float.tflite")
    return TFLITE.open(artifact)(*x)[0]


# Lowering


def test_the_float_file_answers_as_keras_does(lab, tmp_path):
    graph = lab.graph("kernels")
    x = normal(graph)
    found = run_float(graph, x, tmp_path)
    assert relative_error(found, lab.answers("kernels", *x)[0]) < 1e-5


def test_inputs_and_outputs_keep_their_order_and_names(lab, tmp_path):
    frozen = tmp_path / "ends.pb"
    lab.workshop.call("tflite_models:freeze_ends", out=str(frozen))
    inputs = (TensorSpec("zebra", (None, 5), "float32"), TensorSpec("ant", (None, 3), "float32"))
    outputs = (
        TensorSpec("yak/Relu", (None, 2), "float32"),
        TensorSpec("bee/MatMul", (None, 4), "float32"),
    )
    source = _source("ends", frozen, inputs, outputs, "linear", ("yak", "bee"))
    graph = TFLITE.lower(source, lab.workshop, tmp_path)
    assert [(s.name, s.shape) for s in graph.inputs] == [("zebra", (1, 5)), ("ant", (1, 3))]
    assert [(s.name, s.shape) for s in graph.outputs] == [
        ("yak/Relu", (1, 2)),
        ("bee/MatMul", (1, 4)),
    ]
    x = normal(graph)
    artifact = export(graph, x, INT8, tmp_path)
    assert [s.dtype for s in artifact.inputs + artifact.outputs] == ["int8"] * 4
    both = np.concatenate(x, axis=1)
    yak, bee = TFLITE.open(artifact)(*x)
    left, right = np.linspace(-1, 1, 16).reshape(8, 2), np.linspace(1, -2, 32).reshape(8, 4)
    assert relative_error(yak, np.maximum(both @ left, 0)) < 0.05
    assert relative_error(bee, both @ right) < 0.05


def test_an_operator_without_a_built_in_kernel_is_named(lab):
    with pytest.raises(Unsupported, match="Erfinv"):
        lab.graph("no_kernel")


def test_a_file_that_can_not_run_is_removed_and_its_layer_named(lab, tmp_path):
    graph = lab.graph("dead_channel")
    model = flatbuffer.read(graph.path)
    layer = TFLITE.layers(graph)[0]
    bias = next(t for t in model.subgraphs[0].tensors if flatbuffer.name_of(t) == layer.bias)
    bias.shape, model.buffers[bias.buffer].data = [4], np.zeros(16, np.uint8)
    broken = tmp_path / "broken.tflite"
    flatbuffer.write(model, broken)
    with pytest.raises(Unsupported, match="layer 'conv'"):
        refuse_unrunnable(broken, "this model", TFLITE.layers(graph), "")
    assert not broken.exists()


# Layers and weights


def test_layers_bear_keras_names_and_repeats_are_numbered(lab):
    found = {layer.name: layer.op for layer in TFLITE.layers(lab.graph("kernels")) if layer.weight}
    assert found == {
        "sep": "DEPTHWISE_CONV_2D",
        "sep#2": "CONV_2D",
        "shared": "CONV_2D",
        "shared#2": "CONV_2D",
        "up": "TRANSPOSE_CONV",
        "inner/c": "CONV_2D",
        "head": "FULLY_CONNECTED",
    }


def test_a_layer_knows_which_activations_it_reads(lab):
    layers = {layer.name: layer for layer in TFLITE.layers(lab.graph("kernels"))}
    assert layers["sep"].inputs == ("input",)
    assert set(layers["add"].inputs) == {layers["sep#2"].output, layers["shared#2"].output}


def test_weights_come_in_the_keras_layout(lab):
    found = TFLITE.weights(lab.graph("kernels"))
    keras = lab.keras_weights("kernels")
    np.testing.assert_array_equal(found["sep"][0], keras["sep/depthwise_kernel"])
    np.testing.assert_array_equal(found["sep#2"][0], keras["sep/pointwise_kernel"])
    np.testing.assert_array_equal(found["shared"][0], keras["shared/kernel"])
    np.testing.assert_array_equal(found["up"][0], keras["up/kernel"].transpose(0, 1, 3, 2))
    np.testing.assert_array_equal(found["head"][0], keras["head/kernel"])
    np.testing.assert_array_equal(found["head"][1], keras["head/bias"])


def test_batch_normalization_is_folded_into_the_weights(lab):
    kernel, bias = TFLITE.weights(lab.graph("kernels"))["inner/c"]
    keras = lab.keras_weights("kernels")
    gamma, beta, mean, variance = (
        keras[f"inner/bn/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    factor = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(kernel, keras["inner/c/kernel"] * factor, rtol=1e-5)
    np.testing.assert_allclose(bias, beta - mean * factor, rtol=1e-4, atol=1e-6)


def test_patched_weights_are_the_ones_that_run(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = TFLITE.weights(graph)["head"]
    x = normal(graph)
    patched = TFLITE.patch(graph, {"head": (kernel * 2, bias * 2)}, tmp_path / "p.tflite")
    twice = run_float(patched, x, tmp_path)
    np.testing.assert_allclose(twice, 2 * run_float(graph, x, tmp_path), rtol=1e-5)


def test_patching_one_call_of_a_shared_layer_leaves_the_other_alone(lab, tmp_path):
    graph = lab.graph("kernels")
    before = TFLITE.weights(graph)
    kernel, bias = before["shared#2"]
    patched = TFLITE.patch(graph, {"shared#2": (kernel + 1, bias + 1)}, tmp_path / "p.tflite")
    after = TFLITE.weights(patched)
    np.testing.assert_array_equal(after["shared#2"][0], kernel + 1)
    assert list(after) == list(before)
    for name in set(before) - {"shared#2"}:
        np.testing.assert_array_equal(after[name][0], before[name][0])


def test_patching_with_equal_weights_changes_no_byte(lab, tmp_path):
    graph = lab.graph("kernels")
    once = TFLITE.patch(graph, {}, tmp_path / "once.tflite")
    again = TFLITE.patch(once, TFLITE.weights(graph), tmp_path / "again.tflite")
    assert once.path.read_bytes() == again.path.read_bytes()


def test_every_constant_lies_inside_the_file_on_a_boundary_of_16(lab, tmp_path):
    from ai_edge_litert.schema_py_generated import Model

    path = export(lab.graph("kernels"), normal(lab.graph("kernels")), INT8, tmp_path).path
    content = np.frombuffer(path.read_bytes(), np.uint8)
    model = Model.GetRootAs(content.tobytes(), 0)
    buffers = [model.Buffers(i) for i in range(model.BuffersLength())]
    assert all(b.Offset() == 0 for b in buffers), "older runtimes can't read constants behind"
    start = np.frombuffer(model._tab.Bytes, np.uint8).ctypes.data
    held = [b.DataAsNumpy().ctypes.data - start for b in buffers if not b.DataIsNone()]
    assert held and all(offset % 16 == 0 for offset in held)


# Observing


def test_ranges_are_the_true_extremes_where_a_moving_average_would_clip(lab, tmp_path):
    graph = lab.graph("kernels")
    x = normal(graph, 60)
    x[0][30] *= 12.0
    logits = run_float(graph, x, tmp_path)
    average = logits[0].max()
    for item in logits[1:]:
        average = 0.95 * average + 0.05 * item.max()
    assert average < 0.6 * logits.max(), "the model is no trap"

    ranges = TFLITE.observe(graph, Arrays(*x), Silent())
    seen = ranges[graph.outputs[0].name]
    assert seen.low == pytest.approx(logits.min(), rel=1e-5)
    assert seen.high == pytest.approx(logits.max(), rel=1e-5)
    artifact = TFLITE.quantize(
        graph, calibrate.clip(ranges, INT8, graph), INT8, tmp_path / "q.tflite"
    )
    assert TFLITE.open(artifact)(*x)[0].max() == pytest.approx(logits.max(), rel=0.05)


def test_a_model_seen_in_parts_comes_to_the_same_as_seen_whole(lab, monkeypatch):
    graph = lab.graph("kernels")
    x = Arrays(*normal(graph))
    names = [layer.output for layer in TFLITE.layers(graph)]
    whole = TFLITE.observe(graph, x, Silent(), histograms=True)
    held = list(TFLITE.activations(graph, names, x))
    assert len(segments(graph.path, observe_module._activations(graph), 4096, 4096)) > 3
    small = partial(segments, whole_bytes=4096, part_bytes=4096)
    monkeypatch.setattr(observe_module, "segments", small)

    in_parts = TFLITE.observe(graph, x, Silent(), histograms=True)

    assert in_parts.keys() == whole.keys()
    for name, seen in whole.items():
        size = max(abs(seen.low), abs(seen.high), 1e-6)
        assert in_parts[name].low == pytest.approx(seen.low, abs=1e-5 * size), name
        assert in_parts[name].high == pytest.approx(seen.high, abs=1e-5 * size), name
    for one, other in zip(held, TFLITE.activations(graph, names, x), strict=True):
        assert one.keys() == other.keys()
        for name, value in one.items():
            assert np.allclose(value, other[name], atol=1e-5 * max(1e-6, np.abs(value).max())), name


def test_every_activation_is_observed_and_agrees_with_the_plain_kernels(lab):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    graph = lab.graph("kernels")
    x = normal(graph, 1)
    plain = Interpreter(
        model_content=graph.path.read_bytes(),
        experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        experimental_preserve_all_tensors=True,
    )
    plain.allocate_tensors()
    plain.set_tensor(plain.get_input_details()[0]["index"], x[0])
    plain.invoke()
    values = {d["name"]: d["index"] for d in plain.get_tensor_details()}
    ranges = TFLITE.observe(graph, Arrays(*x), Silent())
    assert set(ranges) == {"input"} | {layer.output for layer in TFLITE.layers(graph)}
    for name, seen in ranges.items():
        value = plain.get_tensor(values[name])
        size = float(np.abs(value).max())
        assert (seen.low, seen.high) == pytest.approx((value.min(), value.max()), abs=1e-5 * size)


def test_histograms_count_every_value(lab):
    graph = lab.graph("kernels")
    ranges = TFLITE.observe(graph, Arrays(*normal(graph, 3)), Silent(), histograms=True)
    assert ranges["input"].counts.sum() == 3 * 12 * 12 * 8


def test_infinite_activations_are_refused_by_layer_name(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = TFLITE.weights(graph)["up"]
    broken = TFLITE.patch(graph, {"up": (kernel * 1e38, bias)}, tmp_path / "p.tflite")
    with pytest.raises(RefusedInput, match="'up'"):
        TFLITE.observe(broken, Arrays(*(100 * a for a in normal(graph, 2))), Silent())


def test_a_dataset_of_another_shape_is_refused(lab):
    with pytest.raises(UsageError, match="input"):
        TFLITE.observe(lab.graph("kernels"), Arrays(np.zeros((2, 8, 8, 8), np.float32)), Silent())


def test_an_empty_dataset_is_refused(lab):
    with pytest.raises(UsageError, match="no item"):
        TFLITE.observe(lab.graph("kernels"), Arrays(np.zeros((0, 12, 12, 8), "f")), Silent())


# Quantizing


@pytest.mark.parametrize(
    ("precision", "tolerance"),
    [("fp32", 1e-6), ("fp16", 2e-3), ("dynamic", 0.05), ("int16x8", 0.03), ("int8", 0.08)],
)
def test_each_precision_stays_close_to_the_float_file(lab, tmp_path, precision, tolerance):
    graph = lab.graph("kernels")
    x = normal(graph, 64)
    artifact = export(graph, x, Recipe(precision=precision), tmp_path)
    found = TFLITE.open(artifact)(*x)[0]
    assert relative_error(found, run_float(graph, x, tmp_path)) < tolerance
    assert artifact.sha256 == hashlib.sha256(artifact.path.read_bytes()).hexdigest()
    assert artifact.size_bytes == artifact.path.stat().st_size


def test_int8_is_integer_from_end_to_end(lab, tmp_path):
    artifact = export(lab.graph("kernels"), normal(lab.graph("kernels")), INT8, tmp_path)
    assert artifact.float_operators == {}
    for spec in (*artifact.inputs, *artifact.outputs):
        assert spec.dtype == "int8"
        assert spec.scale > 0
        assert -128 <= spec.zero_point <= 127


def test_float_artifacts_list_all_their_operators_as_float(lab, tmp_path):
    artifact = TFLITE.quantize(
        lab.graph("kernels"), {}, Recipe(precision="fp32"), tmp_path / "f.tflite"
    )
    assert artifact.float_operators == artifact.operators
    assert artifact.inputs[0].scale is None


def test_a_scope_keeps_its_layer_in_float_and_the_ends_in_int8(lab, tmp_path):
    graph = lab.graph("kernels")
    recipe = replace(INT8, scopes=(Scope("head", "fp32"), Scope("inner/*", "fp32")))
    artifact = export(graph, normal(graph), recipe, tmp_path)
    assert artifact.float_operators["FULLY_CONNECTED"] == 1
    assert artifact.float_operators["CONV_2D"] == 1
    assert artifact.outputs[0].dtype == "int8"


def test_a_scope_does_not_reach_layers_whose_names_begin_alike(lab, tmp_path):
    graph = lab.graph("kernels")
    artifact = export(graph, normal(graph), replace(INT8, scopes=(Scope("s", "fp32"),)), tmp_path)
    assert artifact.float_operators == {}


def test_int16_adds_whose_scales_are_powers_of_two_still_run(lab, tmp_path):
    graph = lab.graph("rescaled")
    x = [np.linspace(0, 255, 8 * 8 * 8 * 3).reshape(8, 8, 8, 3).astype(np.float32)]
    artifact = export(graph, x, Recipe(precision="int16x8"), tmp_path)
    found = TFLITE.open(artifact)(*x)[0]
    assert relative_error(found, run_float(graph, x, tmp_path)) < 0.03


def test_a_weight_too_large_for_float16_is_refused(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = TFLITE.weights(graph)["head"]
    large = TFLITE.patch(graph, {"head": (kernel * 1e6, bias)}, tmp_path / "p.tflite")
    with pytest.raises(Unsupported, match="float16"):
        TFLITE.quantize(large, {}, Recipe(precision="fp16"), tmp_path / "h.tflite")
    assert not (tmp_path / "h.tflite").exists()


_AGAIN = """
import sys
from pathlib import Path
from edgeconv.targets.tflite import TFLITE
from edgeconv.types import FloatGraph, Recipe, Scope, TensorRange

path, out = map(Path, sys.argv[1:])
graph = FloatGraph("tflite", path, (), ())
ranges = {s.output: TensorRange(-3.0, 5.0) for s in TFLITE.layers(graph)}
ranges["input"] = TensorRange(-4.0, 4.0)
scopes = (Scope("*head*", "fp32"), Scope("*up*", "int16x8"))
TFLITE.quantize(graph, ranges, Recipe(scopes=scopes), out)
"""


def test_the_same_input_gives_the_same_bytes_under_any_hash_seed(lab, tmp_path):
    graph = lab.graph("kernels")
    for seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", _AGAIN, graph.path, tmp_path / f"{seed}.tflite"],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
    assert (tmp_path / "1.tflite").read_bytes() == (tmp_path / "2.tflite").read_bytes()


# Dead channels


def test_a_dead_channel_with_a_bias_is_lost_without_lifting_and_kept_with_it(lab, tmp_path):
    graph = lab.graph("dead_channel")
    x = normal(graph, 32)
    expected = run_float(graph, x, tmp_path)
    lost = export(graph, x, replace(INT8, passes=()), tmp_path)
    without = relative_error(TFLITE.open(lost)(*x)[0], expected)
    kept = export(graph, x, INT8, tmp_path)
    lifted = relative_error(TFLITE.open(kept)(*x)[0], expected)
    assert without > 0.5, "the model is no trap"
    assert lifted < 0.03


def test_lifting_changes_no_answer_of_the_float_graph(lab, tmp_path):
    graph = lab.graph("dead_channel")
    x = normal(graph, 32)
    ranges = calibrate.clip(TFLITE.observe(graph, Arrays(*x), Silent()), INT8, graph)
    lifted = prepare.apply(TFLITE, graph, ranges, INT8, tmp_path)
    assert lifted is not graph
    found, expected = run_float(lifted, x, tmp_path), run_float(graph, x, tmp_path)
    assert relative_error(found, expected) < 1e-4
    after = TFLITE.observe(lifted, Arrays(*x), Silent())
    for name, seen in TFLITE.observe(graph, Arrays(*x), Silent()).items():
        width = seen.high - seen.low
        assert (after[name].low, after[name].high) == pytest.approx(
            (seen.low, seen.high), abs=1e-4 * width
        )


def test_a_graph_that_needs_no_pass_is_not_written_again(lab, tmp_path):
    graph = lab.graph("kernels")
    ranges = calibrate.clip(TFLITE.observe(graph, Arrays(*normal(graph)), Silent()), INT8, graph)
    assert (
        prepare.apply(TFLITE, graph, ranges, replace(INT8, passes=("lift_channels",)), tmp_path)
        is graph
    )
    assert not list(tmp_path.iterdir())


def test_an_unknown_pass_is_refused(lab, tmp_path):
    with pytest.raises(UsageError, match="'polish'"):
        prepare.apply(TFLITE, lab.graph("kernels"), {}, Recipe(passes=("polish",)), tmp_path)
