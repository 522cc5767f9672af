"""edgeconv embed: the same vectors from the original and from its bundle."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.command import Outcome

Run = Callable[..., Outcome]


@pytest.fixture
def some(pictures: Path) -> list[Path]:
    return sorted(pictures.glob("*/0[0-3].png"))


def vectors(path: Path) -> np.ndarray:
    with np.load(path, allow_pickle=False) as file:
        assert file["vectors"].dtype == np.float32
        assert len(file["files"]) == len(file["vectors"])
        return np.asarray(file["vectors"])


def test_a_headless_zoo_model_and_its_bundle_give_alike_vectors(
    run: Run, some: list[Path], pictures: Path, tmp_path: Path
) -> None:
    small = ("--weights", "none", "--input-size", "32")
    exported = run(
        "export", "mobilenet", *small, "--alpha", "0.25", "--no-top", "--fp32", "--format", "onnx",
        "--parity", pictures, "--output", "b",
    )  # fmt: skip
    assert exported.code == 0, exported.stderr
    done = run("embed", tmp_path / "b", *some, "--output", "b.npz", "--json")
    assert done.code == 0, done.stderr
    assert json.loads(done.stdout)["pictures"] == len(some)
    theirs = vectors(tmp_path / "b.npz")
    assert theirs.shape == (len(some), 256)
    assert np.std(theirs, axis=0).max() > 0

    wrong = run("embed", tmp_path / "b", *some, "--output", "c.npz", "--weights", "none")
    assert wrong.code == 2 and "--weights is of no use" in wrong.stderr


def test_a_model_file_without_classes_is_taken_as_it_is(
    run: Run, models: Path, bundle: Path, some: list[Path], tmp_path: Path
) -> None:
    done = run(
        "embed", models / "colours.keras", *some, "--preprocess", "unit", "--output", "v.npz"
    )
    assert done.code == 2 and "classification" in done.error_lines()[0]
    done = run("embed", bundle, *some, "--output", "v.npz")
    assert done.code == 2 and "--no-top" in done.error_lines()[1]
    assert not (tmp_path / "v.npz").exists()
    done = run("embed", bundle, *some, "--output", "v.txt")
    assert done.code == 2 and ".npz" in done.error_lines()[0]
