"""What training does to a network: asked of TensorFlow, in its own process."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgeconv.errors import UsageError
from edgeconv.finetune import Settings, train
from edgeconv.finetune.checkpoint import Checkpoint, Store
from edgeconv.history import Epoch
from edgeconv.progress import Silent
from edgeconv.workshop import Workshop
from tests.unit.finetune import training_facts

FACTS = training_facts.__name__


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
        with Workshop(tmp_path_factory.mktemp("workshop")) as child:
            yield child


def ask(workshop: Workshop, what: str, **arguments: Any) -> Any:
    return workshop.call(f"{FACTS}:{what}", Silent(), **arguments)


def test_pictures_reach_the_base_as_they_reach_the_device(workshop: Workshop) -> None:
    errors = ask(workshop, "preprocessing")
    assert set(errors) == {"tf", "torch", "caffe", "unit", "none"}
    assert max(errors.values()) < 1e-5


def test_changed_pictures_follow_from_the_seed(workshop: Workshop) -> None:
    views = ask(workshop, "views")
    assert views["same"] and not views["other"]
    assert views["shape"] == [4, 9, 7, 3]
    assert 0 <= views["low"] < views["high"] <= 255 and views["changed"] > 1
    assert all(views["rising"]["False"]) and len(set(views["rising"]["True"])) == 2


def test_only_what_a_phase_trains_changes(workshop: Workshop, tmp_path: Path) -> None:
    changed = ask(workshop, "freezing", folder=str(tmp_path))
    head = {"predictions/kernel", "predictions/bias"}
    last = {"conv2/kernel", "conv2/bias", "norm2/gamma", "norm2/beta"}
    first = {"conv1/kernel", "conv1/bias", "norm1/gamma", "norm1/beta"}
    statistics = {f"norm{n}/moving_{what}" for n in (1, 2) for what in ("mean", "variance")}
    assert set(changed["head"]) == head
    assert set(changed["last"]) == head | last
    assert set(changed["all"]) == head | last | first
    assert set(changed["scratch"]) - {"drop/seed_generator/seed_generator_state"} == (
        head | last | first | statistics
    )


def test_more_layers_than_there_are_cant_be_unfrozen(workshop: Workshop, tmp_path: Path) -> None:
    ask(workshop, "unfreezing", folder=str(tmp_path), layers=9)
    with pytest.raises(UsageError, match="9 layers, --unfreeze says 10"):
        ask(workshop, "unfreezing", folder=str(tmp_path), layers=10)


@pytest.mark.long
def test_a_model_that_flattens_gives_its_features_at_any_size(
    workshop: Workshop, tmp_path: Path
) -> None:
    assert ask(workshop, "flattened", path=str(tmp_path / "w.h5")) == 0


def test_from_scratch_a_resumed_epoch_equals_an_uninterrupted_one(
    workshop: Workshop, tmp_path: Path
) -> None:
    # BatchNorm's statistics and the base's own dropout are part of the state here.
    expected, found = ask(workshop, "resuming", folder=str(tmp_path))
    assert found == expected


class _Stop(Exception):
    """Somebody stopped the training."""


def test_stopped_after_any_epoch_it_goes_on_as_if_it_had_not(
    workshop: Workshop, tmp_path: Path
) -> None:
    settings = Settings(epochs=2, batch=6, learning_rate=1e-2)

    def run(name: str, stop_after: int, *, resume: bool = False) -> list[object]:
        store = Store(tmp_path / name)
        store.folder.mkdir(exist_ok=True)
        ask(workshop, "small", folder=str(store.folder), settings=settings.to_json())

        def stop(epoch: Epoch) -> None:
            if epoch.epoch == stop_after:
                raise _Stop

        begun = store.read() if resume else Checkpoint({})
        epochs = train(workshop, store, begun, settings, Silent(), stop)
        rows = [replace(epoch, seconds=0.0) for epoch in epochs]
        return [rows, ask(workshop, "weights")]

    expected = run("through", 0)
    assert [epoch.phase for epoch in expected[0]] == ["head", "head", "fine", "fine"]  # type: ignore[attr-defined]
    for epoch in (1, 2, 3):  # within the head's phase, between the two, within the second
        with pytest.raises(_Stop):
            run(f"after {epoch}", epoch)
        assert run(f"after {epoch}", 0, resume=True) == expected, epoch


def test_mixed_precision_trains_in_float16_and_saves_float32(
    workshop: Workshop, tmp_path: Path
) -> None:
    facts = ask(workshop, "mixed", folder=str(tmp_path))
    assert facts["computed"] == "float16" and facts["saved"] == ["float32"]
    assert facts["losses"][-1] < facts["losses"][0] - 0.05
    assert facts["momenta"] == [0.99, 0.99]  # as it was, not as it trained
    assert facts["trainable"] == 10
    assert facts["layers"][-2:] == ["dropout_of_features", "predictions"]
    assert facts["answers"] == facts["predicted"]
    assert facts["sums"] == pytest.approx([1.0] * 24, abs=1e-5)
