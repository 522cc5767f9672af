"""Virtual environments as devices have them, kept between runs by what is in them."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_CONSTRAINTS = Path(__file__).resolve().parent.parent / "constraints.txt"


@pytest.fixture
def environment(request: pytest.FixtureRequest) -> Any:
    """Makes virtual environments, kept between runs by what is in them."""
    folder = request.config.cache.mkdir("environments")

    def make(*packages: str, base: Path = Path(sys.executable)) -> Path:
        wanted = [_pinned(package) for package in packages]
        key = hashlib.sha256(repr((sys.version, str(base), wanted)).encode()).hexdigest()[:16]
        python = folder / key / "bin" / "python"
        if not (folder / key / "ready").exists():
            shutil.rmtree(folder / key, ignore_errors=True)
            subprocess.run([base, "-m", "venv", folder / key], check=True)
            _install(python, wanted)
            (folder / key / "ready").write_text("\n".join(wanted))
        return python

    return make


def _pinned(package: str) -> str:
    if "=" in package or "<" in package:
        return package
    lines = _CONSTRAINTS.read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{package}=="))


def _install(python: Path, wanted: list[str]) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, env=clean)
    if done.returncode and any(
        words in done.stderr
        for words in ("from versions: none", "NewConnectionError", "NameResolutionError")
    ):
        pytest.skip(f"pip can't reach a package index for {' '.join(wanted)}")
    assert done.returncode == 0, done.stderr
