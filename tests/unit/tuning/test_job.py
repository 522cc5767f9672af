"""What is wrong with an order, before anything slow begins; what a resumption must share."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.errors import UsageError
from edgeconv.finetune import Settings
from edgeconv.finetune.checkpoint import Checkpoint, Store
from edgeconv.tuning import FinetuneRequest, finetune
from edgeconv.tuning.job import _refuse_other
from edgeconv.tuning.order import training_folder

IDENTITY = {
    **{"base": "mobilenetv2", "size": 96, "weights": "random", "weights_sha256": ""},
    **Settings().to_json(),
    "pictures": "abc",
}


@pytest.fixture
def order(tmp_path: Path) -> FinetuneRequest:
    return FinetuneRequest("mobilenetv2", tmp_path / "data", tmp_path / "m.keras", weights="none")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"base": "mobilenetv9"}, "mobilenetv9"),
        ({"base": "flowers.keras"}, "BASE is a name of the zoo"),
        ({"base": "vgg16", "alpha": 0.5}, "vgg16 has none"),
        ({"size": 31}, "32 pixels or more"),
        ({"output": Path("m.h5")}, r"writes \.keras"),
        ({"output": Path("absent/m.keras")}, "no folder absent"),
        ({"resume": True}, "no training that could be resumed"),
        ({}, "data does not exist"),
    ],
)
def test_a_wrong_order_is_refused(order: FinetuneRequest, change, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        finetune(replace(order, **change))


def test_an_unfinished_training_is_neither_forgotten_nor_mistaken_for_done(
    order: FinetuneRequest,
) -> None:
    folder = training_folder(order.output)
    folder.mkdir()
    Store(folder).write(Checkpoint(IDENTITY))
    with pytest.raises(UsageError, match="not finished") as caught:
        finetune(order)
    assert "--resume" in caught.value.hint and "--force" in caught.value.hint


def test_a_resumption_of_the_same_order_is_let_through() -> None:
    _refuse_other(IDENTITY, dict(IDENTITY), Path("m-training"))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("base", "vgg16", "BASE differs"),
        ("size", 128, r"--size differs \(128, now 96\)"),
        ("alpha", 0.5, "--alpha differs"),
        ("unfreeze", 20, "--unfreeze differs"),
        ("seed", 1, "--seed differs"),
        ("weights_sha256", "f00", "the weights' file differs"),
        ("pictures", "def", "the set of pictures differs"),
    ],
)
def test_what_a_resumption_must_share_is_named(key: str, value: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        _refuse_other({**IDENTITY, key: value}, IDENTITY, Path("m-training"))
