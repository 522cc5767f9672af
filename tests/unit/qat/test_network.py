"""The differentiable form of a TFLite file: the same numbers as the device's."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import Unsupported
from edgeconv.runtime.engines import open_model
from tests.unit.qat.bench import Lab, small_lab

WITHIN_ONE_STEP = 0.99


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with small_lab(tmp_path_factory.mktemp("qat")) as made:
        yield made


def test_a_float_file_gives_what_the_interpreter_gives(lab: Lab, tmp_path: Path) -> None:
    graph = lab.pieces["tflite"].graph
    found = tmp_path / "found.npy"
    lab.ask("run_float", path=str(graph.path), x=lab.stored(lab.x), out=str(found))
    model = open_model(graph.path.read_bytes(), "tflite", graph.inputs, graph.outputs, "litert")
    wanted = np.concatenate([model(lab.x[i : i + 1])[0] for i in range(len(lab.x))])
    assert np.linalg.norm(np.load(found) - wanted) <= 1e-4 * np.linalg.norm(wanted)


def test_every_layer_of_an_int8_file_is_within_a_step_of_the_device(lab: Lab) -> None:
    found = lab.ask("compare", path=str(lab.int8().path), x=lab.stored(lab.x[:8]))
    kinds = {kind for kind, *_ in found["layers"]}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "ADD", "MUL", "MEAN"} <= kinds
    assert {"LOGISTIC", "MAX_POOL_2D", "CONCATENATION", "TANH", "LEAKY_RELU"} <= kinds
    for kind, name, within, _ in found["layers"]:
        assert within >= WITHIN_ONE_STEP, (kind, name, within)


def test_the_whole_int8_network_stays_within_a_step_of_the_device(lab: Lab) -> None:
    found = lab.ask("compare", path=str(lab.int8().path), x=lab.stored(lab.x[:8]))
    assert found["through"] >= WITHIN_ONE_STEP


def test_an_operator_that_is_not_known_is_named(lab: Lab) -> None:
    with pytest.raises(Unsupported, match="UNIQUE of ") as caught:
        lab.ask("refuse", path=str(lab.int8().path), kind="UNIQUE")
    assert "--qat" in caught.value.hint
