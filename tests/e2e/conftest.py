"""The real command line, and small models and pictures for it."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.e2e.command import Outcome, edgeconv

CLASS_NAMES = ("red", "green", "blue")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder that make_models.py fills, built once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "models"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "vectors.npz").exists():
            script = Path(__file__).with_name("make_models.py")
            subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures, one subfolder a class, 20 each."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(7)
    for index, name in enumerate(CLASS_NAMES):
        (folder / name).mkdir()
        for number in range(20):
            pixels = rng.integers(0, 150, (16, 16, 3))
            pixels[:, :, index] += 90
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{number:02}.png")
    return folder


@pytest.fixture(scope="session")
def labels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("labels") / "colours.txt"
    path.write_text("\n".join(CLASS_NAMES) + "\n")
    return path


@pytest.fixture(scope="session")
def bundle(
    models: Path, pictures: Path, labels: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """An int8 bundle of the colour classifier; tests must not change it."""
    folder = tmp_path_factory.mktemp("bundle") / "colours-int8"
    done = edgeconv(
        "export", models / "colours.keras", "--preprocess", "unit", "--labels", labels,
        "--calibration", pictures, "--output", folder,
    )  # fmt: skip
    assert done.code == 0, done.stderr
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Outcome]:
    """The command line in an empty folder of its own."""

    def call(*arguments: object, **options: object) -> Outcome:
        return edgeconv(*arguments, cwd=tmp_path, **options)

    return call


@pytest.fixture(scope="session", autouse=True)
def _no_proxy() -> None:
    os.environ["NO_PROXY"] = "127.0.0.1,localhost"
