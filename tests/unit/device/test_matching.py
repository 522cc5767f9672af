"""Orders and models against devices: what is refused, when, and in which words."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.device import (
    find_device,
    recipe_for,
    refuse_clashing_order,
    refuse_graph,
    refuse_source,
)
from edgeconv.device.profiles import Operators
from edgeconv.errors import Unsupported
from edgeconv.types import FloatGraph, Recipe, Scope, TensorSpec
from tests import bundles

INT8 = Recipe()


class Notes:
    """A Progress that keeps what a person is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def stage(self, title: str, total: int | None = None) -> None: ...
    def advance(self, steps: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.notes.append(text)


def lacking(*ops: str, fallback: str = ""):
    device = find_device("raspberrypi4")
    return replace(device, operators={"tflite": Operators(None, frozenset(ops), fallback, {})})


def graph(folder: Path) -> FloatGraph:
    path = folder / "float.tflite"
    path.write_bytes(bundles.tflite_bytes())
    ends = [TensorSpec(n, (1, *s), "float32") for n, s in (("image", (8, 8, 3)), ("logits", (10,)))]
    return FloatGraph("tflite", path, (ends[0],), (ends[1],), {"logits": "head"})


@pytest.mark.parametrize(
    ("name", "precision", "signs"),
    [
        ("raspberrypi4", "int8", "unsigned"),
        ("jetson-orin", "int8", "signed"),
        ("x86-vnni", "int8", "unsigned"),
        ("gpu-cuda", "fp16", "signed"),
    ],
)
def test_the_recipe_follows_from_the_device(name, precision, signs):
    recipe = recipe_for(find_device(name))
    assert (recipe.precision, recipe.onnx_activations) == (precision, signs)
    assert recipe_for(find_device(name), "fp32").precision == "fp32"


def test_what_follows_from_a_device_never_clashes_with_it():
    from edgeconv.device import device_names

    for device in map(find_device, device_names()):
        refuse_clashing_order(device, recipe_for(device), device.formats)


@pytest.mark.parametrize(
    ("name", "recipe", "formats", "cause"),
    [
        ("coral-edgetpu", Recipe(precision="fp32"), ("tflite",), "coral-edgetpu runs no fp32"),
        ("raspberrypi5", INT8, ("onnx",), "litert, which opens no ONNX"),
        ("raspberrypi5", INT8, ("tflite", "onnx"), "litert, which opens no ONNX"),
        ("jetson-orin", INT8, ("onnx",), "jetson-orin takes no unsigned activations"),
        ("coral-edgetpu", Recipe(scopes=(Scope("head", "fp32"),)), ("tflite",), "runs no fp32"),
    ],
)
def test_a_clash_is_one_line_with_a_remedy(name, recipe, formats, cause):
    with pytest.raises(Unsupported, match=cause) as caught:
        refuse_clashing_order(find_device(name), recipe, formats)
    assert caught.value.hint and caught.value.exit_code == 4


def test_a_layer_kept_in_float_clashes_where_all_must_be_integer():
    device = replace(find_device("coral-edgetpu"), precisions=("int8", "fp32"))
    with pytest.raises(Unsupported, match="keeps 'block_\\*' in float"):
        refuse_clashing_order(device, Recipe(scopes=(Scope("block_*", "fp32"),)), ("tflite",))


def test_an_operator_that_is_kept_by_lowering_is_refused_from_the_source_alone():
    source = replace(bundles.source(), operators=(("up", "Conv2DBackpropInput"),))
    with pytest.raises(Unsupported, match="no TRANSPOSE_CONV at the layer 'up'"):
        refuse_source(lacking("TRANSPOSE_CONV"), source, INT8, ("tflite",), Notes())
    refuse_source(lacking("CONV_2D"), source, INT8, ("tflite",), Notes())


def test_an_operator_of_the_lowered_graph_is_refused_with_its_layer(tmp_path):
    with pytest.raises(Unsupported, match="no FULLY_CONNECTED at the layer 'head'") as caught:
        refuse_graph(lacking("FULLY_CONNECTED"), graph(tmp_path), INT8, tmp_path, Notes())
    assert "FULLY_CONNECTED" in caught.value.hint


def test_an_operator_that_runs_elsewhere_is_told_of(tmp_path):
    watch = Notes()
    device = lacking("FULLY_CONNECTED", fallback="the CPU")
    refuse_graph(device, graph(tmp_path), INT8, tmp_path, watch)
    (note,) = watch.notes
    assert note.startswith("raspberrypi4 leaves to the CPU: FULLY_CONNECTED at the layer 'head'; ")


def test_a_graph_with_an_integer_form_passes_where_all_must_be_integer(tmp_path):
    float_graph = graph(tmp_path)
    refuse_graph(find_device("coral-edgetpu"), float_graph, INT8, tmp_path, Notes())
    assert [path.name for path in tmp_path.iterdir()] == ["float.tflite"]


def test_weights_beyond_the_flash_are_refused_in_their_precision():
    source = replace(bundles.source(), weight_count=3 << 18)
    cortex = find_device("cortex-m")
    refuse_source(cortex, source, INT8, ("tflite",), Notes())
    with pytest.raises(Unsupported, match="take 3 MiB in fp32, and cortex-m has 1 MiB of flash"):
        refuse_source(cortex, source, Recipe(precision="fp32"), ("tflite",), Notes())


def test_activations_beyond_the_memory_are_told_of():
    source = replace(bundles.source(), weight_count=1 << 18, activation_count=1 << 19)
    watch = Notes()
    refuse_source(find_device("cortex-m"), source, INT8, ("tflite",), watch)
    assert len(watch.notes) == 1
    assert "about 0.5 MiB of memory is needed, and cortex-m has 0.25 MiB" in watch.notes[0]


def test_weights_beyond_the_chip_are_told_of():
    source = replace(bundles.source(), weight_count=25 << 20)
    watch = Notes()
    refuse_source(find_device("coral-edgetpu"), source, INT8, ("tflite",), watch)
    assert "25 MiB" in watch.notes[0] and "8 MiB on the chip" in watch.notes[0]


def test_weights_and_activations_share_the_memory_where_there_is_no_flash():
    small = replace(find_device("raspberrypi4"), ram_mib=2.0)
    source = replace(bundles.source(), weight_count=3 << 19, activation_count=1 << 20)
    watch = Notes()
    refuse_source(small, source, INT8, ("tflite",), watch)
    assert "about 2.5 MiB" in watch.notes[0]
