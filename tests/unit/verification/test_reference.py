"""The original of a bundle, as the bundle itself tells it."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.progress import Silent
from edgeconv.verification.candidate import Candidate, read_candidate
from edgeconv.verification.reference import _warn_of_another, from_provenance
from tests import bundles


class Notes(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def candidate(tmp_path: Path) -> Candidate:
    return read_candidate(bundles.make_bundle(tmp_path), tmp_path / "scratch")


def test_a_zoo_model_is_opened_at_the_size_of_the_bundle(candidate: Candidate) -> None:
    made = replace(candidate, provenance={"zoo": "mobilenetv2", "weights": "random", "seed": 3})

    request = from_provenance(made)

    assert (request.model, request.weights, request.seed) == ("mobilenetv2", "none", 3)
    assert request.input_size == bundles.SIZE


@pytest.mark.parametrize(("digest", "noted"), [("0" * 64, False), ("1" * 64, True)])
def test_an_original_that_is_another_file_is_named(
    candidate: Candidate, digest: str, noted: bool
) -> None:
    notes = Notes()
    here = bundles.source(provenance={"file": "newer.keras", "sha256": digest})

    _warn_of_another(candidate, here, notes)

    assert bool(notes.said) == noted
    assert not noted or ("tiny.keras" in notes.said[0] and "newer.keras" in notes.said[0])
