"""Two classifiers of which one ends in its softmax."""

from pathlib import Path

import numpy as np
import pytest

from edgeconv.types import Array
from edgeconv.verify.heads import ENDED, UNLIKE, ended, unlike_heads
from edgeconv.verify.stored import Given
from tests import bundles

SCORES = np.random.default_rng(0).normal(0, 3, (600, 10)).astype(np.float32)
PROBABILITIES = np.exp(SCORES) / np.exp(SCORES).sum(axis=1, keepdims=True)


def given(folder: Path, ours: Array, theirs: Array) -> list[Given]:
    return [Given(artifact, [ours], [theirs]) for artifact in bundles.artifacts(folder)]


@pytest.mark.parametrize(
    ("ours", "theirs", "keeps_head", "note"),
    [
        (PROBABILITIES, SCORES, True, ENDED),
        (np.round(PROBABILITIES * 256) / 256, SCORES, True, ENDED),
        (SCORES, PROBABILITIES, False, UNLIKE),
        (PROBABILITIES, PROBABILITIES, True, ""),
        (SCORES, SCORES, False, ""),
    ],
)
def test_a_softmax_on_one_side_alone_is_noticed(tmp_path, ours, theirs, keeps_head, note):
    assert unlike_heads(given(tmp_path, ours, theirs), keeps_head) == note


def test_a_softmax_that_a_bundle_does_not_declare_is_a_fault_not_a_likeness(tmp_path):
    assert unlike_heads(given(tmp_path, PROBABILITIES, SCORES), keeps_head=False) == ""


def test_a_single_unit_and_a_map_are_left_alone(tmp_path):
    single, places = np.full((4, 1), 0.5), np.full((4, 2, 2, 2), 0.125)
    assert unlike_heads(given(tmp_path, single, single - 3), keeps_head=True) == ""
    assert unlike_heads(given(tmp_path, places, places - 3), keeps_head=True) == ""


def test_the_reference_is_sent_through_a_softmax_block_by_block(tmp_path):
    for each in ended(given(tmp_path, PROBABILITIES, SCORES), tmp_path):
        assert np.allclose(each.reference[0][0:600], PROBABILITIES, atol=1e-6)
