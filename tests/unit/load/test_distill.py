"""Calibration inputs made from what BatchNorms remember."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeconv import load
from edgeconv.cache import Cache
from edgeconv.errors import Unsupported
from edgeconv.load.distill import _plan
from edgeconv.progress import Silent
from edgeconv.types import SourceModel
from edgeconv.workshop import Workshop
from tests.unit.load import distill_models

CALLS = distill_models.__name__


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        with Workshop(tmp_path_factory.mktemp("workshop")) as child:
            yield child


@pytest.fixture(scope="module")
def models(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for kind in ("nested", "arrays", "words", "normless"):
        path = str(folder / f"{kind}.keras")
        workshop.call(f"{CALLS}:save", kind=kind, path=path, how="keras")
    workshop.call(f"{CALLS}:save", kind="nested", path=str(folder / "saved"), how="saved_model")
    return folder


@pytest.fixture(scope="module")
def pictures(
    workshop: Workshop, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> np.ndarray:
    """Of the nested model, seed 0: float32 [32, 16, 16, 3]."""
    return made(workshop, models / "nested.keras", tmp_path_factory.mktemp("made")).x[0]


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    """What the pictures began as, nearly."""
    random = np.random.default_rng(9)
    return random.normal(127.5, 64, (32, 16, 16, 3)).clip(0, 255).astype(np.float32)


class Notes(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.steps, self.total = 0, 0

    def stage(self, title: str, total: int | None = None) -> None:
        self.total += total or 0

    def advance(self, steps: int = 1) -> None:
        self.steps += steps

    def note(self, text: str) -> None:
        self.lines.append(text)


def opened(workshop: Workshop, model: Path, folder: Path, **wishes: Any) -> SourceModel:
    wishes = {"preprocess": "none", **wishes}
    return load.load(load.LoadRequest(str(model), **wishes), workshop, folder, Silent())


def made(
    workshop: Workshop, model: Path, folder: Path, seed: int = 0, **wishes: Any
) -> load.Synthesis:
    source = opened(workshop, model, folder, **wishes)
    return load.synthesise(source, seed, workshop, folder, Silent())


def kept(path: Path, x: Any) -> str:
    np.save(path, x)
    return str(path)


def test_every_norm_sees_nearly_what_it_saw_in_training(
    workshop: Workshop, models: Path, tmp_path: Path, pictures: np.ndarray, noise: np.ndarray
) -> None:
    model = str(models / "nested.keras")
    far = workshop.call(f"{CALLS}:gaps", path=model, x=kept(tmp_path / "x.npy", noise))
    near = workshop.call(f"{CALLS}:gaps", path=model, x=kept(tmp_path / "x.npy", pictures))
    assert near["inner"] < 0.3 * far["inner"] and near["outer"] < 0.3 * far["outer"], (far, near)


def test_pictures_lie_between_black_and_white_and_differ(
    workshop: Workshop, models: Path, tmp_path: Path, pictures: np.ndarray
) -> None:
    x = pictures
    assert x.shape == (32, 16, 16, 3) and x.dtype == np.float32
    assert x.min() >= 0 and x.max() <= 255
    assert np.abs(x[:1] - x[1:]).mean(axis=(1, 2, 3)).min() > 1
    unit = made(workshop, models / "nested.keras", tmp_path, preprocess="unit").x[0]
    assert unit.min() >= 0 and unit.max() <= 1


def test_a_classifier_is_surer_of_them_than_of_noise_and_more_classes_occur(
    workshop: Workshop, models: Path, tmp_path: Path, pictures: np.ndarray, noise: np.ndarray
) -> None:
    model = str(models / "nested.keras")
    sure, unsure = (
        np.array(workshop.call(f"{CALLS}:answers", path=model, x=kept(tmp_path / "x.npy", x)))
        for x in (pictures, noise)
    )
    assert sure.max(1).mean() > unsure.max(1).mean()
    assert len(set(sure.argmax(1))) > len(set(unsure.argmax(1)))


def test_the_same_seed_makes_the_same_inputs_and_another_others(
    workshop: Workshop, models: Path, tmp_path: Path, pictures: np.ndarray
) -> None:
    same, other = (made(workshop, models / "nested.keras", tmp_path, seed) for seed in (0, 1))
    assert pictures.tobytes() == same.x[0].tobytes()
    assert np.abs(pictures - other.x[0]).mean() > 1
    assert other.origin == "synthesised from BatchNorm statistics (ZeroQ), seed 1"


def test_several_inputs_of_an_unknown_scale_find_it(
    workshop: Workshop, models: Path, tmp_path: Path
) -> None:
    found = made(workshop, models / "arrays.keras", tmp_path, preprocess="array")
    assert [x.shape for x in found.x] == [(32, 12), (32, 7)]
    for x in found.x:
        assert 20 < x.std() < 80, "the norm saw features with a deviation of 40"


def test_it_says_so_and_leaves_the_model_as_it_was_and_is_kept_in_the_cache(
    workshop: Workshop, models: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    source = opened(workshop, models / "arrays.keras", tmp_path, preprocess="array")
    inputs = [kept(tmp_path / f"x{n}.npy", np.ones((2, n), np.float32)) for n in (12, 7)]

    def answer() -> bytes:
        out = str(tmp_path / "y.npy")
        workshop.call("edgeconv.load.child:predict", inputs=inputs, outputs=[out])
        return np.load(out).tobytes()

    before, notes = answer(), [Notes(), Notes()]
    workshop.cache = Cache(folder, 1 << 30)
    try:
        first, second = (
            load.synthesise(source, 0, workshop, tmp_path, listener) for listener in notes
        )
    finally:
        workshop.cache = None
    assert answer() == before
    assert notes[0].steps == notes[0].total > 0 and notes[1].steps == 0
    assert notes[0].lines == notes[1].lines
    assert "no data was read" in notes[0].lines[0] and "1 BatchNorms" in notes[0].lines[0]
    for one, other in zip(first.x, second.x, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("model", "cause"),
    [
        ("normless.keras", "no BatchNorm"),
        ("words.keras", "no gradient"),
        ("saved", "SavedModel"),
    ],
)
def test_a_model_that_remembers_nothing_is_refused_with_a_remedy(
    workshop: Workshop, models: Path, tmp_path: Path, model: str, cause: str
) -> None:
    source = opened(
        workshop, models / model, tmp_path, preprocess="array" if "words" in model else "none"
    )
    with pytest.raises(Unsupported, match=cause) as caught:
        load.synthesise(source, 0, workshop, tmp_path, Silent())
    assert caught.value.exit_code == 4
    assert "--calibration DATA" in caught.value.hint


@pytest.mark.parametrize("activations", [1, 10**5, 27 * 10**6, 10**8, 10**9, 10**12])
def test_the_work_is_bounded_whatever_the_model(activations: int) -> None:
    assert _plan(activations, near=True) == (*_plan(activations, near=False)[:2], 50)
    batch, groups, steps = _plan(activations, near=False)
    assert 50 <= steps <= 300
    assert 8 <= batch * groups < 32 + batch
    assert batch == 1 or batch * activations <= 3 << 26
    assert batch * groups <= 8 + batch or batch * groups * activations * steps <= 50 * 5 << 27
