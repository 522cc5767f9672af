"""Any factors on the groups that were found leave the float function as it was."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeconv import load, making
from edgeconv.prepare.channels import trace
from edgeconv.prepare.equalize import rescale
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.targets.onnx import ONNX
from edgeconv.types import Batch, Recipe
from edgeconv.workshop import Workshop
from tests.conftest import ROOT
from tests.unit.prepare.random_graphs import answers, random_graph

SEEDS = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("graphs")


def twin(target, graph, seed: int, path: Path):
    """``graph`` with a random factor on every group, and how many groups that are."""
    weights = target.weights(graph)
    channels = trace(target.flows(graph), weights, [spec.name for spec in graph.outputs])
    factors = 32.0 ** np.random.default_rng(seed).uniform(-1, 1, channels.count)
    factors[0] = 1.0
    changed = {
        layer: rescale(*weights[layer], ends, factors) for layer, ends in channels.kernels.items()
    }
    return target.patch(graph, changed, path), channels.count - 1


@settings(max_examples=60, deadline=None)
@given(SEEDS)
def test_factors_on_the_channels_of_a_random_graph_change_no_answer(folder, seed):
    graph = random_graph(seed, folder / "graph.onnx")
    x = np.random.default_rng(seed).normal(size=(2, 4, 6, 6)).astype(np.float32)

    changed, _ = twin(ONNX, graph, seed, folder / "twin.onnx")

    expected, found = answers(graph, x), answers(changed, x)
    assert np.abs(found - expected).max() <= 2e-4 * np.abs(expected).max()


def test_random_graphs_have_channels_to_scale(folder):
    counts = []
    for seed in range(20):
        graph = random_graph(seed, folder / "graph.onnx")
        counts.append(twin(ONNX, graph, seed, folder / "twin.onnx")[1])
    # The hidden layer of the head alone has 5.
    assert min(counts) >= 5
    assert np.mean(counts) > 10


class Lab:
    """Keras models, lowered to both formats in one workshop."""

    def __init__(self, workshop: Workshop, folder: Path) -> None:
        self._workshop, self._folder = workshop, folder

    def keras(self, which: str) -> Path:
        path = self._folder / f"{which}.keras"
        if not path.exists():
            self._workshop.call(
                "tests.unit.prepare.rescaled_models:save_model", which=which, out=str(path)
            )
        return path

    def sabotaged(self, which: str, seed: int) -> Path:
        path = self._folder / f"{which}-{seed}.keras"
        self._workshop.call(
            "tests.twins:save_twin", model=str(self.keras(which)), seed=seed, out=str(path)
        )
        return path

    def graphs(self, model: Path):
        folder = self._folder / model.stem
        folder.mkdir(exist_ok=True)
        request = load.LoadRequest(str(model), preprocess="array")
        source = load.load(request, self._workshop, folder, Silent())
        return [target.lower(source, self._workshop, folder) for target in TARGETS.values()]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with Workshop(Path(folder)) as workshop:
            yield Lab(workshop, Path(folder))


class Arrays:
    """A dataset of one array."""

    name, fingerprint, labelled = "arrays", "", False

    def __init__(self, x) -> None:
        self.x = x

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, size: int) -> Iterator[Batch]:
        for start in range(0, len(self.x), size):
            yield Batch((self.x[start : start + size],), None, ())


def run(graph, x, folder: Path):
    _, model = making.write(graph, {}, Recipe(precision="fp32", passes=()), folder)
    return model(*x)


@pytest.mark.parametrize(
    ("which", "free"),
    [
        ("streams", 8 + 16 + 32 + 8 + 4 + 6 + 10),
        ("gates", 8 + 4 + 6 + 12),
        ("vectors", 7 + 7 + 5 + 9),
    ],
)
def test_both_formats_have_the_same_free_channels_and_keep_their_function(lab, folder, which, free):
    for graph in lab.graphs(lab.keras(which)):
        rng = np.random.default_rng(0)
        x = [rng.normal(size=(1, *spec.shape[1:])).astype(np.float32) for spec in graph.inputs]
        expected = run(graph, x, folder)
        for seed in range(3):
            target = TARGETS[graph.format]
            changed, found = twin(target, graph, seed, folder / f"twin{target.suffix}")

            assert found == free, graph.format
            for one, other in zip(expected, run(changed, x, folder), strict=True):
                assert np.abs(one - other).max() <= 2e-4 * np.abs(one).max()


def sqnr_db(expected, found) -> float:
    error = np.square(expected - found, dtype=np.float64).sum()
    return 10 * float(np.log10(np.square(expected, dtype=np.float64).sum() / error))


def test_int8_of_a_sabotaged_twin_is_lost_and_equalizing_gives_it_back(lab, folder):
    x = np.random.default_rng(3).normal(size=(48, 12, 12, 3)).astype(np.float32)
    recipes = [Recipe(calibrator="minmax", passes=names) for names in ((), ("equalize",))]
    originals, twins = lab.graphs(lab.keras("streams")), lab.graphs(lab.sabotaged("streams", 0))
    for original, graph in zip(originals, twins, strict=True):
        expected = run(original, [x], folder)[0]
        np.testing.assert_allclose(run(graph, [x], folder)[0], expected, atol=1e-3)
        pieces = [making.observe(g, Arrays(x), recipes[0], Silent()) for g in (original, graph)]

        untouched, lost, repaired = (
            sqnr_db(expected, making.make(piece, recipe, folder)[1](x)[0])
            for piece, recipe in [
                (pieces[0], recipes[0]),
                (pieces[1], recipes[0]),
                (pieces[1], recipes[1]),
            ]
        )

        assert lost < 12 < 25 < untouched, graph.format
        assert repaired > untouched - 3, graph.format


def test_what_is_equalized_is_left_alone(lab, folder):
    x = np.random.default_rng(3).normal(size=(4, 12, 12, 3)).astype(np.float32)
    recipe = Recipe(passes=("equalize",))
    for graph in lab.graphs(lab.keras("streams")):
        equalized = making.suited(making.observe(graph, Arrays(x), recipe, Silent()), recipe)

        assert making.suited(equalized, recipe) is equalized


def test_what_is_rescaled_is_observed_anew_and_once(lab, folder):
    x = np.random.default_rng(3).normal(size=(4, 12, 12, 3)).astype(np.float32)
    recipe = Recipe(passes=("equalize",))
    piece = making.observe(lab.graphs(lab.sabotaged("streams", 1))[1], Arrays(x), recipe, Silent())

    rescaled = making.suited(piece, recipe)

    assert rescaled is making.suited(piece, recipe)
    anew = making.observe(rescaled.graph, Arrays(x), recipe, Silent()).ranges
    assert {n: (r.low, r.high) for n, r in rescaled.ranges.items()} == {
        n: (r.low, r.high) for n, r in anew.items()
    }
    assert any(anew[n].high != seen.high for n, seen in piece.ranges.items())


def test_both_formats_are_equalized_to_the_same_weights(lab, folder):
    x = np.random.default_rng(3).normal(size=(4, 12, 12, 3)).astype(np.float32)
    recipe = Recipe(passes=("equalize",))
    found = []
    for graph in lab.graphs(lab.sabotaged("streams", 2)):
        piece = making.suited(making.observe(graph, Arrays(x), recipe, Silent()), recipe)
        assert piece.graph is not graph
        found.append(TARGETS[graph.format].weights(piece.graph))

    tflite, onnx = found
    assert tflite.keys() == onnx.keys()
    for layer, (kernel, bias) in tflite.items():
        np.testing.assert_allclose(kernel, onnx[layer][0], rtol=1e-4, err_msg=layer)
        np.testing.assert_allclose(bias, onnx[layer][1], rtol=1e-4, atol=1e-5, err_msg=layer)


def test_values_are_counted_where_a_calibrator_looks_at_them_and_once(lab, folder):
    x = np.random.default_rng(3).normal(size=(4, 12, 12, 3)).astype(np.float32)
    plain = Recipe(passes=("equalize",), calibrator="minmax")
    counts = replace(plain, calibrator="mse")
    piece = making.observe(lab.graphs(lab.sabotaged("streams", 1))[0], Arrays(x), plain, Silent())

    assert not piece.counted and not making.suited(piece, plain).counted
    found = making.suited(piece, counts)
    assert found.counted and making.suited(piece, counts) is found
    assert found.graph.path.read_bytes() == making.suited(piece, plain).graph.path.read_bytes()
    assert {n: (r.low, r.high) for n, r in found.ranges.items()} == {
        n: (r.low, r.high) for n, r in making.suited(piece, plain).ranges.items()
    }
