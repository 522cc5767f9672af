"""A bundle with rescaled channels, explained against the original, which has its own scales."""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv import data, load, making
from edgeconv.progress import Silent
from edgeconv.targets import TARGETS
from edgeconv.types import Array, Artifact, ArtifactVerdict, FloatGraph, Recipe, SourceModel
from edgeconv.verification.candidate import Candidate, read_candidate
from edgeconv.verification.explain import Explainer
from edgeconv.verification.reference import Reference
from edgeconv.verify import Given
from edgeconv.workshop import Workshop
from tests import bundles
from tests.conftest import ROOT
from tests.faults.layer_faults import kernel_scale_doubled
from tests.faults.onnx_parts import OnnxModel
from tests.faults.tflite_parts import TfliteModel

RECIPE = Recipe(passes=("equalize", "lift_channels", "correct_bias"))
MODELS: dict[str, Any] = {"tflite": TfliteModel, "onnx": OnnxModel}


@dataclass(frozen=True)
class Twin:
    """A sabotaged model and the bundle that was made of it."""

    source: SourceModel
    workshop: Workshop
    x: Array
    bundle: Path

    def explained(self, bundle: Path, folder: Path) -> dict[str, tuple[Any, ...]]:
        """The layers of both artifacts by format, worst first."""
        found = {}
        candidate = read_candidate(bundle, folder)
        for artifact, _ in candidate.entries:
            found[artifact.format] = self.layers(candidate, artifact, folder)
        return found

    def layers(self, candidate: Candidate, artifact: Artifact, folder: Path) -> tuple[Any, ...]:
        items = data.ready_items([self.x], self.source.preprocess, "x")
        reference = Reference(self.source, items, {})
        explainer = Explainer(candidate, reference, self.workshop, folder, Silent())
        verdict = ArtifactVerdict(
            artifact.path.name, artifact.format, artifact.precision, "pass", False, "", {}
        )
        return explainer.blamed(verdict, Given(artifact, (), ())).layers


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twin]:
    rng = np.random.default_rng(3)
    x = rng.normal(size=(32, 12, 12, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        folder = Path(name)
        with Workshop(folder) as workshop:
            source, made = exported(workshop, folder, x)
            bundle = bundles.make_bundle(
                tmp_path_factory.mktemp("bundle"),
                source=source,
                artifacts=made,
                recipe=RECIPE,
                golden_inputs=[x[:3]],
            )
            yield Twin(source, workshop, x, bundle)


def exported(workshop: Workshop, folder: Path, x: Array) -> tuple[SourceModel, list[Artifact]]:
    models = "tests.unit.prepare.rescaled_models:save_model"
    workshop.call(models, which="streams", out=str(folder / "sound.keras"))
    path = folder / "twin.keras"
    workshop.call("tests.twins:save_twin", model=str(folder / "sound.keras"), seed=2, out=str(path))
    request = load.LoadRequest(str(path), preprocess="array")
    source = load.load(request, workshop, folder, Silent())
    items = data.ready_items([x], source.preprocess, "x")
    made = []
    for target in TARGETS.values():
        graph: FloatGraph = target.lower(source, workshop, folder)
        piece = making.observe(graph, items, RECIPE, Silent())
        assert making.suited(piece, RECIPE).graph is not graph
        made.append(making.make(piece, RECIPE, folder)[0])
    return source, made


def test_no_layer_of_a_sound_file_looks_wrong(twin: Twin, tmp_path: Path) -> None:
    for format, layers in twin.explained(twin.bundle, tmp_path).items():
        worst = min(e["local_sqnr_db"] for e in layers if e["local_sqnr_db"] is not None)
        assert worst > 25, format
        assert not any("weights" in entry["reason"] for entry in layers), format


def test_a_file_that_says_nothing_of_its_passes_is_held_against_the_original_as_it_is(
    twin: Twin, tmp_path: Path
) -> None:
    candidate = read_candidate(twin.bundle / "model.onnx", tmp_path)
    (artifact, _), *_ = candidate.entries

    layers = twin.layers(candidate, artifact, tmp_path)

    assert artifact.recipe.passes == ()
    assert any("times what they should be" in entry["reason"] for entry in layers)


@pytest.mark.parametrize("layer", ["stem", "depthwise", "project", "head"])
def test_the_broken_layer_of_a_rescaled_file_comes_first(
    twin: Twin, tmp_path: Path, layer: str
) -> None:
    candidate = read_candidate(twin.bundle, tmp_path)
    for artifact, _ in candidate.entries:
        model = MODELS[artifact.format](artifact.path.read_bytes())
        model[layer] = kernel_scale_doubled(model[layer])
        path = tmp_path / artifact.path.name
        path.write_bytes(model.to_bytes())

        first, *others = twin.layers(candidate, replace(artifact, path=path), tmp_path)

        assert first["name"] == layer, artifact.format
        assert first["local_sqnr_db"] < 10, artifact.format
        assert first["reason"] == "its weights are 2 times what they should be", artifact.format
        assert not any("times what they" in entry["reason"] for entry in others), artifact.format
