"""The ONNX target on real models: lowered, observed, patched, quantized, run."""

import functools
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv import calibrate, prepare
from edgeconv.errors import InternalError, RefusedInput, Unsupported, UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Silent
from edgeconv.targets.onnx import ONNX
from edgeconv.targets.onnx.model import array_of, constants, read
from edgeconv.types import Array, Batch, FloatGraph, Recipe, Scope, SourceModel, TensorSpec
from edgeconv.workshop import Workshop

INT8 = Recipe(calibrator="minmax")


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
    def source(self, which: str) -> SourceModel:
        self.workshop.call("onnx_models:save_model", which=which, out=str(self.folder))
        frozen = self.folder / f"{which}.pb"
        opened = self.workshop.call(
            "edgeconv.load.child:open_file",
            path=str(self.folder / f"{which}.keras"),
            out=str(frozen),
            input_size=None,
            keep_head=False,
            trust=False,
            custom=None,
        )
        ends = [tuple(_spec(s) for s in opened[key]) for key in ("inputs", "outputs")]
        return _source(which, frozen, *ends, tuple(opened["layers"]))

    @functools.cache  # noqa: B019
    def graph(self, which: str) -> FloatGraph:
        folder = self.folder / which
        folder.mkdir()
        return ONNX.lower(self.source(which), self.workshop, folder)

    def answers(self, which: str, x: Array) -> Array:
        """What Keras says; ``which`` is opened again, as the child keeps the last alone."""
        self.source.cache_clear()
        self.source(which)
        names = [str(self.folder / f"{which}-{end}.npy") for end in "xy"]
        np.save(names[0], x)
        self.workshop.call("edgeconv.load.child:predict", inputs=names[:1], outputs=names[1:])
        return np.load(names[1])

    def keras_weights(self, which: str) -> dict[str, Array]:
        with np.load(self.folder / f"{which}.npz") as stored:
            return {name.replace("|", "/"): stored[name] for name in stored.files}


def _source(name, graph, inputs, outputs, layers) -> SourceModel:
    return SourceModel(
        name=name,
        graph=graph,
        inputs=inputs,
        outputs=outputs,
        activation="linear",
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
        # The child finds onnx_models there.
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))
        with Workshop(Path(folder)) as workshop:
            yield Lab(workshop, Path(folder))


def normal(graph: FloatGraph, count: int = 16, seed: int = 0) -> list[Array]:
    rng = np.random.default_rng(seed)
    return [rng.normal(size=(count, *s.shape[1:])).astype(np.float32) for s in graph.inputs]


def export(graph: FloatGraph, x: list[Array], recipe: Recipe, folder: Path):
    ranges = calibrate.clip(ONNX.observe(graph, Arrays(*x), Silent()), recipe, graph)
    ready = prepare.apply(ONNX, graph, ranges, recipe, folder)
    return ONNX.quantize(ready, ranges, recipe, folder / f"{recipe.precision}.onnx")


def relative_error(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def run_float(graph: FloatGraph, x: list[Array], folder: Path) -> Array:
    artifact = ONNX.quantize(graph, {}, Recipe(precision="fp32"), folder / "float.onnx")
    return ONNX.open(artifact)(*x)[0]


# Lowering


@pytest.mark.parametrize("which", ["kernels", "traps", "averaged"])
def test_the_float_file_answers_as_keras_does(lab, tmp_path, which):
    graph = lab.graph(which)
    x = normal(graph)
    found = run_float(graph, x, tmp_path)
    assert relative_error(found, lab.answers(which, x[0])) < 1e-5


def test_what_tf2onnx_loses_is_mended_under_the_layers_names(lab):
    layers = {layer.name: layer for layer in ONNX.layers(lab.graph("traps"))}
    assert layers["grouped"].op == "Conv"
    assert layers["gelu"].op == "Mul"
    assert [s.name for s in lab.graph("traps").inputs] == ["input"]


def test_batch_normalization_behind_a_dense_layer_is_folded(lab):
    kernel, bias = ONNX.weights(lab.graph("traps"))["dense"]
    keras = lab.keras_weights("traps")
    gamma, beta, mean, variance = (
        keras[f"dense_bn/{name}"] for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    factor = gamma / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(kernel, keras["dense/kernel"] * factor, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(
        bias, (keras["dense/bias"] - mean) * factor + beta, rtol=1e-4, atol=1e-6
    )
    assert "dense_bn" not in {layer.name for layer in ONNX.layers(lab.graph("traps"))}


def test_inputs_and_outputs_keep_their_order_and_names(lab, tmp_path):
    frozen = tmp_path / "ends.pb"
    lab.workshop.call("onnx_models:freeze_ends", out=str(frozen))
    inputs = (TensorSpec("zebra", (None, 5), "float32"), TensorSpec("ant", (None, 3), "float32"))
    outputs = (
        TensorSpec("yak/Relu", (None, 2), "float32"),
        TensorSpec("bee/MatMul", (None, 4), "float32"),
    )
    source = _source("ends", frozen, inputs, outputs, ("yak", "bee"))
    graph = ONNX.lower(source, lab.workshop, tmp_path)
    assert [(s.name, s.shape) for s in graph.inputs] == [("zebra", (None, 5)), ("ant", (None, 3))]
    assert [(s.name, s.shape) for s in graph.outputs] == [("yak", (None, 2)), ("bee", (None, 4))]
    x = normal(graph)
    yak, bee = ONNX.open(export(graph, x, INT8, tmp_path))(*x)
    both = np.concatenate(x, axis=1)
    left, right = np.linspace(-1, 1, 16).reshape(8, 2), np.linspace(1, -2, 32).reshape(8, 4)
    assert relative_error(yak, np.maximum(both @ left, 0)) < 0.05
    assert relative_error(bee, both @ right) < 0.05


def test_the_batch_axis_is_free_and_has_a_name(lab, tmp_path):
    graph = lab.graph("kernels")
    model = read(graph.path)
    ends = [*model.graph.input, *model.graph.output]
    assert {e.type.tensor_type.shape.dim[0].dim_param for e in ends} == {"batch"}
    x = normal(graph, 5)
    together = run_float(graph, x, tmp_path)
    one_by_one = np.concatenate([run_float(graph, [x[0][i : i + 1]], tmp_path) for i in range(5)])
    np.testing.assert_allclose(together, one_by_one, rtol=1e-5, atol=1e-6)


def test_an_operator_that_onnx_lacks_is_named_with_its_layer(lab):
    with pytest.raises(Unsupported, match=r"Erfinv \("):
        lab.graph("no_kernel")


def test_two_conversions_give_the_same_bytes(lab, tmp_path):
    lab.graph("traps")
    again = ONNX.lower(lab.source("traps"), lab.workshop, tmp_path)
    assert again.path.read_bytes() == lab.graph("traps").path.read_bytes()
    assert [p.name for p in tmp_path.iterdir()] == ["float.onnx"]


def test_the_file_says_edgeconv_and_no_other_tool(lab):
    model = read(lab.graph("kernels").path)
    assert model.producer_name == "edgeconv"
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert not model.metadata_props and not model.doc_string


# Layers and weights


def test_layers_bear_keras_names_and_repeats_are_numbered(lab):
    found = {layer.name: layer.op for layer in ONNX.layers(lab.graph("kernels")) if layer.weight}
    assert found == {
        "sep": "Conv",
        "sep#2": "Conv",
        "shared": "Conv",
        "shared#2": "Conv",
        "up": "ConvTranspose",
        "inner/c": "Conv",
        "head": "Gemm",
    }


def test_a_layer_knows_which_activations_it_reads(lab):
    layers = {layer.name: layer for layer in ONNX.layers(lab.graph("kernels"))}
    assert set(layers["add"].inputs) == {layers["sep#2"].output, layers["shared#2"].output}
    assert layers["sep"].inputs[0].startswith("sep")


def test_weights_come_in_the_keras_layout(lab):
    found = ONNX.weights(lab.graph("kernels"))
    keras = lab.keras_weights("kernels")
    np.testing.assert_array_equal(found["sep"][0], keras["sep/depthwise_kernel"])
    np.testing.assert_array_equal(found["sep#2"][0], keras["sep/pointwise_kernel"])
    np.testing.assert_array_equal(found["shared"][0], keras["shared/kernel"])
    np.testing.assert_array_equal(found["up"][0], keras["up/kernel"].transpose(0, 1, 3, 2))
    np.testing.assert_array_equal(found["head"][0], keras["head/kernel"])
    np.testing.assert_array_equal(found["head"][1], keras["head/bias"])


def test_a_grouped_kernel_comes_in_the_keras_layout(lab):
    found = ONNX.weights(lab.graph("traps"))["grouped"][0]
    np.testing.assert_array_equal(found, lab.keras_weights("traps")["grouped/kernel"])


def test_patched_weights_are_the_ones_that_run(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = ONNX.weights(graph)["head"]
    x = normal(graph)
    patched = ONNX.patch(graph, {"head": (kernel * 2, bias * 2)}, tmp_path / "p.onnx")
    twice = run_float(patched, x, tmp_path)
    np.testing.assert_allclose(twice, 2 * run_float(graph, x, tmp_path), rtol=1e-5)


def test_patching_one_call_of_a_shared_layer_leaves_the_other_alone(lab, tmp_path):
    graph = lab.graph("kernels")
    before = ONNX.weights(graph)
    kernel, bias = before["shared#2"]
    patched = ONNX.patch(graph, {"shared#2": (kernel + 1, bias + 1)}, tmp_path / "p.onnx")
    after = ONNX.weights(patched)
    np.testing.assert_array_equal(after["shared#2"][0], kernel + 1)
    np.testing.assert_array_equal(after["shared#2"][1], bias + 1)
    for name in set(before) - {"shared#2"}:
        np.testing.assert_array_equal(after[name][0], before[name][0])


@pytest.mark.parametrize("which", ["kernels", "traps"])
def test_patching_with_equal_weights_changes_no_byte(lab, tmp_path, which):
    graph = lab.graph(which)
    again = ONNX.patch(graph, ONNX.weights(graph), tmp_path / "again.onnx")
    assert again.path.read_bytes() == graph.path.read_bytes()


def test_patching_a_layer_that_is_not_there_or_of_another_shape_fails(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = ONNX.weights(graph)["head"]
    with pytest.raises(InternalError, match="'tail'"):
        ONNX.patch(graph, {"tail": (kernel, bias)}, tmp_path / "p.onnx")
    with pytest.raises(InternalError, match="'head' holds"):
        ONNX.patch(graph, {"head": (kernel[:1], bias)}, tmp_path / "p.onnx")
    assert not list(tmp_path.iterdir())


# Observing


def test_ranges_are_the_true_extremes_of_what_runs(lab, tmp_path):
    graph = lab.graph("kernels")
    x = normal(graph, 20)
    x[0][7] *= 12.0
    logits = run_float(graph, x, tmp_path)
    ranges = ONNX.observe(graph, Arrays(*x), Silent())
    seen = ranges[graph.outputs[0].name]
    assert (seen.low, seen.high) == pytest.approx((logits.min(), logits.max()), rel=1e-5)
    assert (ranges["input"].low, ranges["input"].high) == (x[0].min(), x[0].max())


def test_every_activation_is_observed_but_what_only_a_clamp_reads(lab):
    graph = lab.graph("kernels")
    layers = ONNX.layers(graph)
    ranges = ONNX.observe(graph, Arrays(*normal(graph, 2)), Silent())
    clamped = {n for layer in layers if layer.op in ("Relu", "Clip") for n in layer.inputs}
    assert len(clamped) == 1
    assert set(ranges) == {"input"} | {layer.output for layer in layers} - clamped


def test_histograms_count_every_value(lab):
    graph = lab.graph("kernels")
    ranges = ONNX.observe(graph, Arrays(*normal(graph, 3)), Silent(), histograms=True)
    assert ranges["input"].counts.sum() == 3 * 12 * 12 * 8


def test_infinite_activations_are_refused_by_layer_name(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = ONNX.weights(graph)["up"]
    broken = ONNX.patch(graph, {"up": (kernel * 1e38, bias)}, tmp_path / "p.onnx")
    with pytest.raises(RefusedInput, match="'up'"):
        ONNX.observe(broken, Arrays(*(100 * a for a in normal(graph, 2))), Silent())


def test_a_dataset_of_another_shape_is_refused(lab):
    with pytest.raises(UsageError, match="input"):
        ONNX.observe(lab.graph("kernels"), Arrays(np.zeros((2, 8, 8, 8), np.float32)), Silent())


def test_an_empty_dataset_is_refused(lab):
    with pytest.raises(UsageError, match="no item"):
        ONNX.observe(lab.graph("kernels"), Arrays(np.zeros((0, 12, 12, 8), "f")), Silent())


# Quantizing


@pytest.mark.parametrize("which", ["kernels", "traps"])
@pytest.mark.parametrize(
    ("precision", "tolerance"), [("fp32", 1e-6), ("fp16", 3e-3), ("dynamic", 0.05), ("int8", 0.08)]
)
def test_each_precision_stays_close_to_the_float_file(lab, tmp_path, which, precision, tolerance):
    graph = lab.graph(which)
    x = normal(graph, 64)
    artifact = export(graph, x, replace(INT8, precision=precision), tmp_path)
    found = ONNX.open(artifact)(*x)[0]
    assert relative_error(found, run_float(graph, x, tmp_path)) < tolerance
    assert artifact.sha256 == hashlib.sha256(artifact.path.read_bytes()).hexdigest()
    assert artifact.size_bytes == artifact.path.stat().st_size
    assert {s.dtype for s in artifact.inputs + artifact.outputs} == {"float32"}
    assert {s.scale for s in artifact.inputs + artifact.outputs} == {None}


def test_int8_runs_as_integer_but_for_what_onnxruntime_has_no_kernel_for(lab, tmp_path):
    graph = lab.graph("kernels")
    artifact = export(graph, normal(graph), INT8, tmp_path)
    assert artifact.operators["QLinearConv"] == 5
    assert artifact.operators["QGemm"] == 1
    assert artifact.operators["QuantizeLinear"] >= 1
    assert artifact.float_operators == {"ConvTranspose": 1}


def test_int8_calls_no_other_domains_operators(lab, tmp_path):
    graph = lab.graph("kernels")
    model = read(export(graph, normal(graph), INT8, tmp_path).path)
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert model.producer_name == "edgeconv"


def test_kernels_are_symmetric_int8_with_a_scale_a_channel(lab, tmp_path):
    graph = lab.graph("kernels")
    held = constants(read(export(graph, normal(graph), INT8, tmp_path).path))
    kernel = array_of(held["sep/kernel_2_quantized"])
    assert kernel.dtype == np.int8
    assert abs(kernel.astype(int)).reshape(12, -1).max(axis=1).tolist() == [127] * 12
    assert not array_of(held["sep/kernel_2_zero_point"]).any()
    assert array_of(held["sep/kernel_2_scale"]).shape == (12,)


def test_signed_activations_are_symmetric(lab, tmp_path):
    graph = lab.graph("kernels")
    x = normal(graph, 64)
    artifact = export(graph, x, replace(INT8, onnx_activations="signed"), tmp_path)
    held = constants(read(artifact.path))
    zero_points = [array_of(t) for name, t in held.items() if name.endswith("_zero_point")]
    assert zero_points and not any(z.any() for z in zero_points)
    assert {z.dtype.name for z in zero_points} <= {"int8", "int32"}
    found = ONNX.open(artifact)(*x)[0]
    assert relative_error(found, run_float(graph, x, tmp_path)) < 0.08


def test_float_artifacts_list_their_operators_as_the_file_has_them(lab, tmp_path):
    artifact = ONNX.quantize(
        lab.graph("kernels"), {}, Recipe(precision="fp32"), tmp_path / "f.onnx"
    )
    assert artifact.operators["Conv"] == artifact.float_operators["Conv"] == 5


def test_a_scope_keeps_its_layer_in_float(lab, tmp_path):
    graph = lab.graph("kernels")
    recipe = replace(INT8, scopes=(Scope("head", "fp32"), Scope("inner/*", "fp32")))
    artifact = export(graph, normal(graph), recipe, tmp_path)
    # onnxruntime would quantize a float convolution between integer ones by itself.
    assert artifact.operators["QLinearConv"] == 4
    assert artifact.float_operators["FusedConv"] == 1
    assert artifact.float_operators["Gemm"] == 1


def test_a_layer_kept_in_float_loses_nothing_to_int8(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = ONNX.weights(graph)["inner/c"]
    # One scale for the whole kernel would leave nothing of all channels but the first.
    spread = kernel * np.array([1e3, 1, 1, 1, 1], np.float32)
    graph = ONNX.patch(graph, {"inner/c": (spread, bias)}, tmp_path / "p.onnx")
    x = normal(graph, 32)
    artifact = export(graph, x, replace(INT8, scopes=(Scope("inner/c", "fp32"),)), tmp_path)
    found = ONNX.open(artifact)(*x)[0]
    assert relative_error(found, run_float(graph, x, tmp_path)) < 0.08


@pytest.mark.parametrize(
    ("precision", "operator", "count"),
    # Once to float16 behind the layers kept in float, and once back at the end.
    [("dynamic", "ConvInteger", 3), ("fp16", "Cast", 2)],
)
def test_a_scope_keeps_its_layer_in_float_in_other_precisions(
    lab, tmp_path, precision, operator, count
):
    graph = lab.graph("kernels")
    recipe = Recipe(precision=precision, scopes=(Scope("sep*", "fp32"),))
    artifact = ONNX.quantize(graph, {}, recipe, tmp_path / "q.onnx")
    held = constants(read(artifact.path))
    assert held["sep/kernel"].data_type == held["sep/kernel_2"].data_type == 1
    assert "shared/kernel" not in held
    assert artifact.operators[operator] == count


def test_a_file_can_not_mix_precisions(lab, tmp_path):
    recipe = replace(INT8, scopes=(Scope("head", "fp16"),))
    with pytest.raises(Unsupported, match="fp16 and int8"):
        export(lab.graph("kernels"), normal(lab.graph("kernels")), recipe, tmp_path)


def test_int16_activations_are_refused_with_the_reason(lab, tmp_path):
    recipe = replace(INT8, precision="int16x8")
    with pytest.raises(Unsupported, match="no kernels that take int16"):
        ONNX.quantize(lab.graph("kernels"), {}, recipe, tmp_path / "q.onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_range_is_named(lab, tmp_path):
    graph = lab.graph("kernels")
    ranges = dict(ONNX.observe(graph, Arrays(*normal(graph, 2)), Silent()))
    del ranges["add/Add"]
    with pytest.raises(InternalError, match="add/Add"):
        ONNX.quantize(graph, ranges, INT8, tmp_path / "q.onnx")


def test_a_final_average_is_not_rounded_to_steps(lab, tmp_path):
    graph = lab.graph("averaged")
    x = normal(graph, 64)
    artifact = export(graph, x, INT8, tmp_path)
    assert artifact.float_operators == {"GlobalAveragePool": 1}
    assert artifact.operators["QLinearConv"] == 1
    answers = ONNX.open(artifact)(*x)[0]
    # 36 pixels are averaged, so that answers lie between the steps of one pixel.
    assert len(np.unique(answers)) > 256


def test_a_weight_too_large_for_float16_is_refused(lab, tmp_path):
    graph = lab.graph("kernels")
    kernel, bias = ONNX.weights(graph)["head"]
    large = ONNX.patch(graph, {"head": (kernel * 1e6, bias)}, tmp_path / "p.onnx")
    with pytest.raises(Unsupported, match="float16"):
        ONNX.quantize(large, {}, Recipe(precision="fp16"), tmp_path / "h.onnx")
    assert not (tmp_path / "h.onnx").exists()


def test_a_dead_channel_keeps_its_bias_without_any_pass(lab, tmp_path):
    graph = lab.graph("dead_channel")
    x = normal(graph, 32)
    artifact = export(graph, x, replace(INT8, passes=()), tmp_path)
    found = ONNX.open(artifact)(*x)[0]
    assert relative_error(found, run_float(graph, x, tmp_path)) < 0.03


_AGAIN = """
import sys
from pathlib import Path
from edgeconv.targets.onnx import ONNX
from edgeconv.types import FloatGraph, Recipe, Scope, TensorRange

path, out = map(Path, sys.argv[1:])
graph = FloatGraph("onnx", path, (), ())
ranges = {s.output: TensorRange(-3.0, 5.0) for s in ONNX.layers(graph)}
ranges["input"] = TensorRange(-4.0, 4.0)
for precision in ("int8", "dynamic", "fp16"):
    recipe = Recipe(precision=precision, scopes=(Scope("*head*", "fp32"),))
    ONNX.quantize(graph, ranges, recipe, out / f"{precision}.onnx")
"""


def test_the_same_input_gives_the_same_bytes_under_any_hash_seed(lab, tmp_path):
    graph = lab.graph("traps")
    for seed in ("1", "2"):
        (tmp_path / seed).mkdir()
        subprocess.run(
            [sys.executable, "-c", _AGAIN, graph.path, tmp_path / seed],
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
        )
    for file in (tmp_path / "1").iterdir():
        assert file.read_bytes() == (tmp_path / "2" / file.name).read_bytes()
