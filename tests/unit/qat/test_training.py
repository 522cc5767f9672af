"""Training int8 weights: what comes out, and that it comes out the same every time."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgeconv import load
from edgeconv.making import Piece, make
from edgeconv.order import ExportRequest
from edgeconv.progress import Silent
from edgeconv.qat.plan import read_plan
from edgeconv.targets import TARGETS
from edgeconv.trainer import with_trainer
from edgeconv.types import Array, Qat
from tests.unit.qat.bench import CLIPPED, Lab, small_lab

QAT = Qat(epochs=40, learning_rate=2e-4)
RECIPE = replace(CLIPPED, qat=QAT)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with small_lab(tmp_path_factory.mktemp("training")) as made:
        yield made


@pytest.fixture(scope="module")
def pieces(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Piece]:
    """Both formats, with one trainer."""
    return _pieces(lab, tmp_path_factory.mktemp("pieces"), ("tflite", "onnx"))


@pytest.fixture(scope="module")
def trained(
    pieces: Mapping[str, Piece], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """Both formats' files."""
    return {name: _made(piece, tmp_path_factory.mktemp(name)) for name, piece in pieces.items()}


def _pieces(lab: Lab, folder: Path, formats: tuple[str, ...]) -> Mapping[str, Piece]:
    request = ExportRequest(load.LoadRequest("small"), qat=QAT)
    given = [lab.pieces[format] for format in formats]
    made = with_trainer(given, lab.source, request, lab.workshop, folder, Silent())
    return {piece.graph.format: piece for piece in made}


def _made(piece: Piece, folder: Path) -> bytes:
    return make(piece, RECIPE, folder)[0].path.read_bytes()


def _error(lab: Lab, format: str, content: bytes) -> float:
    """Error power over signal power of an artifact's logits."""
    answers = []
    for precision, given in (("fp32", None), ("int8", content)):
        recipe = replace(CLIPPED, precision=precision, passes=())
        folder = lab.folder / f"{format}-{precision}"
        folder.mkdir(exist_ok=True)
        artifact, model = make(lab.pieces[format], recipe, folder)
        if given is not None:
            artifact.path.write_bytes(given)
            model = TARGETS[format].open(artifact)
        answers.append(np.concatenate([model(x[np.newaxis])[0] for x in lab.x]))
    wanted, found = answers
    return float(((found - wanted) ** 2).sum() / (wanted**2).sum())


def _plain(lab: Lab, format: str, folder: Path) -> bytes:
    return make(lab.pieces[format], CLIPPED, folder)[0].path.read_bytes()


@pytest.mark.parametrize("format", ["tflite", "onnx"])
def test_the_answers_are_nearer_to_the_float_model(
    lab: Lab, trained: dict[str, bytes], format: str, tmp_path: Path
) -> None:
    before = _error(lab, format, _plain(lab, format, tmp_path))
    after = _error(lab, format, trained[format])
    assert after < 0.8 * before


def test_onnx_alone_is_trained_once_more_to_the_same_bytes(
    lab: Lab, trained: dict[str, bytes], tmp_path: Path
) -> None:
    piece = _pieces(lab, tmp_path, ("onnx",))["onnx"]
    assert _sha(_made(piece, tmp_path)) == _sha(trained["onnx"])


def test_the_trained_integers_are_those_of_the_file(
    pieces: Mapping[str, Piece], trained: dict[str, bytes], tmp_path: Path
) -> None:
    """A kernel was rounded in training; the quantizer has to find the same integers in it."""
    piece, path = pieces["tflite"], tmp_path / "made.tflite"
    path.write_bytes(trained["tflite"])
    assert piece.train is not None
    graph, _ = piece.train(piece, RECIPE, tmp_path)  # it knows what it trained
    kernels: list[tuple[Array, Array]] = []
    weights, steps = TARGETS["tflite"].weights(graph), read_plan(path).by_output
    for layer in TARGETS["tflite"].layers(graph):
        step = steps.get(layer.output)
        if layer.weight and step is not None and step.kernel is not None:
            kernels.append((weights[layer.name][0], step.kernel))
    assert len(kernels) >= 6
    for wanted, held in kernels:
        np.testing.assert_allclose(held, wanted, rtol=0, atol=1e-6 * np.abs(wanted).max())


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
