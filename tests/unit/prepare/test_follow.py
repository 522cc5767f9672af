"""A lowered graph, rescaled as an int8 file shows it, is the graph that the file was made from."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeconv import making, prepare
from edgeconv.prepare.channels import trace
from edgeconv.prepare.follow import Follower
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Batch, Recipe, Scope
from edgeconv.workshop import Workshop
from tests.conftest import ROOT
from tests.unit.prepare.test_rescaling import Lab, twin


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        with Workshop(Path(folder)) as workshop:
            yield Lab(workshop, Path(folder))


class Inputs:
    """A dataset of random numbers for any model."""

    name, fingerprint, labelled = "inputs", "", False

    def __init__(self, graph, items: int) -> None:
        rng = np.random.default_rng(3)
        shapes = [(items, *spec.shape[1:]) for spec in graph.inputs]
        self.x = tuple(rng.normal(size=shape).astype(np.float32) for shape in shapes)

    def __len__(self) -> int:
        return len(self.x[0])

    def batches(self, size: int) -> Iterator[Batch]:
        for start in range(0, len(self), size):
            yield Batch(tuple(x[start : start + size] for x in self.x), None, ())


class Exported:
    """A graph, what passes make of it, and the int8 file.

    Attributes:
        graph: As it was lowered.
        wanted: With its channels rescaled.
        file: The inside of the file.
    """

    def __init__(self, graph, folder: Path, **changes):
        recipe = Recipe(**{"passes": ("equalize", "lift_channels", "correct_bias")} | changes)
        piece = making.observe(graph, Inputs(graph, 8), recipe, Silent())
        artifact, _ = making.make(piece, recipe, folder)
        self.graph, self.target = graph, TARGETS[graph.format]
        self.wanted = making.suited(piece, recipe).graph
        self.file = self.target.anatomy(artifact.path.read_bytes())

    def followed(self, folder: Path):
        return prepare.follow(self.target, self.graph, self.file, folder / "followed")

    def follower(self) -> Follower:
        weights, outputs = self.target.weights(self.graph), [s.name for s in self.graph.outputs]
        return Follower(trace(self.target.flows(self.graph), weights, outputs), weights)


@pytest.fixture(scope="module", params=range(len(TARGETS)), ids=list(TARGETS))
def streams(lab, request, tmp_path_factory) -> Exported:
    graph = lab.graphs(lab.sabotaged("streams", 2))[request.param]
    return Exported(graph, tmp_path_factory.mktemp("streams"))


def assert_within(target, found, wanted, most: float) -> None:
    """Every layer's kernel and bias, in rms."""
    for layer, pair in target.weights(wanted).items():
        for one, other in zip(target.weights(found)[layer], pair, strict=True):
            if other is not None:
                assert np.linalg.norm(one - other) <= most * np.linalg.norm(other), layer


def test_the_graph_that_a_file_was_made_from_is_found(streams, tmp_path):
    with pytest.raises(AssertionError):
        assert_within(streams.target, streams.graph, streams.wanted, 0.5)

    assert_within(streams.target, streams.followed(tmp_path), streams.wanted, 0.01)


@pytest.mark.parametrize("which", ["gates", "vectors"])
def test_grouped_transposed_and_dense_kernels_are_followed_in_both_formats(lab, tmp_path, which):
    for graph in lab.graphs(lab.keras(which)):
        other, free = twin(TARGETS[graph.format], graph, 5, tmp_path / "twin")
        made = Exported(other, tmp_path, passes=())
        made.graph = graph

        assert free > 20
        assert_within(made.target, made.followed(tmp_path), other, 0.01)


@pytest.mark.parametrize(
    ("format", "precision"), [("tflite", "fp32"), ("tflite", "fp16"), ("onnx", "fp32")]
)
def test_layers_that_stay_in_float_are_followed_too(lab, tmp_path, format, precision):
    graph = lab.graphs(lab.sabotaged("streams", 2))[list(TARGETS).index(format)]
    scopes = tuple(Scope(name, precision=precision) for name in ("expand", "left", "hidden"))
    made = Exported(graph, tmp_path, scopes=scopes)

    assert_within(made.target, made.followed(tmp_path), made.wanted, 0.01)


def test_a_real_model_is_followed_through_kernels_that_were_widened(lab, shared_data, tmp_path):
    path = shared_data / "mlperf-tiny" / "visual_wake_words" / "vww_96.h5"
    for graph in lab.graphs(path):
        made = Exported(graph, tmp_path)
        widened = [step for step in made.file.steps if "/widened" in step.kernel]

        assert bool(widened) == (graph.format == "onnx")
        assert made.wanted is not graph
        assert_within(made.target, made.followed(tmp_path), made.wanted, 0.01)


def test_a_graph_whose_channels_were_left_alone_stays_as_it_is(lab, tmp_path):
    for graph in lab.graphs(lab.keras("streams")):
        made = Exported(graph, tmp_path, passes=("lift_channels", "correct_bias"))

        assert made.followed(tmp_path) is graph


def doubled(kernel, bias):
    return 2 * kernel, 2 * bias


def zeroed(kernel, bias):
    return 0 * kernel, bias


def turned(kernel, bias):
    """Other weights in the right channels."""
    return kernel[::-1, ::-1], bias


def one_too_large(kernel, bias):
    gains = np.ones(kernel.shape[-1], np.float32)
    gains[2] = 16
    return kernel * gains, bias * gains


def endless(kernel, bias):
    return np.full_like(kernel, np.inf), bias


@pytest.mark.parametrize("fault", [doubled, zeroed, turned, one_too_large, endless])
@pytest.mark.parametrize("layer", ["stem", "expand", "project", "c"])
def test_a_broken_kernel_spoils_no_factor_of_another_layer(streams, layer, fault):
    sound, broken = streams.follower(), streams.follower()
    for name, kernel, bias in streams.target.weights_in(streams.graph, streams.file):
        sound.take(name, kernel, bias)
        broken.take(name, *(fault(kernel, bias) if name == layer else (kernel, bias)))

    others = np.ones(sound.factors.size, bool)
    others[sound.channels.kernels[layer].written] = False
    off = np.abs(np.log(broken.factors / sound.factors))
    assert off[others].max() < 0.1


def test_a_gain_of_a_kernel_is_no_factor_where_its_reader_knows_better(streams):
    sound, broken = streams.follower(), streams.follower()
    for name, kernel, bias in streams.target.weights_in(streams.graph, streams.file):
        sound.take(name, kernel, bias)
        broken.take(name, *(doubled(kernel, bias) if name == "stem" else (kernel, bias)))

    np.testing.assert_allclose(broken.factors, sound.factors, rtol=0.1)


def test_kernels_of_another_shape_and_unknown_layers_tell_nothing(streams):
    follower = streams.follower()
    for name, kernel, bias in streams.target.weights_in(streams.graph, streams.file):
        follower.take(name, kernel[..., :-1], bias)
        follower.take(f"{name}, another", kernel, bias)

    assert (follower.factors == 1).all()
