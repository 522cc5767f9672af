"""The usual mistakes, made with MLPerf Tiny's ResNet8 and named again."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edgeconv.data import Items, open_dataset
from edgeconv.preprocess import Preprocess
from edgeconv.runtime import Model, open_model
from edgeconv.types import Array
from edgeconv.verify.skew import Suspicion, suspect

PIXELS = Preprocess(height=32, width=32, resize="stretch", filter="bilinear")
IMAGENET = (-123.675, -116.28, -103.53)
FILES = ("pretrainedResnet.tflite", "pretrainedResnet_quant.tflite")
SUBSETS = range(3)


@cache
def opened(path: Path) -> Model:
    return open_model(path.read_bytes(), "tflite")


@cache
def pictures(shared_data: Path, subset: int) -> Items:
    spec = f"{shared_data / 'cifar10' / 'cifar10_sample.npz'}:test"
    items = open_dataset(spec, PIXELS, classes=10)
    return items.select([subset * 7 + position * 80 for position in range(24)])


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Items:
    """24 pictures of 80 x 60, which a crop and a filter change."""
    from PIL import Image

    with np.load(shared_data / "cifar10" / "cifar10_sample.npz") as held:
        x = [Image.fromarray(pixels) for pixels in held["x_test"][::80][:24]]
    path = tmp_path_factory.mktemp("large") / "large.npz"
    np.savez(path, x=[np.asarray(i.resize((80, 60), Image.Resampling.BICUBIC)) for i in x])
    return open_dataset(str(path), PIXELS, classes=10)


def asked(
    shared_data: Path, file: str, items: Items, mine: Preprocess, *, known: bool = True
) -> tuple[Suspicion, ...]:
    folder = shared_data / "mlperf-tiny" / "image_classification"
    candidate, reference = opened(folder / file), opened(folder / FILES[0])
    return suspect(
        candidate,
        items.with_preprocess(mine),
        mine,
        truth_of(reference, items),
        theirs=PIXELS if known else None,
        activation="linear",
        inputs=candidate.inputs,
    )


def truth_of(model: Model, items: Items) -> Array:
    """Logits: the published files keep their softmax."""
    return np.asarray(model(*next(items.batches(len(items))).x)[0])


FAULTS: dict[str, tuple[str, Callable[[Preprocess], Preprocess]]] = {
    "BGR": ("channel-order", lambda p: replace(p, color="bgr")),
    "a mean subtracted": ("mean", lambda p: replace(p, offset=IMAGENET)),
    "half the range subtracted": ("mean", lambda p: replace(p, offset=(-127.5,))),
    "0 to 1": ("scale", lambda p: replace(p, scale=(1 / 255,))),
    "-1 to 1": ("scale", lambda p: replace(p, scale=(1 / 127.5,), offset=(-1.0,))),
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("known", [True, False], ids=["known", "guessed"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_input_is_named(shared_data: Path, file: str, known: bool, fault: str):
    kind, mistake = FAULTS[fault]
    for subset in SUBSETS:
        items = pictures(shared_data, subset)
        found = asked(shared_data, file, items, mistake(PIXELS), known=known)
        assert [each.kind for each in found] == [kind], found
        assert found[0].before is not None


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize(
    ("kind", "mistake"),
    [
        ("crop", {"resize": "crop", "crop_fraction": 0.875}),
        ("crop", {"resize": "crop", "crop_fraction": 0.5}),
        ("resize-filter", {"filter": "nearest"}),
    ],
)
def test_crop_and_filter_are_told_apart(
    shared_data: Path, large: Items, file: str, kind: str, mistake: dict[str, object]
):
    for known in (True, False):
        found = asked(shared_data, file, large, replace(PIXELS, **mistake), known=known)
        assert [each.kind for each in found] == [kind], found


@pytest.mark.parametrize("file", FILES)
def test_two_mistakes_at_once_are_named_together(shared_data: Path, large: Items, file: str):
    mine = replace(PIXELS, color="bgr", offset=tuple(reversed(IMAGENET)))
    (found,) = asked(shared_data, file, large, mine, known=False)
    assert {found.kind, found.also} == {"mean", "channel-order"}
    assert "BGR input to a model that takes RGB" in found.sentence and " and " in found.sentence


@pytest.mark.parametrize("file", FILES)
def test_a_sound_model_is_suspected_of_nothing(shared_data: Path, file: str):
    for subset in SUBSETS:
        assert asked(shared_data, file, pictures(shared_data, subset), PIXELS) == ()


def test_the_sentence_has_both_figures(shared_data: Path):
    items = pictures(shared_data, 0)
    (found,) = asked(shared_data, FILES[0], items, replace(PIXELS, color="bgr"))
    assert found.sentence == (
        f"Looks like BGR input to a model that takes RGB: agreement {found.before:.0f}% → "
        f"{found.after:.0f}% when swapped."
    )
    assert found.before is not None and found.before < 95 < found.after


class Broken:
    """ResNet8 whose answers are those of a model that lost its way."""

    def __init__(self, model: Model, noise: float) -> None:
        self._model = model
        self._noise = noise

    def __call__(self, x: Array) -> list[Array]:
        logits = np.log(np.maximum(self._model(x)[0], 1e-6)).astype(np.float64)
        # The same error on the same pixels, whatever the hypothesis: no seed helps it.
        generator = np.random.default_rng(abs(int(x.sum())) % 2**32)
        return [logits + self._noise * logits.std() * generator.normal(size=logits.shape)]


@pytest.mark.parametrize("noise", [0.5, 1.5])
def test_a_model_that_is_merely_bad_raises_no_false_alarm(shared_data: Path, noise: float):
    model = opened(shared_data / "mlperf-tiny" / "image_classification" / FILES[0])
    for subset in SUBSETS[:2]:
        items = pictures(shared_data, subset)
        truth = np.log(np.maximum(truth_of(model, items), 1e-6))
        found = suspect(
            Broken(model, noise), items, PIXELS, truth, theirs=PIXELS, activation="softmax"
        )
        assert found == (), [each.sentence for each in found]


def test_classes_in_a_random_order_are_no_skew(shared_data: Path):
    folder = shared_data / "mlperf-tiny" / "image_classification"
    model, items = opened(folder / FILES[0]), pictures(shared_data, 1)
    truth = truth_of(model, items)
    permuted = np.random.default_rng(3).permutation(10)

    def stranger(x: Array) -> list[Array]:
        return [model(x)[0][:, permuted]]

    assert suspect(stranger, items, PIXELS, truth) == ()


def test_a_layout_that_the_file_refuses_is_named(shared_data: Path):
    found = asked(shared_data, FILES[0], pictures(shared_data, 0), replace(PIXELS, layout="nchw"))
    assert found[0].kind == "layout" and found[0].before is None
    assert found[0].sentence.startswith("Looks like another axis order")


def test_bytes_that_were_reshaped_instead_of_transposed_are_named(shared_data: Path):
    folder = shared_data / "mlperf-tiny" / "image_classification"
    model, items = opened(folder / FILES[0]), pictures(shared_data, 0)

    def mixed(x: Array) -> list[Array]:
        return [model(np.ascontiguousarray(x.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)))[0]]

    (found,) = suspect(mixed, items, PIXELS, truth_of(model, items), theirs=PIXELS)
    assert found.kind == "layout" and found.after == 100.0


def test_features_left_in_the_integers_of_the_file_are_named(shared_data: Path):
    folder = shared_data / "mlperf-tiny" / "keyword_spotting"
    data = next((shared_data / "mlperf-tiny").rglob("kws01.npz"))
    model = opened(next(folder.rglob("kws_ref_model.tflite")))
    right = Preprocess(kind="array", scale=(0.58470291,), offset=(-83 * 0.58470291,))
    items = open_dataset(str(data), right, classes=12).take(24)
    truth = truth_of(model, items)
    wrong = replace(right, scale=(1.0,), offset=(0.0,))
    for theirs in (right, None):
        (found,) = suspect(
            model, items, wrong, truth, theirs=theirs, inputs=model.inputs, activation="linear"
        )
        assert found.kind == "scale" and "x * 0.585" in found.sentence
