"""Blame on small models of both formats: the layer that was broken leads the list."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import EdgeconvError, Unsupported, UsageError
from edgeconv.targets import TARGETS
from edgeconv.targets.onnx import model as om
from edgeconv.targets.tflite import flatbuffer as fb
from edgeconv.verify import blame
from edgeconv.verify.blame import glimpse, layers, runs, share
from tests.faults.layer_faults import ANYWHERE, WITH_OUTPUT
from tests.faults.onnx_parts import OnnxModel
from tests.faults.tflite_parts import TfliteModel
from tests.unit.verify.blame import tiny

FORMATS = ("tflite", "onnx")
_OPENERS = {"tflite": TfliteModel, "onnx": OnnxModel}
_FAULTS = ANYWHERE | WITH_OUTPUT
#: Missing steps at the top of a range are no fault where values don't reach so far.
_HARMLESS = {"output zero point +8"}
X = (tiny.items(4),)


@pytest.fixture(scope="module", params=FORMATS)
def good(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    made = tiny.graph(request.param, folder)
    return made, tiny.artifact(made, folder)


def broken(good, layer, change, tmp_path):
    """A copy of the artifact with one layer changed."""
    _, artifact = good
    model = _OPENERS[artifact.format](artifact.path.read_bytes())
    model[layer] = change(model[layer])
    path = tmp_path / artifact.path.name
    path.write_bytes(model.to_bytes())
    return replace(artifact, path=path)


def nameless(content: bytes, format: str) -> bytes:
    """The same file with names that tell nothing."""
    if format == "tflite":
        model = fb.parse(content)
        for index, tensor in enumerate(model.subgraphs[0].tensors):
            tensor.name = f"t{index}".encode()
        return bytes(fb.to_bytes(model))
    proto = om.parse(content)
    names: dict[str, str] = {}
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.initializer):
        value.name = names.setdefault(value.name, f"t{len(names)}")
    for node in proto.graph.node:
        for field in (node.input, node.output):
            field[:] = [names.setdefault(name, f"t{len(names)}") for name in field]
        node.name = ""
    del proto.graph.value_info[:]
    return om.to_bytes(proto)


def names_of(found):
    return [layer["name"] for layer in found]


def test_every_layer_is_told_once_with_its_figures(good):
    found = blame(good[1], good[0], X)
    assert set(names_of(found)) >= set(tiny.LAYERS)
    assert len(set(names_of(found))) == len(found)
    assert sorted(layer["order"] for layer in found) == list(range(len(found)))
    assert sum(layer["share"] for layer in found) == pytest.approx(100.0)
    assert [layer["share"] for layer in found] == sorted((f["share"] for f in found), reverse=True)
    sound = [layer["sqnr_db"] for layer in found if layer["name"] in tiny.KERNELS]
    assert all(25 < each < 60 for each in sound), sound
    assert sum(layer["jump"] for layer in found) <= 1
    assert ["weights" in layer for layer in found] == [n in tiny.KERNELS for n in names_of(found)]
    # Only plain JSON types: what stands in verdict.json.
    assert json.loads(json.dumps(found, allow_nan=False)) == list(found)


def test_the_three_worst_have_histograms_of_the_same_edges(good):
    found = blame(good[1], good[0], X)
    assert ["histograms" in layer for layer in found[:4]] == [True, True, True, False]
    for layer in found[:3]:
        for drawn in layer["histograms"].values():
            assert len(drawn["counts"]) == len(drawn["candidate_counts"]) == 48
            assert sum(drawn["counts"]) == sum(drawn["candidate_counts"]) > 0
        assert ("weights" in layer["histograms"]) == ("weights" in layer)


def test_the_same_call_gives_the_same_answer(good):
    assert blame(good[1], good[0], X) == blame(good[1], good[0], X)


@pytest.mark.parametrize("fault", sorted(set(_FAULTS) - _HARMLESS))
def test_the_broken_layer_is_blamed_first_or_second(good, fault, tmp_path):
    for layer in ("depthwise", "project"):
        found = blame(broken(good, layer, _FAULTS[fault], tmp_path), good[0], X)
        assert layer in names_of(found)[:2], (layer, names_of(found))


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("bias dropped", "its bias is missing"),
        ("bias permuted", "its bias differs"),
        ("input zero point +8", "its bias differs"),
        ("kernel scale doubled", "its weights are 2 times what they should be"),
        ("kernel zero point +8", "steps off: a wrong zero point"),
        ("scale table permuted", "its scales differ by channel"),
        ("one scale x16", "are 16 times what they should be"),
        ("layer zeroed", "its weights are all zero"),
        ("kernel in 4 bits", "4 bits or fewer"),
        ("channels permuted", "its weights"),
        ("activation range clipped", "of its values are clipped"),
    ],
)
def test_the_reason_says_what_was_done(good, fault, words, tmp_path):
    found = blame(broken(good, "stem", _FAULTS[fault], tmp_path), good[0], X)
    (told,) = [layer["reason"] for layer in found if layer["name"] == "stem"]
    assert words in told, told


def test_a_stranger_s_file_without_names_is_blamed_alike(good, tmp_path):
    made, _ = good
    faulty = broken(good, "depthwise", ANYWHERE["scale table permuted"], tmp_path)
    named = blame(faulty, made, X)
    path = tmp_path / f"nameless{faulty.path.suffix}"
    path.write_bytes(nameless(faulty.path.read_bytes(), faulty.format))
    assert blame(replace(faulty, path=path), made, X) == named
    assert named[0]["name"] == "depthwise"


@pytest.mark.parametrize("precision", ["fp32", "fp16", "dynamic"])
def test_other_precisions_are_looked_into_too(good, precision, tmp_path):
    made, _ = good
    found = blame(tiny.artifact(made, tmp_path, precision), made, X)
    assert set(tiny.KERNELS) <= set(names_of(found))
    errors = [layer["sqnr_db"] for layer in found]
    least = {"fp32": np.inf, "fp16": 50.0, "dynamic": 20.0}[precision]
    assert all(each is None or each > least for each in errors), errors
    assert sum(layer["share"] for layer in found) == pytest.approx(
        0.0 if precision == "fp32" else 100.0
    )


def test_wrong_biases_of_a_float_file_lead_the_list_with_their_shift(good, tmp_path):
    made, _ = good
    constants = tiny.constants()
    for layer in ("stem", "project", "head"):
        kernel, bias = constants[layer]
        constants[layer] = kernel, bias + np.float32(0.5)
    target = TARGETS[made.format]
    other = target.patch(made, constants, tmp_path / f"other{target.suffix}")
    found = blame(tiny.artifact(other, tmp_path, "fp32"), made, X)
    assert set(names_of(found)[:3]) == {"stem", "project", "head"}
    for layer in found[:3]:
        assert "its bias differs: mean shift of 0.5 in every channel" in layer["reason"]
    assert all(layer["share"] == 0.0 for layer in found[3:])


def test_not_a_number_is_blamed_on_the_layer_that_makes_it(good, tmp_path):
    made, _ = good
    constants = tiny.constants()
    constants["project"][0][0, 0, 0, 0] = np.nan
    target = TARGETS[made.format]
    other = target.patch(made, constants, tmp_path / f"other{target.suffix}")
    found = blame(tiny.artifact(other, tmp_path, "fp32"), made, X)
    assert found[0]["name"] == "project" and found[0]["share"] == 100.0
    assert found[0]["reason"] == "its output holds NaN or infinity"
    json.dumps(found, allow_nan=False)


def test_chunks_of_a_large_model_come_to_the_same(good, monkeypatch):
    whole = blame(good[1], good[0], X)
    for module in (runs, glimpse):
        monkeypatch.setattr(module, "_MOST_VALUES", 1)
    assert [a["order"] for a in blame(good[1], good[0], X)] == [a["order"] for a in whole]
    for one, other in zip(blame(good[1], good[0], X), whole, strict=True):
        # XNNPACK and ONNX Runtime may fuse otherwise what is not given out.
        assert one["sqnr_db"] == pytest.approx(other["sqnr_db"], abs=0.5)
        assert one["share"] == pytest.approx(other["share"], abs=2.0)


def test_the_sessions_of_a_chunk_are_gone_before_the_next_ones_are_made(good, monkeypatch):
    made: list[runs.Viewer] = []

    class Watched(runs.Viewer):
        def __init__(self, *arguments):
            assert not any("_whole" in vars(viewer) for viewer in made)
            super().__init__(*arguments)
            made.append(self)

    monkeypatch.setattr(layers, "Viewer", Watched)
    monkeypatch.setattr(runs, "_MOST_VALUES", 1)
    blame(good[1], good[0], X)
    assert len(made) > 1


def test_a_dear_model_is_blamed_with_few_runs(good, monkeypatch, tmp_path):
    monkeypatch.setattr(share, "_WORK", 1.0)
    faulty = broken(good, "project", ANYWHERE["kernel scale doubled"], tmp_path)
    found = blame(faulty, good[0], X)
    assert found[0]["name"] == "project"
    assert sum(layer["share"] for layer in found) == pytest.approx(100.0)


def test_a_file_with_other_inputs_is_refused_by_name(tmp_path):
    made = tiny.graph("onnx", tmp_path)
    proto = om.read(made.path)
    second = proto.graph.input.add()
    second.CopyFrom(proto.graph.input[0])
    second.name = "second"
    path = Path(tmp_path / "two.onnx")
    om.write(proto, path)
    with pytest.raises(Unsupported, match="takes 2 inputs, the model 1"):
        blame(replace(tiny.artifact(made, tmp_path, "fp32"), path=path), made, X)


def test_a_file_of_other_pictures_is_refused_with_both_shapes(tmp_path):
    made = tiny.graph("onnx", tmp_path)
    proto = om.read(made.path)
    proto.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 99
    path = tmp_path / "large.onnx"
    om.write(proto, path)
    with pytest.raises(
        Unsupported, match=r"\[.any., 99, 12, 3\], the model's \[.any., 12, 12, 3\]"
    ):
        blame(replace(tiny.artifact(made, tmp_path, "fp32"), path=path), made, X)


def test_broken_bytes_are_an_error_with_a_name(good, tmp_path):
    _, artifact = good
    content = artifact.path.read_bytes()
    refused = 0
    rng = np.random.default_rng(0)
    for number in range(40):
        damaged = bytearray(content)
        for place in rng.integers(0, len(content), 30):
            damaged[place] ^= 1 << int(rng.integers(8))
        path = tmp_path / f"{number}{artifact.path.suffix}"
        path.write_bytes(damaged)
        try:
            layers.opened(TARGETS[artifact.format], replace(artifact, path=path))
        except EdgeconvError as error:
            assert path.name in error.message and error.hint
            refused += 1
    assert refused


def test_no_item_is_refused(good):
    with pytest.raises(UsageError, match="no item"):
        blame(good[1], good[0], (X[0][:0],))
