"""Trials of real artifacts, in both formats, of a model of one layer."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv import data, making, steps, trials
from edgeconv.load import LoadRequest
from edgeconv.order import ExportRequest, Limits
from edgeconv.progress import Silent
from edgeconv.types import ArtifactVerdict, Dataset, FloatGraph, Recipe
from tests import bundles

RECIPE = Recipe(passes=())


class Noted(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


def order(**changes: Any) -> ExportRequest:
    given = {"model": LoadRequest("tiny"), "effort": "balanced"}
    return ExportRequest(**(given | changes))


def pictures(folder: Path, count: int) -> Dataset:
    x = np.random.default_rng(0).integers(0, 256, (count, bundles.SIZE, bundles.SIZE, 3), np.uint8)
    np.savez(folder / f"{count}.npz", x=x)
    return data.open_dataset(
        str(folder / f"{count}.npz"), bundles.PREPROCESS, input_shapes=[bundles.INPUT.shape]
    )


@pytest.fixture
def pieces(tmp_path: Path) -> list[making.Piece]:
    """The model lowered to both formats, and observed."""
    names = {"logits": "dense", "kernel": "dense"}
    calibration = pictures(tmp_path, 24)
    made = []
    for format, content in (("tflite", bundles.tflite_bytes()), ("onnx", bundles.onnx_bytes())):
        path = tmp_path / f"float.{format}"
        path.write_bytes(content)
        batch = 1 if format == "tflite" else None
        specs = (replace(s, shape=(batch, *s.shape[1:])) for s in (bundles.INPUT, bundles.OUTPUT))
        inputs, outputs = ((spec,) for spec in specs)
        graph = FloatGraph(format, path, inputs, outputs, names)  # type: ignore[arg-type]
        made.append(making.observe(graph, calibration, RECIPE, Silent()))
    return made


def search(pieces: list[making.Piece], tmp_path: Path, **changes: Any) -> steps.Found:
    return trials.quantize(
        pieces, pictures(tmp_path, 20), bundles.source(), order(**changes), RECIPE, tmp_path,
        Silent(),
    )  # fmt: skip


def test_a_search_leaves_the_artifacts_that_it_kept_and_no_others(
    pieces: list[making.Piece], tmp_path: Path
) -> None:
    found = search(pieces, tmp_path, effort="best")
    files = {p for p in (tmp_path / "trials").rglob("*") if p.suffix in (".tflite", ".onnx")}

    assert found.account is not None and len(found.account["rungs"]) > 2
    assert files == {artifact.path for artifact in found.artifacts}
    assert [artifact.path.name for artifact in found.artifacts] == ["model.tflite", "model.onnx"]
    assert {artifact.recipe for artifact in found.artifacts} == {found.recipe}


def test_what_was_searched_is_what_the_recipe_makes(
    pieces: list[making.Piece], tmp_path: Path
) -> None:
    found = search(pieces, tmp_path, effort="best")
    for artifact, piece in zip(found.artifacts, pieces, strict=True):
        folder = tmp_path / f"again-{artifact.format}"
        folder.mkdir()
        again, _ = making.make(piece, found.recipe, folder)
        assert again.sha256 == artifact.sha256


def test_the_same_search_says_the_same(pieces: list[making.Piece], tmp_path: Path) -> None:
    found = []
    for place in ("a", "b"):
        (tmp_path / place).mkdir()
        found.append(search(pieces, tmp_path / place, effort="best"))

    assert found[0].account == found[1].account
    assert [a.sha256 for a in found[0].artifacts] == [a.sha256 for a in found[1].artifacts]


def test_without_effort_nothing_is_tried(pieces: list[making.Piece], tmp_path: Path) -> None:
    found = search(pieces, tmp_path, effort="fast")

    assert (found.account, found.timings, found.recipe) == (None, {}, RECIPE)
    assert not (tmp_path / "trials").exists()


def test_too_few_items_are_told_of(pieces: list[making.Piece], tmp_path: Path) -> None:
    watch = Noted()
    found = trials.quantize(pieces, None, bundles.source(), order(), RECIPE, tmp_path, watch)

    assert found.account is None
    assert watch.notes == ["too few calibration items to search by; the recipe is taken as it is"]


def test_a_limit_that_nothing_meets_is_told_in_each_rung(
    pieces: list[making.Piece], tmp_path: Path
) -> None:
    source = bundles.source(layers=())
    request = order(limits=Limits(size_mb=1e-6))
    held = pictures(tmp_path, 20)
    found = trials.quantize(pieces, held, source, request, RECIPE, tmp_path, Silent())

    assert found.account is not None and found.account["ended"] == "tried"
    for rung in found.account["rungs"]:
        assert all("more than the 1e-06 MB allowed" in a["exceeds"][0] for a in rung["artifacts"])


@pytest.mark.parametrize(
    ("metrics", "activation", "loss"),
    [
        ({"relative_error": 3.0}, "linear", 3.0),
        ({"relative_error": None}, "linear", float("inf")),
        ({"agreement": 90.0, "sqnr_db": 20.0, "mean_kl": 5.0}, "linear", 10.0),
        ({"agreement": 90.0, "sqnr_db": 20.0, "mean_kl": 0.01}, "softmax", 1.0),
        ({"agreement": 9.0, "sqnr_db": None, "mean_kl": None}, "softmax", float("inf")),
        ({"agreement": 100.0, "sqnr_db": None, "mean_kl": 0.0, "max_relative_difference": 0.0},
         "softmax", 0.0),
    ],
)  # fmt: skip
def test_the_loss_is_of_all_scores(metrics: Any, activation: Any, loss: float) -> None:
    verdict = ArtifactVerdict("model.onnx", "onnx", "int8", "pass", False, "", metrics)

    assert trials._loss(verdict, activation) == pytest.approx(loss)
