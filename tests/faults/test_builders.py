"""The builders: what they change, that it is sealed, and that the gate sees it on a small model."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgeconv.data import DataRequest
from edgeconv.preprocess import prepare_array
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.session import read_manifest
from edgeconv.verification import VerifyRequest, verify
from tests.bundles import PREPROCESS, SIZE, logits, make_bundle
from tests.faults.draft import Draft
from tests.faults.layer_faults import ANYWHERE, SPATIAL, WITH_OUTPUT, LayerFault, range_clipped
from tests.faults.parts import Parts
from tests.faults.skew_faults import SKEWS, Skew

LAYER_FAULTS = {**ANYWHERE, **WITH_OUTPUT, **SPATIAL}
#: Of the small model, whose pictures are twice its size.
PICTURES = 120


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("good"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures whose label is what the small model answers."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(PICTURES):
        pixels = rng.integers(0, 256, (2 * SIZE, 3 * SIZE, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        label = int(logits(prepare_array(PREPROCESS, pixels)).argmax())
        rows.append({"file": f"{number}.png", "class_index": label, "split": "test"})
    with (folder / "manifest.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder / "manifest.csv"


def test_an_unchanged_draft_passes_as_the_reference(
    good: Path, pictures: Path, tmp_path: Path
) -> None:
    copy = Draft.read(good).write(tmp_path / "copy")

    verdict = verify(VerifyRequest(copy, good, DataRequest(parity=f"{pictures}:test"))).verdict

    assert [a.status for a in verdict.artifacts] == ["pass", "pass"]
    assert all(artifact.equivalent for artifact in verdict.artifacts)


@pytest.mark.parametrize("skew", SKEWS, ids=lambda skew: skew.name)
def test_a_skewed_bundle_is_sealed_and_never_passes(
    good: Path, pictures: Path, tmp_path: Path, skew: Skew
) -> None:
    draft = Draft.read(good)
    skew.apply(draft)
    bundle = draft.write(tmp_path / "skewed")
    assert read_manifest(SealedFolder(bundle)).artifacts

    verdict = verify(VerifyRequest(bundle, good, DataRequest(parity=f"{pictures}:test"))).verdict

    assert {artifact.status for artifact in verdict.artifacts} == {"fail"}


def _parts() -> Parts:
    rng = np.random.default_rng(0)
    return Parts(
        kernel=rng.integers(-127, 128, (4, 3, 3, 2)).astype(np.int8),
        scales=rng.uniform(0.01, 0.02, 4).astype(np.float32),
        bias=rng.integers(-999, 999, 4).astype(np.int32),
        scale=0.1,
        zero_point=128,
    )


@pytest.mark.parametrize("fault", LAYER_FAULTS.values(), ids=LAYER_FAULTS)
def test_a_layer_fault_changes_numbers_and_no_shape(fault: LayerFault) -> None:
    good = _parts()

    broken = fault(good)

    for name in ("kernel", "scales", "bias"):
        assert getattr(broken, name).shape == getattr(good, name).shape
    same = [
        np.array_equal(getattr(broken, name), getattr(good, name))
        for name in ("kernel", "scales", "bias", "scale", "zero_point")
    ]
    assert not all(same)
    assert np.abs(broken.kernel).max() <= 128


def test_a_clipped_range_keeps_its_zero() -> None:
    assert range_clipped(_parts()).zero_point == _parts().zero_point
