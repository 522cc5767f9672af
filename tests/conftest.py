"""Fixtures that more than one test module needs."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.environments import environment

__all__ = ["ROOT", "environment", "shared_data"]

ROOT = Path(__file__).resolve().parent.parent

# A change is judged by the same cases every time; new ones are looked for on purpose:
# HYPOTHESIS_PROFILE=explore pytest
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("explore", max_examples=1000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Tests neither find nor leave anything in the cache of whoever runs them."""
    os.environ["EDGECONV_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real models and pictures; the test skips where it is absent."""
    folder = Path(os.environ.get("EDGECONV_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "SHA256SUMS").is_file():
        pytest.skip(f"needs the real models and pictures of EDGECONV_DATA (looked in {folder})")
    return folder.resolve()
