"""Gates: branches from an average of a picture to a product with the picture."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeconv import load
from edgeconv.load import LoadRequest
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.targets.flow import Flow
from edgeconv.targets.gates import gates
from edgeconv.types import Format, Layer
from edgeconv.workshop import Workshop

PICTURE, POOLED = (1, 8, 8, 6), (1, 1, 1, 6)


def layer(name: str, *inputs: str) -> Layer:
    return Layer(name=name.partition(":")[0], op="", output=name, inputs=inputs)


def product(*inputs: tuple[str, tuple[int, ...]]) -> Flow:
    names, shapes = zip(*inputs, strict=True)
    return Flow("product", "excite", names, ("out",), shapes, PICTURE)


CONV = Flow("kernel", "conv", ("in",), ("map",), (PICTURE,), PICTURE)
LAYERS = [
    layer("map", "in"),
    layer("squeeze", "map"),
    layer("reduce", "squeeze"),
    layer("reduce#2:swish", "reduce"),
    layer("expand", "reduce#2:swish"),
    layer("out", "map", "expand"),
]


def test_a_gate_is_what_lies_between_the_average_and_the_product() -> None:
    flows = [CONV, product(("map", PICTURE), ("expand", POOLED))]
    assert gates(LAYERS, flows) == ("squeeze", "reduce", "expand")


def test_a_product_of_equals_is_no_gate() -> None:
    swish = [layer("map", "in"), layer("sigmoid", "map"), layer("out", "map", "sigmoid")]
    assert gates(swish, [CONV, product(("map", PICTURE), ("sigmoid", PICTURE))]) == ()


def test_a_classifier_behind_its_average_is_no_gate() -> None:
    assert gates(LAYERS[:-1], [CONV]) == ()


def test_what_weighs_a_picture_but_never_saw_it_is_no_gate() -> None:
    """A second input of one value a channel, say."""
    outside = [layer("map", "in"), layer("scaled", "second"), layer("out", "map", "scaled")]
    assert gates(outside, [CONV, product(("map", PICTURE), ("scaled", POOLED))]) == ()


@pytest.fixture(scope="module")
def models() -> Iterator[dict[str, tuple[str, ...]]]:
    with tempfile.TemporaryDirectory() as name, Workshop(Path(name)) as workshop:
        found = {}
        for model in ("efficientnetv2b0", "mobilenetv2"):
            folder = Path(name) / model
            folder.mkdir()
            request = LoadRequest(model, weights="none", input_size=64)
            source = load.load(request, workshop, folder, Silent())
            for format in ("tflite", "onnx"):
                graph = TARGETS[format].lower(source, workshop, folder)
                names = gates(TARGETS[format].layers(graph), TARGETS[format].flows(graph))
                found[f"{model} {format}"] = names
        yield found


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_they_are_found_in_a_model_of_the_field(
    models: dict[str, tuple[str, ...]], format: Format
) -> None:
    found = models[f"efficientnetv2b0 {format}"]
    parts = {name.partition("_se_")[2] for name in found}

    assert parts == {"squeeze", "reduce", "expand"}
    assert len(found) == 3 * len({name.partition("_")[0] for name in found}) > 30
    assert models[f"mobilenetv2 {format}"] == ()
