from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data.builtin import open_builtin
from edgeconv.load.random_weights import few_pictures
from edgeconv.load.zoo import find, preprocess_for
from edgeconv.workshop import Workshop

SIZE = 64


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with Workshop(tmp_path_factory.mktemp("workshop")) as workshop:
        yield workshop


def opened(workshop: Workshop, folder: Path, name: str, seed: int = 0) -> None:
    workshop.call(
        "edgeconv.load.child:open_zoo", constructor=find(name).constructor, size=SIZE,
        classes=10, alpha=1.0, top=True, weights=None, seed=seed,
        out=str(folder / "graph.pb"), keep_head=False,
    )  # fmt: skip


def answers(workshop: Workshop, folder: Path, name: str) -> np.ndarray:
    """Logits of pictures that the weights were not set by, float32 [8, 10]."""
    parity = open_builtin(preprocess_for(find(name), SIZE, SIZE), "parity").take(8)
    np.save(folder / "x.npy", next(iter(parity.batches(8))).x[0])
    workshop.call(
        "edgeconv.load.child:predict",
        inputs=[str(folder / "x.npy")], outputs=[str(folder / "y.npy")],
    )  # fmt: skip
    return np.load(folder / "y.npy")


def test_fewer_pictures_are_taken_where_they_are_large_but_two_at_least():
    assert few_pictures(preprocess_for(find("mobilenetv2"))).shape == (8, 224, 224, 3)
    assert few_pictures(preprocess_for(find("efficientnetb7"))).shape == (2, 600, 600, 3)


def test_pictures_are_taken_that_differ_most():
    x = few_pictures(preprocess_for(find("mobilenetv2"), 32, 32)).reshape(8, -1)
    apart = np.abs(x[:, None] - x[None]).mean(axis=2)[~np.eye(8, dtype=bool)]
    assert apart.min() > 0.3  # of inputs in -1..1


# NASNetMobile and SqueezeNet have the traps of NASNetLarge and VGG, and are small.
@pytest.mark.parametrize("name", ["convnexttiny", "efficientnetb0", "nasnetmobile", "squeezenet11"])
def test_logits_of_a_random_model_differ_from_picture_to_picture(
    workshop: Workshop, tmp_path: Path, name: str
):
    opened(workshop, tmp_path, name)
    logits = answers(workshop, tmp_path, name)
    magnitude = np.sqrt((logits**2).mean())
    # As the constructor leaves it, 1e-12 of MobileNetV2's; a fifth is what int8 can follow.
    assert logits.std(axis=0).mean() > 0.2 * magnitude
    # Signals neither fade nor grow beyond what a classifier's logits are.
    assert 0.1 < magnitude < 30


def test_random_weights_follow_the_seed(workshop: Workshop, tmp_path: Path):
    def logits(seed: int) -> np.ndarray:
        opened(workshop, tmp_path, "mobilenetv3small", seed)
        return answers(workshop, tmp_path, "mobilenetv3small")

    first = logits(0)
    np.testing.assert_array_equal(first, logits(0))
    assert not np.array_equal(first, logits(1))
