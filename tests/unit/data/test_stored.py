"""A dataset that lies on disk is the dataset."""

from pathlib import Path

import numpy as np

from edgeconv.data import Stored, open_dataset
from edgeconv.preprocess import Preprocess


def test_what_is_stored_is_what_was_read(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(37, 4)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(37) % 3)
    shapes = [(None, 4)]
    dataset = open_dataset(
        str(tmp_path / "x.npz"), Preprocess(kind="array"), classes=3, input_shapes=shapes
    )
    stored = Stored(dataset, tmp_path)

    assert (len(stored), stored.fingerprint, stored.labelled) == (37, dataset.fingerprint, True)
    for size in (1, 8, 100):
        for ours, theirs in zip(stored.batches(size), dataset.batches(size), strict=True):
            assert ours.ids == theirs.ids
            np.testing.assert_array_equal(ours.x[0], theirs.x[0])
            np.testing.assert_array_equal(ours.y, theirs.y)
    (item,) = next(stored.items([5]))
    np.testing.assert_array_equal(item, x[5:6])
