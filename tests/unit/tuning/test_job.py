"""What is wrong with an order, before anything slow begins; what a resumption must share."""

from dataclasses import replace
from pathlib import Path

import pytest

from edgeconv.errors import RefusedInput, UsageError
from edgeconv.finetune import Settings
from edgeconv.finetune.checkpoint import Checkpoint, Store
from edgeconv.finetune.lock import locked
from edgeconv.tuning import FinetuneRequest, finetune
from edgeconv.tuning.identity import refuse_other
from edgeconv.tuning.order import training_folder
from tests.unit.tuning.test_pictures import fill

IDENTITY = {
    **{"base": "mobilenetv2", "size": 96, "weights": "random", "weights_sha256": ""},
    **Settings().to_json(),
    **{"pictures": "abc", "precision": "float32"},
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
    refuse_other(IDENTITY, dict(IDENTITY), Path("m-training"))


def test_the_precision_is_compared_once_the_device_is_known() -> None:
    unknown = {key: value for key, value in IDENTITY.items() if key != "precision"}
    refuse_other(IDENTITY, unknown, Path("m-training"))
    refuse_other(unknown, IDENTITY, Path("m-training"))


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
        ("precision", "mixed_float16", r"precision differs \(mixed_float16, now float32\)"),
    ],
)
def test_what_a_resumption_must_share_is_named(key: str, value: object, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        refuse_other({**IDENTITY, key: value}, IDENTITY, Path("m-training"))


def test_a_folder_in_the_outputs_place_is_refused_at_once(order: FinetuneRequest) -> None:
    order.output.mkdir()
    with pytest.raises(UsageError, match="is a folder"):
        finetune(replace(order, force=True))


@pytest.mark.parametrize("option", ["data", "test"])
@pytest.mark.parametrize("inside", [".", "m-training", "m-training/pictures"])
def test_pictures_and_checkpoints_do_not_share_a_folder(
    order: FinetuneRequest, option: str, inside: str
) -> None:
    pictures = order.output.parent / inside
    pictures.mkdir(parents=True, exist_ok=True)
    with pytest.raises(UsageError, match=f"--{option}") as caught:
        finetune(replace(order, **{option: pictures}, force=True))
    assert "outside the pictures" in caught.value.hint


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["pixels.npy", "epoch-best.npz", "notes.txt"])
def test_a_folder_of_somebody_else_is_left_alone(
    order: FinetuneRequest, name: str, force: bool
) -> None:
    folder = training_folder(order.output)
    folder.mkdir()
    (folder / name).write_text("mine")
    with pytest.raises(UsageError, match=rf"such as {name}"):
        finetune(replace(order, force=force))
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_checkpoint_of_another_program_is_left_alone(order: FinetuneRequest) -> None:
    folder = training_folder(order.output)
    folder.mkdir()
    (folder / "checkpoint.json").write_text('{"global_step": 7}')
    with pytest.raises(RefusedInput, match="no checkpoint of edgeconv"):
        finetune(replace(order, force=True))
    assert [path.name for path in folder.iterdir()] == ["checkpoint.json"]


def test_reports_of_a_finished_training_are_no_obstacle(order: FinetuneRequest) -> None:
    folder = training_folder(order.output)
    folder.mkdir()
    for name in ("curves.png", "history.csv", "report.json", ".lock", ".DS_Store"):
        (folder / name).write_text("")
    with pytest.raises(UsageError, match="data does not exist"):
        finetune(order)
    assert (folder / "curves.png").exists()


@pytest.mark.parametrize("change", [{"resume": True}, {"force": True}, {}])
def test_a_training_that_goes_on_elsewhere_is_not_touched(
    order: FinetuneRequest, change: dict[str, bool]
) -> None:
    pytest.importorskip("fcntl")
    store = Store(training_folder(order.output))
    with locked(store.folder):
        store.write(Checkpoint(IDENTITY))
        store.pixels.write_bytes(b"mapped")
        with pytest.raises(UsageError, match="Another finetune is training in"):
            finetune(replace(order, **change))
        assert store.read() == Checkpoint(IDENTITY) and store.pixels.read_bytes() == b"mapped"


def test_a_class_that_no_model_file_can_name_is_refused_by_its_folder(
    order: FinetuneRequest,
) -> None:
    fill(order.data / "daisy", 3, 1)
    fill(order.data / "s\x1b[31mky", 3, 2)
    with pytest.raises(RefusedInput, match=r"data: 's.*x1b\[31mky' is no class name") as caught:
        finetune(order)
    assert "Rename that folder" in caught.value.hint
    assert not training_folder(order.output).exists()
