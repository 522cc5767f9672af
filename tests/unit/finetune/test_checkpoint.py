"""A training's state on disk: whole, or as it was."""

import json
from pathlib import Path

import pytest

from edgeconv.errors import RefusedInput
from edgeconv.finetune.checkpoint import Checkpoint, Store
from edgeconv.history import Epoch


def epoch(number: int, loss: float) -> Epoch:
    return Epoch("head", number, 1e-3, 1.5, 0.25, loss, 0.5, 2.0)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def trained(store: Store, losses: list[float]) -> Checkpoint:
    """A store after as many epochs, each with its file."""
    checkpoint = Checkpoint({"base": "mobilenetv2", "labels": "花"})
    for number, loss in enumerate(losses, 1):
        name = f"epoch-{number:04}.npz"
        store.place(name).write_bytes(b"state")
        checkpoint = checkpoint.after(epoch(number, loss), name)
        store.write(checkpoint)
    return checkpoint


def files(store: Store) -> set[str]:
    return {path.name for path in store.folder.iterdir()}


def test_what_was_written_reads_back(store: Store) -> None:
    assert not store.exists()
    checkpoint = trained(store, [3.0, 0.1 + 0.2])
    assert store.exists() and store.read() == checkpoint


def test_only_the_last_epoch_and_the_best_keep_their_files(store: Store) -> None:
    checkpoint = trained(store, [3.0, 1.0, 2.0, 4.0])
    assert (checkpoint.best, checkpoint.last) == ("epoch-0002.npz", "epoch-0004.npz")
    assert files(store) == {"checkpoint.json", "epoch-0002.npz", "epoch-0004.npz"}


def test_a_kill_between_an_epochs_file_and_the_state_loses_nothing(store: Store) -> None:
    checkpoint = trained(store, [3.0, 1.0])
    store.place("epoch-0003.npz").write_bytes(b"half")  # written, but nobody says so yet
    assert store.read() == checkpoint
    assert store.place(checkpoint.last).exists()


def test_all_checkpoints_go_when_training_is_done_and_reports_stay(store: Store) -> None:
    trained(store, [3.0])
    for name in ("pixels.npy", "features.npy", ".epoch-0002.npz.part", "curves.png"):
        store.place(name).write_bytes(b"")
    store.clear()
    assert files(store) == {"curves.png"}


def test_a_folder_that_held_nothing_else_goes_too(tmp_path: Path) -> None:
    store = Store(tmp_path / "m-training")
    store.folder.mkdir()
    trained(store, [3.0])
    store.clear()
    assert not store.folder.exists()
    store.clear()


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: "no JSON",
        lambda state: json.dumps({**state, "last": "../../etc/passwd"}),
        lambda state: json.dumps({**state, "best": None}),
        lambda state: json.dumps({**state, "epochs": [{"phase": "head"}]}),
        lambda state: json.dumps({**state, "epochs": [{**state["epochs"][0], "epoch": "1"}]}),
        lambda state: json.dumps(
            {**state, "epochs": [{**state["epochs"][0], "train_loss": float("nan")}]}
        ),
        lambda state: json.dumps([state]),
    ],
)
def test_a_damaged_state_is_refused(store: Store, damage) -> None:
    trained(store, [3.0])
    state = store.place("checkpoint.json")
    state.write_text(damage(json.loads(state.read_text())))
    with pytest.raises(RefusedInput, match="no checkpoint"):
        store.read()


def test_files_that_are_not_ours_stay(store: Store) -> None:
    own = ("epoch-best.npz", "epoch-1.npz", "epoch-0001-mine.npz", ".epoch-old.npz.part")
    for name in (*own, "epoch-0009-start.npz"):
        store.place(name).write_bytes(b"")
    trained(store, [3.0])
    assert files(store) == {*own, "checkpoint.json", "epoch-0001.npz"}
    store.clear()
    assert files(store) == set(own)


def test_nothing_is_cleared_where_no_state_says_that_it_is_ours(store: Store) -> None:
    names = {"pixels.npy", "features.npy", "epoch-0001.npz", "workshop.log"}
    for name in names:
        store.place(name).write_bytes(b"")
    store.clear()
    assert files(store) == names
    store.place("checkpoint.json").write_text('{"global_step": 7}')
    store.clear()
    assert files(store) == names | {"checkpoint.json"}


def test_a_kill_while_all_is_taken_away_leaves_a_training_that_can_begin(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(store, [3.0, 1.0])
    unlink = Path.unlink

    def killed(path: Path, missing_ok: bool = False) -> None:
        if path.name == "features.npy":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", killed)
    with pytest.raises(KeyboardInterrupt):
        store.clear()
    monkeypatch.undo()
    assert store.read() == Checkpoint({"base": "mobilenetv2", "labels": "花"})
    store.clear()
    assert not store.exists()
