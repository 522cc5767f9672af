from pathlib import Path

import numpy as np

from edgeconv.load.random_weights import noise
from edgeconv.load.zoo import find, preprocess_for
from edgeconv.workshop import Workshop


def test_noise_is_as_the_model_takes_pictures_and_follows_the_seed():
    preprocess = preprocess_for(find("mobilenetv2"), 70, 70)
    x = noise(preprocess, 0)
    assert x.shape == (4, 70, 70, 3) and x.dtype == np.float32
    assert -1 <= x.min() < -0.9 and 0.9 < x.max() <= 1
    np.testing.assert_array_equal(x, noise(preprocess, 0))
    assert not np.array_equal(x, noise(preprocess, 1))


def test_a_random_zoo_model_tells_pictures_apart(tmp_path: Path):
    x = np.random.default_rng(3).uniform(-1, 1, (4, 64, 64, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", x)
    with Workshop(tmp_path) as workshop:
        workshop.call(
            "edgeconv.load.child:open_zoo", constructor="MobileNetV2", size=64, classes=10,
            alpha=1.0, top=True, weights=None, seed=0,
            out=str(tmp_path / "graph.pb"), keep_head=False,
        )  # fmt: skip
        workshop.call(
            "edgeconv.load.child:predict",
            inputs=[str(tmp_path / "x.npy")], outputs=[str(tmp_path / "y.npy")],
        )  # fmt: skip
    logits = np.load(tmp_path / "y.npy")
    # As the constructor leaves it, 1e-12: less than float32 resolves beside a bias.
    assert logits.std(axis=0).mean() > 0.01
