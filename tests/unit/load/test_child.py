"""Opening model files in the TensorFlow process."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgeconv.errors import UsageError
from edgeconv.workshop import Workshop
from tests.unit.load import model_calls

OPEN = "edgeconv.load.child:open_file"


class Notes:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def stage(self, title: str, total: int | None = None) -> None: ...

    def advance(self, steps: int = 1) -> None: ...

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        with Workshop(tmp_path_factory.mktemp("workshop")) as child:
            yield child


def opened(workshop: Workshop, path: Path, notes: Notes, **changed: Any) -> dict[str, Any]:
    given = {"input_size": None, "keep_head": False, "trust": False, "custom": None, **changed}
    out = str(path.with_name("graph.pb"))
    found: dict[str, Any] = workshop.call(OPEN, notes, path=str(path), out=out, **given)
    return found


def saved(workshop: Workshop, folder: Path, kind: str, name: str) -> Path:
    workshop.call(f"{model_calls.__name__}:save", kind=kind, path=str(folder / name))
    return folder / name


@pytest.mark.parametrize("name", ["m.keras", "m.h5"])
def test_a_sequential_model_opens_under_the_names_of_its_layers(
    workshop: Workshop, tmp_path: Path, name: str
) -> None:
    info = opened(workshop, saved(workshop, tmp_path, "sequential", name), Notes())

    assert {"body/conv", "head"} <= set(info["layers"])
    assert info["activation"] == "softmax"
    assert info["inputs"] == [{"name": "input", "shape": [None, 16, 16, 3], "dtype": "float32"}]


def test_the_footprint_counts_weights_activations_and_operators(
    workshop: Workshop, tmp_path: Path
) -> None:
    info = opened(workshop, saved(workshop, tmp_path, "sequential", "m.keras"), Notes())

    conv, head = 3 * 3 * 3 * 4 + 4, 4 * 3 + 3
    assert info["weight_count"] == conv + head
    assert info["activation_count"] == 16 * 16 * 3 + 14 * 14 * 4  # the input beside its convolution
    operators = [tuple(pair) for pair in info["operators"]]
    assert operators.index(("body/conv", "Conv2D")) < operators.index(("head", "MatMul"))
    assert len(set(operators)) == len(operators)
    assert not {"Const", "Placeholder"} & {operator for _, operator in operators}


def test_a_model_of_mixed_precision_answers_in_float32(workshop: Workshop, tmp_path: Path) -> None:
    notes = Notes()

    opened(workshop, saved(workshop, tmp_path, "mixed", "m.keras"), notes)

    assert any("float32" in line for line in notes.lines)
    graph = str(tmp_path / "graph.pb")
    assert workshop.call(f"{model_calls.__name__}:dtypes", path=graph) == ["float32"]


def test_a_custom_module_that_is_not_there_is_the_users_to_mend(
    workshop: Workshop, tmp_path: Path
) -> None:
    path = saved(workshop, tmp_path, "sequential", "m.keras")

    with pytest.raises(UsageError, match="--custom no_such_module can't be imported"):
        opened(workshop, path, Notes(), trust=True, custom="no_such_module")


@pytest.mark.parametrize("suffix", [".keras", ".h5", ".weights.h5"])
def test_embeddings_take_the_weights_of_the_whole_model(
    workshop: Workshop, tmp_path: Path, suffix: str
) -> None:
    call = f"{model_calls.__name__}:headless"

    assert workshop.call(call, folder=str(tmp_path), suffix=suffix) < 1e-5
