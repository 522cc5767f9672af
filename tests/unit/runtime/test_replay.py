"""The self-test finds a model that answers otherwise than it did."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import MissingDependency, RefusedInput, Unsupported
from edgeconv.package.golden import make_golden, npz_bytes
from edgeconv.runtime import replay
from edgeconv.runtime.checksums import SealedFolder
from edgeconv.runtime.replay import replay_golden
from edgeconv.runtime.session import read_manifest
from tests import bundles
from tests.unit.runtime.test_checksums import seal


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundles.make_bundle(tmp_path_factory.mktemp("replay"))


def with_golden(bundle: Path, folder: Path, golden: bytes) -> SealedFolder:
    files = {p.name: p.read_bytes() for p in bundle.iterdir() if p.name != "SHA256SUMS"}
    return SealedFolder(seal(folder / "changed", **{**files, "golden.npz": golden}))


def test_a_sound_bundle_passes_on_every_engine_here(bundle: Path) -> None:
    sealed = SealedFolder(bundle)
    replays = replay_golden(sealed, read_manifest(sealed))
    assert [(r.file, r.engine, r.samples) for r in replays] == [
        ("model.tflite", "litert", 3),
        ("model.onnx", "onnxruntime", 3),
    ]
    assert all(r.passed and r.tolerance > 0 for r in replays)
    (only,) = replay_golden(sealed, read_manifest(sealed), "onnxruntime")
    assert only.engine == "onnxruntime"


@pytest.mark.parametrize("bad", [1.0, np.nan])
def test_an_answer_that_differs_fails(bundle: Path, tmp_path: Path, bad: float) -> None:
    x = bundles.golden_inputs()
    y = bundles.logits(x)
    changed = y.copy()
    changed[1, 2] += bad
    golden = npz_bytes({"input_0": x, "model.tflite.output_0": changed, "model.onnx.output_0": y})
    sealed = with_golden(bundle, tmp_path, golden)
    outcome = {r.file: r.passed for r in replay_golden(sealed, read_manifest(sealed))}
    assert outcome == {"model.tflite": False, "model.onnx": True}


def test_a_golden_file_with_missing_or_misshapen_arrays_is_refused(
    bundle: Path, tmp_path: Path
) -> None:
    x, y = bundles.golden_inputs(), bundles.logits(bundles.golden_inputs())
    for arrays in (
        {},
        {"input_0": x},
        {"input_0": x, "model.tflite.output_0": y[:1], "model.onnx.output_0": y},
    ):
        sealed = with_golden(bundle, tmp_path, npz_bytes(arrays))
        with pytest.raises(RefusedInput, match="golden"):
            replay_golden(sealed, read_manifest(sealed))


def test_no_engine_is_not_a_pass(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = SealedFolder(bundle)
    monkeypatch.setattr(replay, "installed_engines", lambda format: [])
    with pytest.raises(MissingDependency):
        replay_golden(sealed, read_manifest(sealed))


def test_an_engine_without_a_file_is_not_a_pass(tmp_path: Path) -> None:
    only = bundles.artifact(tmp_path / "a.onnx", "onnx", bundles.onnx_bytes())
    sealed = SealedFolder(bundles.make_bundle(tmp_path, artifacts=[only]))
    with pytest.raises(Unsupported, match="litert opens none"):
        replay_golden(sealed, read_manifest(sealed), "litert")


def test_the_tolerance_is_a_share_of_the_largest_output_by_precision(tmp_path: Path) -> None:
    parts = bundles.artifacts(tmp_path)
    data, tolerance = make_golden(parts, [bundles.golden_inputs()])
    peak = float(np.abs(bundles.logits(bundles.golden_inputs())).max())
    assert tolerance["model.tflite"] == pytest.approx(1e-3 * peak, rel=1e-5)
    assert data == make_golden(parts, [bundles.golden_inputs()])[0]
